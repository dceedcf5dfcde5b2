"""ConvLSTM (Shi et al. 2015, "Convolutional LSTM Network", equation 3): the cell, and its scans over time, rows and columns.

Departures from the paper:

- One convolution over the concatenated input and hidden state computes all four gates.
- The peephole weights W_ci, W_cf and W_co have one value per channel and position in the paper. Here they have one per channel
  unless a size is given, so that the cell works at any size. By default there are none.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

State = tuple[torch.Tensor, torch.Tensor]  # hidden state and cell state, each (B, hidden, H, W)


def step(
    x: torch.Tensor,
    hidden: torch.Tensor,
    cell: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    peepholes: torch.Tensor | None,
    padding: list[int],
) -> State:
    """Compute the equations of ConvLSTMCell.

    Args:
        x: Input (B, channels, H, W).
        hidden: Hidden state (B, hidden, H, W) before this step.
        cell: Cell state (B, hidden, H, W) before this step.
        weight: (4 hidden, channels + hidden, kernel height, kernel width), the gates in the order input, forget, output,
            candidate.
        bias: (4 hidden,).
        peepholes: W_ci, W_cf, W_co as (3, hidden, 1, 1) or (3, hidden, H, W); None for no peepholes.
        padding: Zeros at each end of the height and the width.

    Returns:
        The hidden state and the cell state after this step.
    """
    i, f, o, candidate = F.conv2d(torch.cat([x, hidden], dim=1), weight, bias, padding=padding).chunk(4, dim=1)
    if peepholes is not None:
        i, f = i + peepholes[0] * cell, f + peepholes[1] * cell
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(candidate)
    if peepholes is not None:
        o = o + peepholes[2] * cell
    return torch.sigmoid(o) * torch.tanh(cell), cell


class ConvLSTMCell(nn.Module):
    """One step of a ConvLSTM; * is a convolution and . a product of elements.

        i = sigmoid(W_xi * X + W_hi * H + W_ci . C + b_i)
        f = sigmoid(W_xf * X + W_hf * H + W_cf . C + b_f)
        C' = f . C + i . tanh(W_xc * X + W_hc * H + b_c)
        o = sigmoid(W_xo * X + W_ho * H + W_co . C' + b_o)
        H' = o . tanh(C')

    Args:
        channels: Features of the input.
        hidden: Features of the state.
        kernel_size: Odd, one number or (height, width).
        peephole: Whether the terms with W_c are included.
        peephole_size: (H, W) for one peephole weight per position as in the paper; the cell then works at that size alone.

    Raises:
        ValueError: The kernel size is even.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        kernel_size: int | tuple[int, int] = 3,
        peephole: bool = False,
        peephole_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        kernel = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        if any(side % 2 == 0 for side in kernel):
            raise ValueError(f"kernel_size must be odd to keep the image's size, got {kernel_size}")
        self.hidden = hidden
        # gates in the order input, forget, output, candidate
        self.conv = nn.Conv2d(channels + hidden, 4 * hidden, kernel, padding=(kernel[0] // 2, kernel[1] // 2))
        size = peephole_size or (1, 1)
        self.peepholes = nn.Parameter(torch.zeros(3, hidden, *size)) if peephole or peephole_size else None  # W_ci, W_cf, W_co

    def initial_state(self, x: torch.Tensor) -> State:
        """Return a state of zeros at the size of `x` (B, C, H, W)."""
        zeros = x.new_zeros(x.shape[0], self.hidden, *x.shape[2:])
        return zeros, zeros

    def forward(self, x: torch.Tensor, state: State | None = None) -> State:
        """Map an input (B, channels, H, W) and the state before it (zeros by default) to the state after it."""
        hidden, cell = state or self.initial_state(x)
        return step(x, hidden, cell, *self.arguments())

    def arguments(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, list[int]]:
        """Return the cell's arguments of `step`: weight, bias, peepholes, padding."""
        assert self.conv.bias is not None
        height, width = self.conv.kernel_size
        return self.conv.weight, self.conv.bias, self.peepholes, [height // 2, width // 2]


def walk(
    steps: torch.Tensor,
    hidden: torch.Tensor,
    cell: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    peepholes: torch.Tensor | None,
    padding: list[int],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Apply `step` along a sequence.

    Args:
        steps: Sequence (T, B, channels, H, W).
        hidden: Hidden state before the first step.
        cell: Cell state before the first step.
        weight: As in `step`, like the rest.
        bias: As in `step`.
        peepholes: As in `step`.
        padding: As in `step`.

    Returns:
        The hidden state after every step (T, B, hidden, H, W), and the hidden state and the cell state after the last one.
    """
    outputs = []
    for x in steps:
        hidden, cell = step(x, hidden, cell, weight, bias, peepholes, padding)
        outputs.append(hidden)
    return torch.stack(outputs), hidden, cell


def scan(cell: nn.Module, steps: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
    """Run a ConvLSTM cell along a sequence.

    Args:
        cell: A ConvLSTMCell.
        steps: Sequence (T, B, channels, H, W), T at least 1.
        state: The state before the first step; zeros by default.

    Returns:
        The hidden state after every step (T, B, hidden, H, W), and the state after the last one.
    """
    # traced, a Python loop would unroll to the example's length; scripted, it becomes one ONNX Loop of any length
    run = torch.jit.script(walk) if torch.jit.is_tracing() else walk
    before = state or cell.initial_state(steps[0])  # type: ignore[operator]
    outputs, hidden, last = run(steps, before[0], before[1], *cell.arguments())  # type: ignore[operator]
    return outputs, (hidden, last)


class ConvLSTM(nn.Module):
    """Stacked ConvLSTM cells along a sequence; each layer reads the hidden states of the one below.

    Args:
        channels: Features of the input.
        hidden: Features of each layer's state, bottom first.
        kernel_size: As in ConvLSTMCell.
        peephole: As in ConvLSTMCell.
        peephole_size: As in ConvLSTMCell.
    """

    def __init__(
        self,
        channels: int,
        hidden: Sequence[int],
        kernel_size: int | tuple[int, int] = 3,
        peephole: bool = False,
        peephole_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        inputs = [channels, *hidden[:-1]]
        self.cells = nn.ModuleList(
            ConvLSTMCell(before, after, kernel_size, peephole, peephole_size)
            for before, after in zip(inputs, hidden, strict=True)
        )

    def forward(self, x: torch.Tensor, states: Sequence[State | None] | None = None) -> tuple[torch.Tensor, list[State]]:
        """Run all layers along a sequence.

        Args:
            x: Sequence (T, B, channels, H, W), T at least 1.
            states: Each layer's state before the first step; None for zeros.

        Returns:
            The last layer's hidden states (T, B, hidden[-1], H, W), and every layer's state after the last step.
        """
        last: list[State] = []
        for cell, state in zip(self.cells, states or [None] * len(self.cells), strict=True):
            x, state = scan(cell, x, state)
            last.append(state)
        return x, last


class ConvLSTMScan(nn.Module):
    """Memory across an image by ConvLSTMs in four directions; maps (B, C, H, W) to the same shape.

    Two ConvLSTMs scan the rows, downwards and upwards. Two scan the columns, to the right and to the left. Each row (column) is
    one step of a sequence. A 1 x 1 convolution mixes the four directions into the input.

    A recurrence along one image axis with a convolution across the other is the Row LSTM's idea (van den Oord et al. 2016).

    Args:
        channels: C.
        hidden: Features of the state in each direction.
        kernel_size: Width of the convolution across the scan, odd.
    """

    def __init__(self, channels: int, hidden: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.directions = nn.ModuleList(ConvLSTMCell(channels, hidden, (1, kernel_size)) for _ in range(4))
        self.mix = nn.Conv2d(4 * hidden, channels, 1)
        for cell in self.directions:
            # start with an open forget gate, the second quarter (Jozefowicz et al. 2015)
            nn.init.ones_(cell.conv.bias[hidden : 2 * hidden])  # type: ignore[index, union-attr]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # per position, so that padding has no effect
        rows = y.permute(2, 0, 1, 3).unsqueeze(3)  # (H, B, C, 1, W)
        columns = y.permute(3, 0, 1, 2).unsqueeze(3)  # (W, B, C, 1, H)
        down, up, right, left = self.directions
        scanned = [
            scan(down, rows)[0].squeeze(3).permute(1, 2, 0, 3),  # (B, hidden, H, W)
            scan(up, rows.flip(0))[0].flip(0).squeeze(3).permute(1, 2, 0, 3),
            scan(right, columns)[0].squeeze(3).permute(1, 2, 3, 0),
            scan(left, columns.flip(0))[0].flip(0).squeeze(3).permute(1, 2, 3, 0),
        ]
        mixed: torch.Tensor = self.mix(torch.cat(scanned, dim=1))
        return x + mixed
