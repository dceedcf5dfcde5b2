"""Sums over all processes that train together."""

import torch


def world_size() -> int:
    """Return the number of processes that train together."""
    return torch.distributed.get_world_size() if torch.distributed.is_available() and torch.distributed.is_initialized() else 1


def joint(total: torch.Tensor) -> torch.Tensor:
    """Average a scalar over the processes that train together.

    DistributedDataParallel averages the gradients of all processes. A sum divided by this average becomes the mean over the
    joint batch. Divided by its own process's total, a missing pixel would weigh more in some batches than in others.

    Args:
        total: This process's value.

    Returns:
        The mean over all processes; `total` itself with a single process, or if no gradient is taken.
    """
    if world_size() == 1 or not torch.is_grad_enabled():
        return total
    mean = total.detach().float().clone()
    torch.distributed.all_reduce(mean)
    return mean / world_size()
