"""The processes of one run, on one machine or several, as Lightning, torchrun or SLURM start them."""

import os
from dataclasses import dataclass
from typing import Any

from lightning.pytorch.strategies import DDPStrategy

from ..errors import PixelRNNError


@dataclass(frozen=True)
class Processes:
    """How many there are, and which of them this is."""

    devices: int  # processes, one for each GPU, on each machine
    nodes: int  # machines
    rank: int  # of this one, over all machines
    restarted: bool  # by torchrun or SLURM, after the run had begun

    @classmethod
    def found(cls, devices: int | None = None, nodes: int | None = None) -> "Processes":
        """As asked for, or else as torchrun or SLURM say; one where nobody says.

        Raises PixelRNNError where what was asked for is not what was started.
        """
        local = _number("LOCAL_WORLD_SIZE") or _number("SLURM_NTASKS_PER_NODE")
        world = _number("WORLD_SIZE") if "LOCAL_WORLD_SIZE" in os.environ else _number("SLURM_NTASKS")
        if local and world and "TORCHELASTIC_RUN_ID" in os.environ:
            for name, asked, started in (("devices", devices, local), ("num-nodes", nodes, world // local)):
                if asked not in (None, started):
                    raise PixelRNNError(f"--{name} {asked}: torchrun has started {started}. Leave it out.")
        devices, nodes = devices or local or 1, nodes or (world // local if local and world else 1)
        rank = _number("NODE_RANK") * devices + _number("LOCAL_RANK")  # of processes that Lightning starts
        if "RANK" in os.environ or _number("SLURM_NTASKS") > 1:
            rank = _number("RANK") or _number("SLURM_PROCID")
        restarted = bool(_number("TORCHELASTIC_RESTART_COUNT") or _number("SLURM_RESTART_COUNT"))
        return cls(devices, nodes, rank, restarted)

    @property
    def count(self) -> int:
        return self.devices * self.nodes

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and speaks."""
        return self.rank == 0

    def share(self, batch_size: int) -> int:
        """Of a joint batch for each process. Raises PixelRNNError where it cannot be shared evenly."""
        if batch_size % self.count:
            raise PixelRNNError(f"batch_size={batch_size}: cannot be shared by {self.count} processes. Give a multiple.")
        return batch_size // self.count

    def strategy(self, partly: bool) -> Any:
        """Lightning's. partly: whether a step may leave some weights without gradient."""
        # buffers are equal as they are; and validation, where one process may have a batch more, must not wait for others
        return "auto" if self.count == 1 else DDPStrategy(find_unused_parameters=partly, broadcast_buffers=False)


def _number(name: str) -> int:
    """An environment variable, 0 where it is not set or no number."""
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else 0
