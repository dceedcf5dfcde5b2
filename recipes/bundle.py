"""Make a checkpoint to be bundled: an average of weights, with a calibrated standard deviation, in float16.

python recipes/bundle.py PHOTOGRAPHS OUT.safetensors WEIGHTS
python recipes/bundle.py PHOTOGRAPHS OUT.safetensors WEIGHTS WEIGHTS --share 0.6

--share is the share of the second weights in the average (network interpolation: Wang et al. 2018, "ESRGAN", section 3.4). The
standard deviation is calibrated on a hundred of the training PHOTOGRAPHS: each fifth of the pixels, sorted by their standard
deviation, should hold 68.3% of its errors. A sampler is copied as it is. The detector is always that of bedrooms-detector,
whatever detector the weights have.
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
from pixelrnn.models import model_kind
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
    model, metadata = loaded[0].model, dict(loaded[-1].metadata)
    samples = model_kind(model) == "autoregressive"
    metadata |= {"data": SAMPLED if samples else DATA, "card": "MODEL_CARD.md", "torch": torch.__version__}
    if samples:
        checkpoint.save(out, model, metadata)
        return
    if len(loaded) > 1:
        first, second = (part.model.state_dict() for part in loaded)
        model.load_state_dict({key: value.lerp(second[key], share) for key, value in first.items()})
        metadata["average"] = {"shares": [1 - share, share], "recipes": [part.metadata["recipe"] for part in loaded]}
    paths = list_images(photographs)
    gain, shift = calibrate(model, paths[:: max(1, len(paths) // 100)])
    metadata["calibration"] = {"spread": gain, "shift": shift}
    checkpoint.save(out, model, metadata, part="filler")
    print(out, metadata["calibration"])


def calibrate(model: Any, paths: list[Path]) -> tuple[float, float]:
    """Rescale the model's log_std to fit the errors on photographs; return the gain and the shift, before its sigmoid."""
    samples = [_errors(model, paths, shape) for shape in (described_square, strokes)]

    def distance(gain: float, shift: float) -> float:
        shares = [_fifths(errors, -6 / (1 + np.exp(-(gain * raw + shift)))) for errors, raw in samples]
        return float(np.square(np.array(shares) - ONE_SIGMA).sum())

    grid = [(float(gain), float(shift)) for gain in np.arange(0.8, 2, 0.05) for shift in np.arange(-1.2, 1.2, 0.05)]
    gain, shift = min(grid, key=lambda point: distance(*point))
    model.rescale_log_std(gain, shift)
    return gain, shift


@torch.inference_mode()
def _errors(model: Any, paths: list[Path], shape: Any) -> tuple[np.ndarray, np.ndarray]:
    """The absolute errors (3, N) of 500 missing pixels per photograph, and the inputs (N,) of log_std's sigmoid."""
    errors, raw = [], []
    for number, path in enumerate(paths):
        rng = np.random.default_rng([7, number])
        image = torch.from_numpy(to_float(read_image(path)))[None]
        mask = shape(rng, *image.shape[2:])
        filled = model.fill(image, torch.from_numpy(mask)[None, None].float())
        chosen = rng.permutation(int(mask.sum()))[:500]
        errors.append((filled.image - image).abs()[0].numpy()[:, mask][:, chosen])
        raw.append(torch.logit(filled.log_std / -6)[0, 0].numpy()[mask][chosen])
    return np.concatenate(errors, axis=1), np.concatenate(raw)


def _fifths(errors: np.ndarray, log_std: np.ndarray) -> list[float]:
    """The share of errors within one std in each fifth of the pixels, sorted by std."""
    return [float((errors[:, fifth] <= np.exp(log_std[fifth])).mean()) for fifth in np.array_split(np.argsort(log_std), 5)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--share", type=float, default=0.6)
    args = parser.parse_args()
    main(args.photographs, args.out, args.weights, args.share)
