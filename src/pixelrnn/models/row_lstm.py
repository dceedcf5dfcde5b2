"""Row LSTM (van den Oord et al. 2016, section 3.1): an LSTM goes down the rows, its state a whole row, convolved by 3 x 1.

So a pixel knows a triangle above it. The block is the paper's figure 5, right. Departure: the condition, where there is one, is
added to the gates. (The paper's 3 x 1 is along the row, here (1, 3): height, width.)
"""

import torch
from torch import nn
from torch.nn import functional as F

from .autoregressive import Autoregressive, AutoregressiveConfig
from .masked import ConditionCache, ConvCache, MaskedConv2d, Part, group_bounds
from .registry import register


def lstm(gates: torch.Tensor, cell: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One LSTM step (paper, equation 3): output, forget, input and content gates before their functions (..., 4 h) and the cell
    (..., h) to the new state and cell.
    """
    output, forget, enter = torch.sigmoid(gates[..., : 3 * cell.shape[-1]]).chunk(3, dim=-1)
    cell = forget * cell + enter * torch.tanh(gates[..., 3 * cell.shape[-1] :])
    return output * torch.tanh(cell), cell


class RowLSTMBlock(nn.Module):
    """Input-to-state convolution with mask B, state-to-state over the row above, 1 x 1 to 2 h features, added to the input."""

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.hidden, channels = config.features, config.channels
        self.input_to_state = MaskedConv2d("B", 2 * self.hidden, self.hidden, (1, 3), channels, repeats=4)
        self.state_to_state = nn.Linear(
            3 * self.hidden, 4 * self.hidden, bias=False
        )  # of the states left, straight and right above
        self.expand = MaskedConv2d("B", self.hidden, 2 * self.hidden, channels=channels)
        self.condition = nn.Conv2d(config.encoder_features, 4 * self.hidden, 1) if config.encoder_features else None

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        gates = self.input_to_state(x)
        if self.condition is not None:
            gates = gates + self.condition(condition)
        rows = gates.permute(2, 0, 3, 1).contiguous()  # (H, B, W, 4 h)
        cell = rows.new_zeros(*rows.shape[1:3], self.hidden)
        state, states = cell, []
        for number, row in enumerate(rows):
            state, cell = lstm(row + self.carried(state) if number else row, cell)
            states.append(state)
        return x + self.expand(torch.stack(states).permute(1, 3, 0, 2))

    def carried(self, state: torch.Tensor) -> torch.Tensor:
        """What the states (B, W, h) of one row tell the gates (B, W, 4 h) of the next."""
        wide = F.pad(state, (0, 0, 1, 1))
        moved: torch.Tensor = self.state_to_state(torch.cat([wide[:, :-2], state, wide[:, 2:]], dim=2))
        return moved

    def incremental(self, condition: torch.Tensor | None, batch: int, width: int) -> "IncrementalRowLSTMBlock":
        told = None if self.condition is None or condition is None else self.condition(condition)
        return IncrementalRowLSTMBlock(self, told, batch, width)


class IncrementalRowLSTMBlock:
    """A RowLSTMBlock position by position; see IncrementalBlock. What the row above says of all columns is computed at once."""

    def __init__(self, block: RowLSTMBlock, told: torch.Tensor | None, batch: int, width: int) -> None:
        self.block, self.told = block, ConditionCache(told, block.input_to_state)
        self.input_to_state, self.expand = ConvCache(block.input_to_state, batch, width), ConvCache(block.expand, batch, width)
        # states and cells of this row, cells of the row above
        self.state, self.cell, self.above = block.state_to_state.weight.new_zeros(3, batch, width, block.hidden)
        self.carried = self.state.new_zeros(batch, width, 4, block.hidden)
        self.parts = [slice(*bounds) for bounds in group_bounds(block.hidden, block.input_to_state.channels)]

    def next_row(self) -> None:
        self.told.next_row()
        self.input_to_state.next_row()
        self.expand.next_row()
        self.carried = self.block.carried(self.state).unflatten(2, (4, -1))
        self.above, self.cell = self.cell, torch.zeros_like(self.cell)
        self.state = torch.zeros_like(self.state)

    def __call__(self, x: torch.Tensor, start: int, part: Part) -> torch.Tensor:
        here, features = slice(start, start + x.shape[1]), self.parts[part] if isinstance(part, int) else part
        gates = self.told.add(self.input_to_state(x, start, part), start, part) + self.carried[:, here, :, features].flatten(2)
        state, cell = lstm(gates, self.above[:, here, features])
        self.state[:, here, features], self.cell[:, here, features] = state, cell
        return x + self.expand(state, start, part)


@register("row_lstm", AutoregressiveConfig, kind="autoregressive")
class RowLSTM(Autoregressive):
    """An Autoregressive model of RowLSTMBlocks."""

    block = RowLSTMBlock
