"""Row LSTM (van den Oord et al. 2016, section 3.1): an LSTM scans the rows downwards, with a 3 x 1 convolution of its state.

A pixel depends on a triangle above it. The block is the paper's figure 5, right. The paper's 3 x 1 lies along the row; here it
is (1, 3) for height and width. Departure: the condition, if there is one, is added to the gates.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .autoregressive import Autoregressive, AutoregressiveConfig
from .lstm import lstm, lstm_scan
from .masked import ChannelGroup, ConditionCache, ConvCache, MaskedConv2d, group_bounds
from .registry import register


class RowLSTMBlock(nn.Module):
    """Input-to-state convolution with mask B, state-to-state from the row above, 1 x 1 to 2 h features, added to the input."""

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.hidden, channels = config.features, config.channels
        self.input_to_state = MaskedConv2d("B", 2 * self.hidden, self.hidden, (1, 3), channels, repeats=4)
        self.state_to_state = nn.Linear(3 * self.hidden, 4 * self.hidden, bias=False)
        self.expand = MaskedConv2d("B", self.hidden, 2 * self.hidden, channels=channels)
        self.condition = nn.Conv2d(config.encoder_features, 4 * self.hidden, 1) if config.encoder_features else None

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        gates = self.input_to_state(x)
        if self.condition is not None:
            gates = gates + self.condition(condition)
        rows = gates.permute(2, 1, 0, 3)  # (H, 4 h, B, W)
        states = lstm_scan(rows, self.state_to_state.weight)  # (H, h, B, W)
        widened: torch.Tensor = self.expand(states.permute(2, 1, 0, 3))
        return x + widened

    def gates_from_above(self, state: torch.Tensor) -> torch.Tensor:
        """Map the states (B, W, h) of one row to their part (B, W, 4 h) of the next row's gates."""
        wide = F.pad(state, (0, 0, 1, 1))
        gates: torch.Tensor = self.state_to_state(torch.cat([wide[:, :-2], state, wide[:, 2:]], dim=2))
        return gates

    def incremental(self, condition: torch.Tensor | None, batch: int, width: int) -> "IncrementalRowLSTMBlock":
        maps = None if self.condition is None or condition is None else self.condition(condition)
        return IncrementalRowLSTMBlock(self, maps, batch, width)


class IncrementalRowLSTMBlock:
    """A RowLSTMBlock evaluated position by position; see IncrementalBlock.

    The gates' part from the row above is computed for all columns at once.
    """

    def __init__(self, block: RowLSTMBlock, maps: torch.Tensor | None, batch: int, width: int) -> None:
        self.block, self.condition = block, ConditionCache(maps, block.input_to_state)
        self.input_to_state, self.expand = ConvCache(block.input_to_state, batch, width), ConvCache(block.expand, batch, width)
        # states and cells of this row, cells of the row above
        self.state, self.cell, self.above = block.state_to_state.weight.new_zeros(3, batch, width, block.hidden)
        self.from_above = self.state.new_zeros(batch, width, 4, block.hidden)
        self.groups = [slice(*bounds) for bounds in group_bounds(block.hidden, block.input_to_state.channels)]

    def next_row(self) -> None:
        self.condition.next_row()
        self.input_to_state.next_row()
        self.expand.next_row()
        self.from_above = self.block.gates_from_above(self.state).unflatten(2, (4, -1))
        self.above, self.cell = self.cell, torch.zeros_like(self.cell)
        self.state = torch.zeros_like(self.state)

    def __call__(self, x: torch.Tensor, start: int, group: ChannelGroup) -> torch.Tensor:
        columns, features = slice(start, start + x.shape[1]), self.groups[group] if isinstance(group, int) else group
        gates = self.condition.add(self.input_to_state(x, start, group), start, group)
        gates = gates + self.from_above[:, columns, :, features].flatten(2)
        state, cell = lstm(gates, self.above[:, columns, features])
        self.state[:, columns, features], self.cell[:, columns, features] = state, cell
        return x + self.expand(state, start, group)


@register("row_lstm", AutoregressiveConfig, kind="autoregressive")
class RowLSTM(Autoregressive):
    """The autoregressive model of RowLSTMBlocks."""

    block = RowLSTMBlock
