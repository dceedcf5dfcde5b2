"""The LSTM of PixelRNN: one step, and a scan over the rows of an image (van den Oord et al. 2016, section 3).

The gradient of the scan is written out, because a row is too little work for automatic differentiation on a CPU: training ran
at two thirds of the speed with it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable

# where a row's states are written, and what is read there: the state to the left, its own, the one to the right
SHIFTS = ((slice(1, None), slice(None, -1)), (slice(None), slice(None)), (slice(None, -1), slice(1, None)))


def lstm(gates: torch.Tensor, cell: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute one LSTM step (equation 3 of the paper).

    Args:
        gates: Output, forget, input and content gates (..., 4 h) before their sigmoid and tanh.
        cell: Cell (..., h) before this step.

    Returns:
        The state and the cell (..., h) after this step.
    """
    output_gate, forget_gate, input_gate = torch.sigmoid(gates[..., : 3 * cell.shape[-1]]).chunk(3, dim=-1)
    cell = forget_gate * cell + input_gate * torch.tanh(gates[..., 3 * cell.shape[-1] :])
    return output_gate * torch.tanh(cell), cell


def lstm_scan(gates: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Scan rows downwards; the state-to-state convolution reads the state above, left, straight and right.

    Args:
        gates: What the input gives to the gates, before sigmoid and tanh (H, 4 h, B, W): output, forget, input and content
            gates of h features.
        weight: Of the state-to-state convolution (4 h, 3 h). Beside the image there are zeros.

    Returns:
        The states (H, h, B, W), in the dtype of the weight.
    """
    scan: Callable[..., torch.Tensor] = _Scan.apply
    return scan(gates.to(weight.dtype), weight)


class _Scan(torch.autograd.Function):
    """`lstm_scan`. Features come before images and columns, so that each gate is one block of memory."""

    @staticmethod
    def forward(ctx: Any, gates: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        height, features, batch, width = gates.shape
        hidden = features // 4
        gates = gates.clone(memory_format=torch.contiguous_format)
        cells, squashed, states = gates.new_empty(3, height, hidden, batch, width).unbind()
        near = gates.new_zeros(height, 3, hidden, batch, width)  # what the convolution reads
        for number, row in enumerate(gates):
            if number:
                for part, (to, start) in zip(near[number], SHIFTS, strict=True):
                    part[..., to] = states[number - 1][..., start]
                row.flatten(1).addmm_(weight, near[number].flatten(2).flatten(0, 1))
            output_gate, forget_gate, input_gate = row[: 3 * hidden].sigmoid_().chunk(3)
            torch.mul(input_gate, row[3 * hidden :].tanh_(), out=cells[number])
            if number:
                cells[number].addcmul_(forget_gate, cells[number - 1])
            torch.tanh(cells[number], out=squashed[number])
            torch.mul(output_gate, squashed[number], out=states[number])
        ctx.save_for_backward(gates, weight, cells, squashed, near)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gates, weight, cells, squashed, near = ctx.saved_tensors
        output_gate, forget_gate, input_gate, content = gates.chunk(4, dim=1)
        # first the derivative of each state by its output gate, and of each cell by its other gates
        by_gates = gates * (1 - gates)
        by_output, by_forget, by_input, by_content = by_gates.chunk(4, dim=1)
        by_output *= squashed
        by_forget[1:] *= cells[:-1]
        by_forget[0] = 0
        by_input *= content
        torch.mul(input_gate, 1 - content.square(), out=by_content)
        state_by_cell = output_gate * (1 - squashed.square())
        by_state, by_cell = by_states[-1].clone(memory_format=torch.contiguous_format), torch.zeros_like(cells[0])
        for number in reversed(range(len(gates))):
            by_cell.addcmul_(by_state, state_by_cell[number])
            by_output[number] *= by_state
            by_gates[number].unflatten(0, (4, -1))[1:] *= by_cell
            if number:
                by_cell *= forget_gate[number]
                by_near = torch.mm(weight.t(), by_gates[number].flatten(1)).view_as(near[0])
                by_state = by_states[number - 1].clone(memory_format=torch.contiguous_format)
                for part, (to, start) in zip(by_near, SHIFTS, strict=True):
                    by_state[..., start] += part[..., to]
        # (4 h, H B W) times (H B W, 3 h)
        by_weight = by_gates.transpose(0, 1).flatten(1) @ near.permute(1, 2, 0, 3, 4).flatten(2).flatten(0, 1).t()
        return by_gates, by_weight
