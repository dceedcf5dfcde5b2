"""Makes a checkpoint that ships: an average of weights, with calibrated deviations, in float16.

python recipes/bundle.py PHOTOGRAPHS OUT.safetensors WEIGHTS
python recipes/bundle.py PHOTOGRAPHS OUT.safetensors WEIGHTS WEIGHTS --share 0.6

--share: of the second weights in the average (network interpolation: Wang et al. 2018, "ESRGAN", section 3.4). On a hundred of
the training PHOTOGRAPHS the deviations are calibrated: each fifth of them, by size, should hold 68.3% of the errors. A sampler
is taken as it is. What detects is that of bedrooms-detector, whatever the weights have.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixelrnn import checkpoint
from pixelrnn.data.occluders import described_square, strokes
from pixelrnn.decode import read_image
from pixelrnn.folders import list_images
from pixelrnn.image import to_float
from pixelrnn.models import CompletionModel, model_kind
from pixelrnn.training.losses import ONE_SIGMA

DATA = (
    "photographs, research use: the originals of 962 pairs of the Kaggle 'bedroom-occluded-images' derivative of 'House Rooms "
    "Image Dataset' (numbers below 1100), 4,515 bedrooms and 24,800 other rooms of Places365, 471 bedrooms of the Houses "
    "dataset (Ahmed and Moustafa 2016), 215 IKEA room scenes and 1,437 frames of NYU Depth v2; sharp: on 22,640 of these"
)
SAMPLED = (
    "photographs, research use: 8,548 of those that bedrooms-expected saw, with its completions of two holes in each: the "
    "originals of 962 pairs (numbers below 1100), 4,515 bedrooms and 2,600 other rooms of Places365, 471 bedrooms of the "
    "Houses dataset"
)


def main(photographs: Path, out: Path, weights: list[Path], share: float) -> None:
    loaded = [checkpoint.load(file) for file in weights]
    model, about = loaded[0].model, dict(loaded[-1].metadata)
    samples = model_kind(model) == "autoregressive"
    metadata |= {"data": SAMPLED if samples else DATA, "card": "MODEL_CARD.md", "torch": torch.__version__}
    if samples:
        checkpoint.save(out, model, metadata)
        return
    if len(loaded) > 1:
        first, second = (each.model.state_dict() for each in loaded)
        model.load_state_dict({key: value.lerp(second[key], share) for key, value in first.items()})
        metadata["average"] = {"shares": [1 - share, share], "recipes": [each.metadata["recipe"] for each in loaded]}
    paths = list_images(photographs)
    spread, shift = calibrate(model, paths[:: max(1, len(paths) // 100)])  # type: ignore[arg-type]
    metadata["calibration"] = {"spread": spread, "shift": shift}
    checkpoint.save(out, model, metadata, part="filler")
    print(out, metadata["calibration"])


def calibrate(model: CompletionModel, paths: list[Path]) -> tuple[float, float]:
    """Change the last layer so that what stands before the sigmoid of log_std is spread and shifted; by how much."""
    samples = [_errors(model, paths, shape) for shape in (described_square, strokes)]

    def miss(spread: float, shift: float) -> float:
        parts = [_fifths(errors, -6 / (1 + np.exp(-(spread * raw + shift)))) for errors, raw in samples]
        return float(np.square(np.array(parts) - ONE_SIGMA).sum())

    grid = [(float(spread), float(shift)) for spread in np.arange(0.8, 2, 0.05) for shift in np.arange(-1.2, 1.2, 0.05)]
    spread, shift = min(grid, key=lambda both: miss(*both))
    last: Any = model.filler.head[-1]  # type: ignore[union-attr, index]
    with torch.no_grad():  # its outputs are divided by 8 later; the fourth is the deviation's
        last.weight[3] *= spread
        last.bias[3] = last.bias[3] * spread + 8 * shift
    return spread, shift


@torch.inference_mode()
def _errors(model: CompletionModel, paths: list[Path], shape: Any) -> tuple[np.ndarray, np.ndarray]:
    """Of 500 missing pixels per photograph, absolute errors (3, N) and what stands before the sigmoid of log_std (N,)."""
    errors, raw = [], []
    for number, path in enumerate(paths):
        rng = np.random.default_rng([7, number])
        image = torch.from_numpy(to_float(read_image(path)))[None]
        mask = shape(rng, *image.shape[2:])
        filled = model.fill(image, torch.from_numpy(mask)[None, None].float())
        chosen = rng.permutation(int(mask.sum()))[:500]
        errors.append((filled.image - image).abs()[0].numpy()[:, mask][:, chosen])
        raw.append(torch.logit(filled.log_std / -6)[0, 0].numpy()[mask][chosen])  # type: ignore[operator]
    return np.concatenate(errors, axis=1), np.concatenate(raw)


def _fifths(errors: np.ndarray, log_std: np.ndarray) -> list[float]:
    """The share of errors within one deviation in each fifth of the deviations."""
    return [float((errors[:, part] <= np.exp(log_std[part])).mean()) for part in np.array_split(np.argsort(log_std), 5)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--share", type=float, default=0.6)
    asked = parser.parse_args()
    main(asked.photographs, asked.out, asked.weights, asked.share)
