"""Draws what a pixel knows in each autoregressive model, measured by gradients, and the skewing: docs/receptive_fields.png.

python docs/receptive_fields.py
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure

from pixelrnn.models import create_model
from pixelrnn.models.diagonal_bilstm import skew

mpl.use("Agg")
SIDE, PIXEL = 25, (16, 12)  # of the picture, and whose knowledge is drawn: row, column
BLOCKS = 3


def reach(name: str) -> np.ndarray:
    """Mean size of the gradient of the distribution of PIXEL by every pixel (SIDE, SIDE), over twenty fresh networks."""
    total = torch.zeros(SIDE, SIDE)
    for seed in range(20):
        torch.manual_seed(seed)
        model = create_model(name, channels=1, levels=2, features=8, depth=BLOCKS, head_features=16, encoder_features=0)
        image = torch.rand(1, 1, SIDE, SIDE, requires_grad=True)
        features = model.features(image, None)[:, :, PIXEL[0], PIXEL[1]]
        model.parameters_at(features).square().sum().backward()
        total += image.grad[0, 0].abs()
    return total.numpy()


def main() -> None:
    figure = Figure(figsize=(15, 4.2), layout="constrained")
    axes = figure.subplots(1, 4)
    titles = {"pixelcnn": "PixelCNN", "row_lstm": "Row LSTM", "diagonal_bilstm": "Diagonal BiLSTM"}
    for panel, (name, title) in zip(axes, titles.items(), strict=False):
        found = reach(name)
        with np.errstate(divide="ignore"):
            panel.imshow(np.log10(found / found.max()), cmap="viridis", vmin=-6, vmax=0)
        panel.plot(PIXEL[1], PIXEL[0], "s", color="tab:red", markersize=7)
        panel.set_title(f"{title}: {np.count_nonzero(found)} of {PIXEL[0] * SIDE + PIXEL[1]} pixels before", fontsize=11)
        panel.set_facecolor("white")
    numbers = torch.arange(1.0, 21).view(1, 4, 5, 1)
    skewed = skew(numbers)[:, 0, :, 0].T
    axes[3].imshow(np.where(skewed > 0, np.arange(skewed.shape[1]) % 2 + 1.0, np.nan), cmap="Pastel1", vmin=0, vmax=8)
    for (row, column), number in np.ndenumerate(skewed.numpy()):
        axes[3].text(column, row, f"{number:.0f}" if number else "", ha="center", va="center")
    axes[3].set_title("4 x 5 pixels, skewed: a diagonal is a column", fontsize=11)
    for panel in axes:
        panel.set(xticks=[], yticks=[])
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=80)


if __name__ == "__main__":
    main()
