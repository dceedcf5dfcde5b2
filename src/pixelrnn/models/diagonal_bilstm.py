"""Diagonal BiLSTM (van den Oord et al. 2016, section 3.2): two LSTMs scan the diagonals, from the two top corners.

Each row is shifted by one column more than the row above, so that a diagonal becomes a column and all its pixels are one step.
A state depends on its neighbours above and beside. The states of the scan from the right are shifted down by one row, because
they would otherwise depend on later pixels.

A pixel thus depends on all pixels before it, except for the last one of the row above if the first convolution does not reach
that: mask A keeps it out of the features at its own position, and those after it are later pixels. Departure: the condition, if
there is one, is added to the gates.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .autoregressive import Autoregressive, AutoregressiveConfig
from .lstm import lstm
from .masked import ChannelGroup, ConditionCache, ConvCache, MaskedConv2d, group_bounds
from .registry import register


def skew(x: torch.Tensor) -> torch.Tensor:
    """Map (B, H, W, C) to its diagonals (H + W - 1, B, H, C): row i starts at diagonal i, with zeros before and after."""
    batch, height, width, channels = x.shape
    # each row is padded to one column more than the result has, so that every row starts one pixel later than the last
    wide = F.pad(x, (0, 0, 0, height)).reshape(batch, height * (width + height), channels)[:, : height * (width + height - 1)]
    return wide.reshape(batch, height, width + height - 1, channels).permute(2, 0, 1, 3)


def unskew(diagonals: torch.Tensor, width: int) -> torch.Tensor:
    """Invert `skew`: map (H + W - 1, B, H, C) to (B, H, W, C)."""
    _, batch, height, channels = diagonals.shape
    flat = diagonals.permute(1, 2, 0, 3).reshape(batch, -1, channels)
    return F.pad(flat, (0, 0, 0, height)).reshape(batch, height, width + height, channels)[:, :, :width]


class DiagonalBlock(nn.Module):
    """A scan from each side, their sum mapped to 2 h features by a 1 x 1 convolution, added to the input.

    Each scan has a 1 x 1 input-to-state convolution with mask B and a 2 x 1 state-to-state convolution over the diagonals.
    """

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.hidden, channels = config.features, config.channels
        self.input_to_state = nn.ModuleList(
            MaskedConv2d("B", 2 * self.hidden, self.hidden, channels=channels, repeats=4) for _ in "lr"
        )
        # from the states beside and above, per direction; initialised as nn.Linear
        bound = (2 * self.hidden) ** -0.5
        self.state_to_state = nn.Parameter(torch.empty(2, 2 * self.hidden, 4 * self.hidden).uniform_(-bound, bound))
        self.expand = MaskedConv2d("B", self.hidden, 2 * self.hidden, channels=channels)
        gates = 2 * 4 * self.hidden  # of both directions
        self.condition = nn.Conv2d(config.encoder_features, gates, 1) if config.encoder_features else None

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        batch, _, height, width = x.shape
        gates = torch.cat([conv(x) for conv in self.input_to_state], dim=1)
        if self.condition is not None:
            gates = gates + self.condition(condition)
        left, right = gates.permute(0, 2, 3, 1).chunk(2, dim=3)  # (B, H, W, 4 h)
        steps = skew(torch.cat([left, right.flip(2)])).unflatten(1, (2, batch)).contiguous()  # (H + W - 1, 2, B, H, 4 h)
        # in the weights' dtype, because half precision would round the memory at each step
        cell = steps.new_zeros(2, batch, height, self.hidden, dtype=self.state_to_state.dtype)
        state, states = cell.to(steps.dtype), []  # zero beside the image, too, where the gates' inputs are zero
        for number, step in enumerate(steps):
            if number:
                neighbours = torch.cat([state, F.pad(state, (0, 0, 1, -1))], dim=3).flatten(1, 2)  # (2, B H, 2 h)
                step = torch.baddbmm(step.flatten(1, 2), neighbours, self.state_to_state).view_as(step)
            state, cell = lstm(step, cell)
            states.append(state)
        left, right = unskew(torch.stack(states).flatten(1, 2), width).chunk(2)  # (B, H, W, h)
        both = left + F.pad(right.flip(2), (0, 0, 0, 0, 1, -1))  # from the right, one row down
        widened: torch.Tensor = self.expand(both.permute(0, 3, 1, 2))
        return x + widened

    def incremental(self, condition: torch.Tensor | None, batch: int, width: int) -> "IncrementalDiagonalBlock":
        maps = None if self.condition is None or condition is None else self.condition(condition)
        return IncrementalDiagonalBlock(self, maps, batch, width)


class IncrementalDiagonalBlock:
    """A DiagonalBlock evaluated position by position; see IncrementalBlock.

    The scan from the right covers a row once that row is complete.
    """

    def __init__(self, block: DiagonalBlock, maps: torch.Tensor | None, batch: int, width: int) -> None:
        left, right = block.input_to_state
        halves = (None, None) if maps is None else maps.chunk(2, dim=1)
        self.conditions = [ConditionCache(half, conv) for half, conv in zip(halves, (left, right), strict=True)]  # type: ignore[arg-type]
        self.left, self.right = ConvCache(left, batch, width), ConvCache(right, batch, width)  # type: ignore[arg-type]
        self.expand = ConvCache(block.expand, batch, width)
        self.from_beside, self.from_above = block.state_to_state.detach().chunk(2, dim=1)  # per direction, (2, h, 4 h)
        # states and cells of this row, scanned from the left; states of the row above, scanned from the right
        self.state, self.cell, self.right_state = block.state_to_state.new_zeros(3, batch, width, block.hidden)
        self.gates_from_above = block.state_to_state.new_zeros(batch, width, 4, block.hidden)
        self.groups = [slice(*bounds) for bounds in group_bounds(block.hidden, block.expand.channels)]

    def next_row(self) -> None:
        self.right_state = self._scan_from_right()
        layers: tuple[ConditionCache | ConvCache, ...] = (*self.conditions, self.left, self.right, self.expand)
        for layer in layers:
            layer.next_row()
        self.gates_from_above = (self.state @ self.from_above[0]).unflatten(2, (4, -1))
        self.state, self.cell = torch.zeros_like(self.state), torch.zeros_like(self.cell)

    def _scan_from_right(self) -> torch.Tensor:
        """The states (B, W, h) of the complete row."""
        width = self.right_state.shape[1]
        gates = self.conditions[1].add(self.right.read(0, width, slice(None)), 0, slice(None))
        gates = gates + self.right_state @ self.from_above[1]
        state = cell = torch.zeros_like(self.right_state[:, 0])
        states = []
        for column in reversed(range(width)):
            state, cell = lstm(torch.addmm(gates[:, column], state, self.from_beside[1]), cell)
            states.append(state)
        return torch.stack(states[::-1], dim=1)

    def __call__(self, x: torch.Tensor, start: int, group: ChannelGroup) -> torch.Tensor:
        features = self.groups[group] if isinstance(group, int) else group
        columns = slice(start, start + x.shape[1])
        self.right.write(x, start, group)
        gates = self.conditions[0].add(self.left(x, start, group), start, group).unflatten(2, (4, -1))
        gates = gates + self.gates_from_above[:, columns, :, features]
        for number in range(x.shape[1]):
            column, own = start + number, gates[:, number]
            if column:
                own = own + (self.state[:, column - 1] @ self.from_beside[0]).unflatten(1, (4, -1))[..., features]
            before = self.cell[:, column - 1, features] if column else torch.zeros_like(self.cell[:, 0, features])
            state, cell = lstm(own.flatten(1), before)
            self.state[:, column, features], self.cell[:, column, features] = state, cell
        return x + self.expand(self.state[:, columns, features] + self.right_state[:, columns, features], start, group)


@register("diagonal_bilstm", AutoregressiveConfig, kind="autoregressive")
class DiagonalBiLSTM(Autoregressive):
    """The autoregressive model of DiagonalBlocks."""

    block = DiagonalBlock
