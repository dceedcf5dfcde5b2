"""The processes of one run, on one or more machines, as Lightning, torchrun or SLURM start them."""

import os
from dataclasses import dataclass
from typing import Any

from lightning.pytorch.strategies import DDPStrategy

from ..errors import PixelRNNError


@dataclass(frozen=True)
class Processes:
    """The number of processes, and the rank of this one."""

    devices: int  # processes on each machine, one for each GPU
    nodes: int  # machines
    rank: int  # of this process, over all machines
    restarted: bool  # whether torchrun or SLURM restarted this process after the run had begun

    @classmethod
    def from_environment(cls, devices: int | None = None, nodes: int | None = None) -> "Processes":
        """Read the number of processes and the rank from the environment variables of torchrun or SLURM.

        Args:
            devices: Processes on each machine; by default what the environment says, or else 1.
            nodes: Machines; by default what the environment says, or else 1.

        Raises:
            PixelRNNError: torchrun has started another number of processes than was asked for.
        """
        local = _number("LOCAL_WORLD_SIZE") or _number("SLURM_NTASKS_PER_NODE")
        world = _number("WORLD_SIZE") if "LOCAL_WORLD_SIZE" in os.environ else _number("SLURM_NTASKS")
        if local and world and "TORCHELASTIC_RUN_ID" in os.environ:
            for name, asked, started in (("devices", devices, local), ("num-nodes", nodes, world // local)):
                if asked not in (None, started):
                    raise PixelRNNError(f"--{name} {asked}: torchrun has started {started}. Leave it out.")
        devices, nodes = devices or local or 1, nodes or (world // local if local and world else 1)
        rank = _number("NODE_RANK") * devices + _number("LOCAL_RANK")  # for processes that Lightning starts
        if "RANK" in os.environ or _number("SLURM_NTASKS") > 1:
            rank = _number("RANK") or _number("SLURM_PROCID")
        restarted = bool(_number("TORCHELASTIC_RESTART_COUNT") or _number("SLURM_RESTART_COUNT"))
        return cls(devices, nodes, rank, restarted)

    @property
    def count(self) -> int:
        return self.devices * self.nodes

    @property
    def first(self) -> bool:
        """Whether this process writes the files and prints."""
        return self.rank == 0

    def share(self, batch_size: int) -> int:
        """Return each process's part of a joint batch.

        Raises:
            PixelRNNError: The batch cannot be shared evenly.
        """
        if batch_size % self.count:
            raise PixelRNNError(f"batch_size={batch_size}: cannot be shared by {self.count} processes. Give a multiple.")
        return batch_size // self.count

    def strategy(self, unused_weights: bool) -> Any:
        """Return Lightning's strategy; `unused_weights` says whether a step may leave some weights without gradient."""
        # no broadcast: buffers never differ, and in validation one process may have a batch more than others, who would wait
        return "auto" if self.count == 1 else DDPStrategy(find_unused_parameters=unused_weights, broadcast_buffers=False)


def _number(name: str) -> int:
    """An environment variable as a number; 0 if it is not set or not a number."""
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else 0
