"""Joins the stages of the bundled weights into a file that ships, with the recipe of each.

python recipes/bundle.py PHOTOGRAPHS runs/bedrooms-{128,256,detector,expected} OUT.safetensors
python recipes/bundle.py PHOTOGRAPHS runs/bedrooms-sampler OUT.safetensors

A stage is the folder of a run, or a file of weights, which brings its own stages along. The filler is that of the last stage
which trained it, or what it borrows, and the detector that of the last which trained one. On a hundred of the training
PHOTOGRAPHS, what is borrowed is strengthened until the hole has the truth's gradient energy, and the deviations are calibrated:
each fifth of them, by size, should hold 68.3% of the errors. A sampler is taken as it is.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pixelrnn import checkpoint
from pixelrnn.image import list_images, read_image, to_float
from pixelrnn.losses import ONE_SIGMA
from pixelrnn.metrics import gradient_energy
from pixelrnn.occluders import described_square, strokes

DATA = (
    "photographs, research use: the originals of 962 pairs of the Kaggle 'bedroom-occluded-images' derivative of 'House Rooms "
    "Image Dataset' (numbers below 1100), 4,515 bedrooms and 2,600 other rooms of Places365, and 411 bedrooms of the Houses "
    "dataset (Ahmed and Moustafa 2016)"
)


def main(photographs: Path, stages: list[Path], out: Path) -> None:
    files = [stage / "optimized_pixelrnn.safetensors" if stage.is_dir() else stage for stage in stages]
    loaded = [checkpoint.load(file) for file in files]
    trained = {each.about["recipe"]["part"]: each for each in loaded}  # the last of each
    last = trained.get("blend", trained.get("filler", loaded[-1]))
    if "detector" in trained:
        last.model.detector.load_state_dict(trained["detector"].model.detector.state_dict())  # type: ignore[union-attr]
    about: dict[str, Any] = {"recipe": last.about["recipe"], "history": last.about["history"], "data": DATA}
    about |= {"card": "MODEL_CARD.md", "torch": torch.__version__}
    if hasattr(last.model, "log_prob"):
        checkpoint.save(out, last.model, about)
        return
    paths = list_images(photographs)
    chosen = paths[:: max(1, len(paths) // 100)]
    calibration = {"gate": strengthen(last.model, chosen)} if last.model.config.borrow else {}  # type: ignore[union-attr]
    spread, shift = calibrate(last.model, chosen)
    made = [part for each in loaded for part in each.about.get("stages", [each.about])]
    made = [{"recipe": part["recipe"], "history": part["history"]} for part in made]
    about |= {"stages": made, "calibration": calibration | {"spread": spread, "shift": shift}}
    checkpoint.save(out, last.model, about)


@torch.inference_mode()
def strengthen(model: Any, paths: list[Path]) -> float:
    """Raise the gate of what is borrowed until the holes together have the truth's gradient energy; by how much."""
    bias, low, high = model.blend.head[1].bias, -1.0, 2.0
    before = bias[64:].clone()
    while high - low > 0.02:
        bias[64:], energies = before + (low + high) / 2, np.zeros(2)
        for number, path in enumerate(paths):
            image = torch.from_numpy(to_float(read_image(path)))[None]
            mask = torch.from_numpy(described_square(np.random.default_rng([7, number]), *image.shape[2:]))[None, None].float()
            filled = torch.where(mask > 0, model.fill(image, mask)[0], image)
            energies += [float(gradient_energy(one, mask)) for one in (filled, image)]
        low, high = ((low + high) / 2, high) if energies[0] < energies[1] else (low, (low + high) / 2)
    return (low + high) / 2


def calibrate(model: nn.Module, paths: list[Path]) -> tuple[float, float]:
    """Change the last layer so that what stands before the sigmoid of log_std is spread and shifted; by how much."""
    samples = [_errors(model, paths, shape) for shape in (described_square, strokes)]

    def miss(spread: float, shift: float) -> float:
        parts = [_fifths(errors, -6 / (1 + np.exp(-(spread * raw + shift)))) for errors, raw in samples]
        return float(np.square(np.array(parts) - ONE_SIGMA).sum())

    grid = [(float(spread), float(shift)) for spread in np.arange(0.8, 2, 0.05) for shift in np.arange(-1.2, 1.2, 0.05)]
    spread, shift = min(grid, key=lambda both: miss(*both))
    last = model.filler.head[1]  # type: ignore[union-attr, index]
    with torch.no_grad():  # its outputs are pictures of 4 x 4 pixels, divided by 8 later; the fourth is the deviation's
        last.weight[48:64] *= spread
        last.bias[48:64] = last.bias[48:64] * spread + 8 * shift
    return spread, shift


@torch.inference_mode()
def _errors(model: nn.Module, paths: list[Path], shape) -> tuple[np.ndarray, np.ndarray]:
    """Of 500 missing pixels per photograph, absolute errors (3, N) and what stands before the sigmoid of log_std (N,)."""
    errors, raw = [], []
    for number, path in enumerate(paths):
        rng = np.random.default_rng([7, number])
        image = torch.from_numpy(to_float(read_image(path)))[None]
        mask = shape(rng, *image.shape[2:])
        picture, log_std = model.fill(image, torch.from_numpy(mask)[None, None].float())  # type: ignore[operator]
        chosen = rng.permutation(int(mask.sum()))[:500]
        errors.append((picture - image).abs()[0].numpy()[:, mask][:, chosen])
        raw.append(torch.logit(log_std / -6)[0, 0].numpy()[mask][chosen])
    return np.concatenate(errors, axis=1), np.concatenate(raw)


def _fifths(errors: np.ndarray, log_std: np.ndarray) -> list[float]:
    """The share of errors within one deviation in each fifth of the deviations."""
    return [float((errors[:, part] <= np.exp(log_std[part])).mean()) for part in np.array_split(np.argsort(log_std), 5)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(word) for word in sys.argv[2:-1]], Path(sys.argv[-1]))
