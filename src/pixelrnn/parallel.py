"""What processes that train together have to agree on."""

import torch


def world_size() -> int:
    """How many processes train together."""
    return torch.distributed.get_world_size() if torch.distributed.is_available() and torch.distributed.is_initialized() else 1


def joint(total: torch.Tensor) -> torch.Tensor:
    """The mean, over the processes that train together, of what each has of `total`, a scalar; itself without other processes,
    and where no gradient is taken.

    DistributedDataParallel averages the gradients of all. So a sum divided by this becomes the mean over the joint batch; one
    divided by each process's own total would weigh a missing pixel by the batch it happens to be in.
    """
    if world_size() == 1 or not torch.is_grad_enabled():
        return total
    mean = total.detach().float().clone()
    torch.distributed.all_reduce(mean)
    return mean / world_size()
