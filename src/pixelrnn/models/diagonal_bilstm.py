"""Diagonal BiLSTM (van den Oord et al. 2016, section 3.2): two LSTMs go along the diagonals, from either corner of the top.

Each row is shifted by one column more than that above, so that a diagonal becomes a column and all its pixels are one step;
a state hears of its neighbours above and beside. What comes from the right is shifted down by one row, or it would know the
future. So a pixel knows all before it, but for the last of the row above where the first convolution does not reach that: mask
A keeps it out of the features at its own place, and those after it are the future. Departure: the condition, where there is
one, is added to the gates.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .autoregressive import Autoregressive, AutoregressiveConfig
from .masked import ConditionCache, ConvCache, MaskedConv2d, Part, group_bounds
from .registry import register
from .row_lstm import lstm


def skew(x: torch.Tensor) -> torch.Tensor:
    """(B, H, W, C) to its diagonals (H + W - 1, B, H, C): row i starts at diagonal i, zeros before and after."""
    batch, height, width, channels = x.shape
    # as many columns as rows are added, so that each row of the result starts one pixel later than the last
    wide = F.pad(x, (0, 0, 0, height)).reshape(batch, height * (width + height), channels)[:, : height * (width + height - 1)]
    return wide.reshape(batch, height, width + height - 1, channels).permute(2, 0, 1, 3)


def unskew(diagonals: torch.Tensor, width: int) -> torch.Tensor:
    """What `skew` made, back: (H + W - 1, B, H, C) to (B, H, W, C)."""
    _, batch, height, channels = diagonals.shape
    flat = diagonals.permute(1, 2, 0, 3).reshape(batch, -1, channels)
    return F.pad(flat, (0, 0, 0, height)).reshape(batch, height, width + height, channels)[:, :, :width]


class DiagonalBlock(nn.Module):
    """Per direction, 1 x 1 input-to-state with mask B and 2 x 1 state-to-state over diagonals; their sum by 1 x 1 to 2 h
    features, added to the input.
    """

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.hidden, channels = config.features, config.channels
        self.input_to_state = nn.ModuleList(
            MaskedConv2d("B", 2 * self.hidden, self.hidden, channels=channels, repeats=4) for _ in "lr"
        )
        # of the states beside and above, per direction; as nn.Linear begins
        bound = (2 * self.hidden) ** -0.5
        self.state_to_state = nn.Parameter(torch.empty(2, 2 * self.hidden, 4 * self.hidden).uniform_(-bound, bound))
        self.expand = MaskedConv2d("B", self.hidden, 2 * self.hidden, channels=channels)
        both = 2 * 4 * self.hidden
        self.condition = nn.Conv2d(config.encoder_features, both, 1) if config.encoder_features else None

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        batch, _, height, width = x.shape
        gates = torch.cat([enter(x) for enter in self.input_to_state], dim=1)
        if self.condition is not None:
            gates = gates + self.condition(condition)
        left, right = gates.permute(0, 2, 3, 1).chunk(2, dim=3)  # (B, H, W, 4 h)
        steps = skew(torch.cat([left, right.flip(2)])).unflatten(1, (2, batch)).contiguous()  # (H + W - 1, 2, B, H, 4 h)
        cell = steps.new_zeros(2, batch, height, self.hidden)
        state, states = cell, []  # zero beside the picture, too: no gate is open there
        for number, step in enumerate(steps):
            if number:
                heard = torch.cat([state, F.pad(state, (0, 0, 1, -1))], dim=3).flatten(1, 2)  # (2, B H, 2 h)
                step = torch.baddbmm(step.flatten(1, 2), heard, self.state_to_state).view_as(step)
            state, cell = lstm(step, cell)
            states.append(state)
        left, right = unskew(torch.stack(states).flatten(1, 2), width).chunk(2)  # (B, H, W, h)
        known = left + F.pad(right.flip(2), (0, 0, 0, 0, 1, -1))  # one row down
        return x + self.expand(known.permute(0, 3, 1, 2))

    def incremental(self, condition: torch.Tensor | None, batch: int, width: int) -> "IncrementalDiagonalBlock":
        told = None if self.condition is None or condition is None else self.condition(condition)
        return IncrementalDiagonalBlock(self, told, batch, width)


class IncrementalDiagonalBlock:
    """A DiagonalBlock position by position; see IncrementalBlock. From the right, a row is scanned once it is complete."""

    def __init__(self, block: DiagonalBlock, told: torch.Tensor | None, batch: int, width: int) -> None:
        left, right = block.input_to_state
        parts = (None, None) if told is None else told.chunk(2, dim=1)
        self.told = [ConditionCache(part, layer) for part, layer in zip(parts, (left, right), strict=True)]  # type: ignore[arg-type]
        self.left, self.right = ConvCache(left, batch, width), ConvCache(right, batch, width)  # type: ignore[arg-type]
        self.expand = ConvCache(block.expand, batch, width)
        self.beside, self.over = block.state_to_state.detach().chunk(2, dim=1)  # per direction, (2, h, 4 h)
        # states and cells of this row, from the left; states of the row above, from the right
        self.state, self.cell, self.came = block.state_to_state.new_zeros(3, batch, width, block.hidden)
        self.carried = block.state_to_state.new_zeros(batch, width, 4, block.hidden)
        self.parts = [slice(*bounds) for bounds in group_bounds(block.hidden, block.expand.channels)]

    def next_row(self) -> None:
        self.came = self._from_the_right()
        layers: tuple[ConditionCache | ConvCache, ...] = (*self.told, self.left, self.right, self.expand)
        for layer in layers:
            layer.next_row()
        self.carried = (self.state @ self.over[0]).unflatten(2, (4, -1))
        self.state, self.cell = torch.zeros_like(self.state), torch.zeros_like(self.cell)

    def _from_the_right(self) -> torch.Tensor:
        width = self.came.shape[1]
        gates = self.told[1].add(self.right.read(0, width, slice(None)), 0, slice(None)) + self.came @ self.over[1]
        state = cell = torch.zeros_like(self.came[:, 0])
        states = []
        for column in reversed(range(width)):
            state, cell = lstm(torch.addmm(gates[:, column], state, self.beside[1]), cell)
            states.append(state)
        return torch.stack(states[::-1], dim=1)

    def __call__(self, x: torch.Tensor, start: int, part: Part) -> torch.Tensor:
        features = self.parts[part] if isinstance(part, int) else part
        self.right.write(x, start, part)
        gates = self.told[0].add(self.left(x, start, part), start, part).unflatten(2, (4, -1))
        gates = gates + self.carried[:, start : start + x.shape[1], :, features]
        for number in range(x.shape[1]):
            column, own = start + number, gates[:, number]
            if column:
                own = own + (self.state[:, column - 1] @ self.beside[0]).unflatten(1, (4, -1))[..., features]
            before = self.cell[:, column - 1, features] if column else torch.zeros_like(self.cell[:, 0, features])
            state, cell = lstm(own.flatten(1), before)
            self.state[:, column, features], self.cell[:, column, features] = state, cell
        here = slice(start, start + x.shape[1])
        return x + self.expand(self.state[:, here, features] + self.came[:, here, features], start, part)


@register("diagonal_bilstm", AutoregressiveConfig, kind="autoregressive")
class DiagonalBiLSTM(Autoregressive):
    """An Autoregressive model of DiagonalBlocks."""

    block = DiagonalBlock
