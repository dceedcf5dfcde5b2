"""What a training run is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from ..errors import PixelRNNError, nearest
from ..models import create_model

SHARES = ("adversarial", "feature_matching", "projected", "perceptual", "error")


@dataclass(frozen=True)
class Recipe:
    """One training run; the defaults are the described one. A recipe file is flat YAML with these keys and those of the model's
    config."""

    model: str = "optimized_pixelrnn"
    size: int = 256  # side of the pictures in pixels
    headroom: float = 1.25  # photographs are reduced to at most this multiple of it before a square is cut out
    epochs: int = 20
    minutes: float | None = None  # a budget of time instead of epochs
    epoch_steps: int | None = None  # cut epochs to so many steps, on large folders
    batch_size: int = 16
    learning_rate: float = 0.001
    schedule: str = "constant"  # or "one_cycle": up over the first tenth, then down a cosine to a hundredth
    loss: str = "combined"  # over the whole picture; or over the missing pixels, "hole_l1" or "hole_rmse"
    part: str = "all"  # what learns: or the "filler" or the "detector" alone, where a model has them
    # for looks: shares of the gradient by the picture, whatever the size of each loss, in place of `loss`. Of a patch
    # discriminator's verdict and of the distance in its features, of a projected one's, of the distance in EfficientNet's
    # features and of the mean absolute error; the third and the fourth need the extra "perceptual"
    adversarial: float = 0.0
    feature_matching: float = 0.0
    projected: float = 0.0
    perceptual: float = 0.0
    error: float = 0.0
    discriminator_rate: float = 0.0004
    mse_weight: float = 0.8
    ssim_weight: float = 0.2
    structure_weight: float = 0.0  # of 1 - SSIM of the missing pixels' luma, added to a loss of the missing pixels
    # "given" and "square": pairs as they are, photographs at random or with the described square; "random" and "squares": the
    # originals of pairs, too, are occluded afresh each time they are read
    occlusion: str = "given"
    clean: float | None = None  # share of photographs left whole, for the detector's sake; None: 0.05 for "random", else 0
    valid_from: int | None = None  # pairs with this number and above validate; photographs all train
    valid_fraction: float = 0.1  # else this share of each folder, drawn by the seed
    share: float = 1.0  # of the photographs to train on, drawn by the seed: what more of them would be worth
    guided: float = 0.0  # share of pictures that come with the truth's own coarse one as guide
    ema: float = 0.0  # decay of the averaged weights; 0 is off
    clip: float = 0.0  # largest gradient norm; 0 is off
    weight_decay: float = 0.0  # of kernels and matrices, AdamW's; 0 is Adam
    beta2: float = 0.999  # decay of the optimiser's squared gradients
    mask_bank: int = 0  # keep all photographs and so many masks in the memory of the device that trains; 0 reads them as needed
    seed: int = 0
    start_from: str = "bundled"  # the bundled weights where they are of this model; "scratch": fresh ones; or a file or a name
    workers: int = 0  # processes that read pictures; 0 reads in the training process
    # "float32", "bf16", or auto: bf16 on a GPU alone; on a CPU it pays with AMX or AVX512-BF16, which few laptops have
    precision: str = "auto"


def read_recipe(path: Path | None, overrides: Sequence[str] = ()) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a YAML file (None: the described run) with `key=value` overrides, and its options for the model.

    Raises PixelRNNError for a missing or malformed file and for a value of the wrong type.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = yaml.safe_load(path.read_text()) or {}
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise PixelRNNError(f"{path}: not a readable recipe ({error}). Expected flat YAML, as in recipes/.") from None
        if not isinstance(values, dict):
            raise PixelRNNError(f"{path}: expected 'key: value' lines, as in recipes/.")
    for override in overrides:
        key, _, text = override.partition("=")
        values[key] = yaml.safe_load(text)
    known = {field.name: field.type for field in fields(Recipe)}
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key not in known}
    chosen = {key: value for key, value in values.items() if key in known}
    for key, value in chosen.items():
        allowed: Any = known[key]
        if isinstance(value, int) and not isinstance(value, bool) and isinstance(1.0, allowed):
            chosen[key] = float(value)
        elif not isinstance(value, allowed) or isinstance(value, bool) != (allowed is bool):
            raise PixelRNNError(f"recipe: {key} must be {getattr(allowed, '__name__', allowed)}, got {value!r}.")
    for key, choices in {
        "schedule": ("constant", "one_cycle"),
        "loss": ("combined", "hole_l1", "hole_rmse"),
        "part": ("all", "filler", "detector"),
        "occlusion": ("given", "random", "squares", "square"),
        "precision": ("auto", "float32", "bf16"),
    }.items():
        if chosen.get(key, choices[0]) not in choices:
            raise PixelRNNError(f"recipe: {key} must be one of {', '.join(choices)}, got {chosen[key]!r}.")
    try:
        create_model(chosen.get("model", Recipe.model), **options)
    except PixelRNNError as error:
        if options and any(key in str(error) for key in options):
            key = next(key for key in options if key in str(error))
            raise PixelRNNError(f"recipe: no key {key!r}{nearest(key, list(known))} {error}") from None
        raise
    return Recipe(**chosen), options
