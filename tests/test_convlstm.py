"""The ConvLSTM and the scans against loops written from the papers' equations with numpy and scipy."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch import nn

from contract import TOLERANCE
from pixelrnn.models.convlstm import ConvLSTM, ConvLSTMCell, ConvLSTMScan, scan
from pixelrnn.models.layers import GatedScan

FLOAT64 = TOLERANCE[torch.float64]
Array = np.ndarray


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def convolve(x: Array, kernels: Array) -> Array:
    """(C, H, W) and (D, C, h, w) to (D, H, W): zeros outside the picture."""
    return np.stack([sum(correlate2d(a, k, mode="same") for a, k in zip(x, kernel, strict=True)) for kernel in kernels])


def shi_step(cell: ConvLSTMCell, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    """Equation 3 of Shi et al. 2015, one convolution per gate and operand, on (C, H, W)."""
    weights, biases = cell.conv.weight.detach().numpy(), cell.conv.bias.detach().numpy()
    inputs, n = x.shape[0], cell.hidden
    wx, wh, b = (
        dict(zip("ifoc", np.split(part, 4), strict=True)) for part in (weights[:, :inputs], weights[:, inputs:], biases)
    )
    peepholes = np.zeros((3, n, 1, 1)) if cell.peepholes is None else cell.peepholes.detach().numpy()
    wc = dict(zip("ifo", peepholes, strict=True))
    gate = {k: convolve(x, wx[k]) + convolve(h, wh[k]) + b[k][:, None, None] for k in "ifoc"}
    i = sigmoid(gate["i"] + wc["i"] * c)
    f = sigmoid(gate["f"] + wc["f"] * c)
    c = f * c + i * np.tanh(gate["c"])
    o = sigmoid(gate["o"] + wc["o"] * c)
    return o * np.tanh(c), c


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter random and well away from zero, peepholes too, in float64."""
    generator = torch.Generator().manual_seed(seed)
    module.double()
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.7
    return module


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PEEPHOLES = {"none": {}, "per channel": {"peephole": True}, "per position": {"peephole_size": (5, 4)}}


@pytest.mark.parametrize("peepholes", PEEPHOLES.values(), ids=PEEPHOLES.keys())
@pytest.mark.parametrize("kernel", [1, 3, (1, 3), (5, 3)], ids=str)
def test_a_cell_follows_the_equations_of_shi(kernel, peepholes) -> None:
    cell = randomise(ConvLSTMCell(2, 3, kernel, **peepholes))
    h = c = np.zeros((3, 5, 4))
    state = None
    for step in random(4, 1, 2, 5, 4):
        state = cell(step, state)
        h, c = shi_step(cell, step[0].numpy(), h, c)
        torch.testing.assert_close(state[0][0], torch.from_numpy(h), **FLOAT64)
        torch.testing.assert_close(state[1][0], torch.from_numpy(c), **FLOAT64)


@pytest.mark.parametrize("peepholes", PEEPHOLES.values(), ids=PEEPHOLES.keys())
def test_layers_of_cells_read_the_hidden_states_of_the_layer_below(peepholes) -> None:
    model, x = randomise(ConvLSTM(2, (3, 4, 2), **peepholes)), random(5, 2, 2, 5, 4)
    outputs, states = model(x)
    assert len(states) == 3
    for example in range(2):
        sequence = x[:, example].numpy()
        for cell, state in zip(model.cells, states, strict=True):
            h = c = np.zeros((cell.hidden, 5, 4))
            below, sequence = sequence, []
            for step in below:
                h, c = shi_step(cell, step, h, c)
                sequence.append(h)
            torch.testing.assert_close(state[0][example], torch.from_numpy(h), **FLOAT64)
            torch.testing.assert_close(state[1][example], torch.from_numpy(c), **FLOAT64)
        torch.testing.assert_close(outputs[:, example], torch.from_numpy(np.stack(sequence)), **FLOAT64)


@pytest.mark.parametrize("peepholes", PEEPHOLES.values(), ids=PEEPHOLES.keys())
def test_six_steps_at_once_equal_three_and_three_with_the_state_handed_on(peepholes) -> None:
    model, x = randomise(ConvLSTM(2, (3, 2), **peepholes)), random(6, 2, 2, 5, 4)
    whole, states = model(x)
    first, between = model(x[:3])
    second, last = model(x[3:], between)
    torch.testing.assert_close(torch.cat([first, second]), whole, **FLOAT64)
    for one, other in zip(states, last, strict=True):
        torch.testing.assert_close(one, other, **FLOAT64)
    assert not torch.allclose(model(x[3:])[0], second)  # the state matters


def test_a_scan_in_two_parts_equals_the_scan_in_one() -> None:
    cell, x = randomise(ConvLSTMCell(2, 3)), random(6, 1, 2, 4, 4)
    whole, state = scan(cell, x)
    first, between = scan(cell, x[:2])
    second, last = scan(cell, x[2:], between)
    torch.testing.assert_close(torch.cat([first, second]), whole, **FLOAT64)
    torch.testing.assert_close(state, last, **FLOAT64)
    torch.testing.assert_close(state[0], whole[-1], **FLOAT64)


@pytest.mark.parametrize("size", [(1, 1), (1, 37), (17, 23)], ids=str)
@pytest.mark.parametrize("peephole", [False, True])
def test_one_cell_works_at_any_size(size, peephole: bool) -> None:
    hidden, cell = randomise(ConvLSTMCell(2, 3, peephole=peephole))(random(2, 2, *size))
    assert hidden.shape == cell.shape == (2, 3, *size)


@pytest.mark.parametrize("kernel", [2, (3, 4), (2, 3)], ids=str)
@pytest.mark.parametrize("make", [lambda k: ConvLSTMCell(2, 3, k), lambda k: ConvLSTM(2, (3,), k)], ids=["cell", "layers"])
def test_even_kernels_are_refused(make, kernel) -> None:
    with pytest.raises(ValueError, match="must be odd"):
        make(kernel)


def walk(cell: ConvLSTMCell, lines: Array) -> Array:
    """The hidden states (T, hidden, N) of a cell led over the lines (T, C, N) of a picture."""
    h = c = np.zeros((cell.hidden, 1, lines.shape[2]))
    hidden = []
    for line in lines:
        h, c = shi_step(cell, line[:, None], h, c)
        hidden.append(h[:, 0])
    return np.stack(hidden)


def test_the_convlstm_scan_equals_a_plain_loop_over_rows_and_columns() -> None:
    model, x = randomise(ConvLSTMScan(3, 2)), random(2, 3, 5, 4)
    output = model(x)
    gain, shift = (p.detach().numpy()[:, None, None] for p in (model.norm.weight, model.norm.bias))
    for picture, result in zip(x.numpy(), output, strict=True):
        y = (picture - picture.mean(0)) / np.sqrt(picture.var(0) + 1e-5) * gain + shift
        rows, columns = y.transpose(1, 0, 2), y.transpose(2, 0, 1)
        down, up, right, left = model.directions
        features = np.concatenate(
            [
                walk(down, rows).transpose(1, 0, 2),
                walk(up, rows[::-1])[::-1].transpose(1, 0, 2),
                walk(right, columns).transpose(1, 2, 0),
                walk(left, columns[::-1])[::-1].transpose(1, 2, 0),
            ]
        )
        mix = model.mix.weight.detach().numpy()[:, :, 0, 0]
        expected = picture + np.einsum("dc,chw->dhw", mix, features) + model.mix.bias.detach().numpy()[:, None, None]
        torch.testing.assert_close(result, torch.from_numpy(expected), **FLOAT64)


def walk_gated(cell: nn.RNNBase, lines: Array, suffix: str) -> Array:
    """The hidden states (T, hidden, N) of a GRU (Cho et al. 2014 as PyTorch has it) or LSTM over the N sequences (T, C, N)."""
    wi, wh, bi, bh = (
        getattr(cell, f"{name}_l0{suffix}").detach().numpy() for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h = c = np.zeros((cell.hidden_size, lines.shape[2]))
    hidden = []
    for line in lines:
        x, y = wi @ line + bi[:, None], wh @ h + bh[:, None]
        if cell.mode == "GRU":
            (ri, zi, ni), (rh, zh, nh) = np.split(x, 3), np.split(y, 3)
            r, z = sigmoid(ri + rh), sigmoid(zi + zh)
            h = (1 - z) * np.tanh(ni + r * nh) + z * h
        else:
            i, f, g, o = np.split(x + y, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        hidden.append(h)
    return np.stack(hidden)


def both_ways(cell: nn.RNNBase, lines: Array) -> Array:
    """The sequences (T, C, N) forwards and backwards, (T, 2 hidden, N)."""
    back = walk_gated(cell, lines[::-1], "_reverse")[::-1]
    return np.concatenate([walk_gated(cell, lines, ""), back], axis=1)


GATED = pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM], ids=["gru", "lstm"])


@GATED
def test_the_gated_scan_equals_a_plain_loop_over_rows_and_then_columns(kind) -> None:
    model, x = randomise(GatedScan(3, 2, kind)), random(2, 3, 5, 4)
    output = model(x)
    gain, shift = (p.detach().numpy()[:, None, None] for p in (model.norm.weight, model.norm.bias))
    for picture, result in zip(x.numpy(), output, strict=True):
        y = (picture - picture.mean(0)) / np.sqrt(picture.var(0) + 1e-5) * gain + shift
        rows = both_ways(model.rows, y.transpose(2, 0, 1))  # (W, C, H): all rows at once, to (W, 2 hidden, H)
        columns = both_ways(model.columns, rows.transpose(2, 1, 0))  # (H, 2 hidden, W), to the same
        features = np.concatenate([rows.transpose(1, 2, 0), columns.transpose(1, 0, 2)])
        mixed = np.einsum("dc,chw->dhw", model.mix.weight.detach().numpy(), features)
        expected = picture + mixed + model.mix.bias.detach().numpy()[:, None, None]
        torch.testing.assert_close(result, torch.from_numpy(expected), **FLOAT64)


def reached(module: nn.Module, height: int, width: int, y: int, x: int) -> torch.Tensor:
    """bool (H, W): the input pixels that the output at (y, x) depends on."""
    picture = random(1, 3, height, width).requires_grad_()
    module(picture)[0, :, y, x].square().sum().backward()
    return picture.grad[0].abs().sum(0) > 0


CORNERS = pytest.mark.parametrize("corner", [(0, 0), (0, -1), (-1, 0), (-1, -1)], ids=str)


@CORNERS
@pytest.mark.parametrize("size", [(8, 8), (5, 9), (9, 5)], ids=str)
def test_the_convlstm_scan_carries_a_corner_to_the_opposite_corner(size, corner) -> None:
    y, x = corner
    assert reached(randomise(ConvLSTMScan(3, 4)), *size, y, x)[-1 - y, -1 - x]


@GATED
@CORNERS
@pytest.mark.parametrize("size", [(8, 8), (5, 9), (9, 5)], ids=str)
def test_the_gated_scan_lets_each_position_hear_of_all_others(size, corner, kind) -> None:
    assert reached(randomise(GatedScan(3, 4, kind)), *size, *corner).all()
