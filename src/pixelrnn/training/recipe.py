"""What a training run is made of."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from ..errors import PixelRNNError, nearest
from ..models import create_model

FILLING = ("filler", "decoder")  # parts of what fills
RENAMED = {  # keys of recipes and runs up to 0.1.0, and what they are called since
    "headroom": "crop_scale",
    "start_from": "init_from",
    "share": "train_fraction",
    "clean": "clean_prob",
    "clip": "grad_clip",
    "ema": "ema_decay",
    "guided": "guide_prob",
    "part": "trainable",
}
SHARES = ("adversarial", "feature_matching", "projected", "perceptual", "error")

Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, config=ConfigDict(strict=True, allow_inf_nan=False))
class Recipe:
    """One training run; the defaults are the described one. A recipe file is flat YAML with these keys and those of the model's
    config. Values out of range raise pydantic's ValidationError.
    """

    model: str = "optimized_pixelrnn"
    size: Annotated[int, Field(ge=11)] = 256  # side of the pictures in pixels; SSIM's window is 11
    crop_scale: Annotated[float, Field(ge=1)] = 1.25  # photographs are reduced to at most this multiple of it before the crop
    epochs: Count = 20
    minutes: Annotated[float, Field(gt=0)] | None = None  # a budget of time instead of epochs
    epoch_steps: Count | None = None  # cut epochs to so many steps, on large folders
    validate_minutes: Weight | None = None  # at least, from one validation to the next; None: a twentieth of `minutes`
    batch_size: Count = 16  # over all processes
    learning_rate: Weight = 0.001
    schedule: Literal["constant", "one_cycle"] = "constant"  # one_cycle: up over a tenth, then down a cosine to a hundredth
    loss: Literal["combined", "hole_l1", "hole_rmse"] = "combined"  # over the whole picture; the others over the missing pixels
    trainable: Literal["all", "filler", "decoder", "detector"] = "all"  # what learns, where a model has these
    # for looks: shares of the gradient by the picture, whatever the size of each loss, in place of `loss`. Of a patch
    # discriminator's verdict and of the distance in its features, of a projected one's, of the distance in EfficientNet's
    # features and of the mean absolute error; the third and the fourth need the extra "perceptual"
    adversarial: Weight = 0.0
    feature_matching: Weight = 0.0
    projected: Weight = 0.0
    perceptual: Weight = 0.0
    error: Weight = 0.0
    discriminator_rate: Weight = 0.0004
    mse_weight: Weight = 0.8
    ssim_weight: Weight = 0.2
    structure_weight: Weight = 0.0  # of 1 - SSIM of the missing pixels' luma, added to a loss of the missing pixels
    # "given" and "square": pairs as they are, photographs at random or with the described square; "random" and "squares": the
    # originals of pairs, too, are occluded afresh each time they are read
    occlusion: Literal["given", "random", "squares", "square"] = "given"
    clean_prob: Share | None = None  # of photographs left whole, for the detector's sake; None: 0.05 for "random", else 0
    check_pairs: bool = True  # refuse pairs whose pictures do not belong together
    valid_from: Natural | None = None  # pairs with this number and above validate; photographs all train
    valid_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1  # else this share of each folder, drawn by the seed
    train_fraction: Annotated[float, Field(gt=0, le=1)] = (
        1.0  # of the photographs to train on, drawn by the seed: what more would be worth
    )
    guide_prob: Share = 0.0  # of pictures that come with the truth's own coarse one as guide
    ema_decay: Decay = 0.0  # decay of the averaged weights; 0 is off
    grad_clip: Weight = 0.0  # largest gradient norm; 0 is off
    weight_decay: Weight = 0.0  # of kernels and matrices, AdamW's; 0 is Adam
    beta2: Decay = 0.999  # decay of the optimiser's squared gradients
    mask_bank: Natural = 0  # keep all photographs and so many masks in the memory of the device that trains; 0 reads them
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    init_from: str = "bundled"  # the bundled weights where they are of this model; "scratch": fresh ones; or a file or a name
    workers: Natural = 0  # processes that read pictures; 0 reads in the training process
    # auto: bf16 on a GPU alone; on a CPU it pays with AMX or AVX512-BF16, which few laptops have
    precision: Literal["auto", "float32", "bf16"] = "auto"


# values that another one makes useless: the key, whether it does, and why
USELESS: dict[str, tuple[Any, str]] = {
    "mse_weight": (lambda r: r.loss != "combined", "is of loss combined"),
    "ssim_weight": (lambda r: r.loss != "combined", "is of loss combined"),
    "structure_weight": (lambda r: r.loss == "combined", "goes with loss hole_l1 or hole_rmse"),
    "loss": (lambda r: any(getattr(r, share) for share in SHARES), f"is replaced by {', '.join(SHARES)}"),
    "discriminator_rate": (lambda r: not (r.adversarial or r.feature_matching or r.projected), "needs a discriminator"),
    "weight_decay": (lambda r: any(getattr(r, share) for share in SHARES), "is not used for looks"),
    "beta2": (lambda r: any(getattr(r, share) for share in SHARES), "is not used for looks"),
    "guide_prob": (lambda r: r.trainable == "detector", "is for what fills, and trainable is detector"),
    "valid_fraction": (lambda r: r.valid_from is not None, "is not used beside valid_from"),
}
EXPECTED = {  # by pydantic's kinds of errors
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "at most {le:g}",
    "less_than": "below {lt:g}",
    "int_type": "int",
    "float_type": "float",
    "bool_type": "true or false",
    "string_type": "text",
    "finite_number": "finite",
    "literal_error": "one of {expected}",
}
CHANGEABLE = ("epochs", "minutes", "validate_minutes", "workers")  # of a run that goes on


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML reads it, and 1e-3 is a number, as in YAML 1.2."""


_Loader.yaml_implicit_resolvers = {key: list(found) for key, found in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_values(path: Path | None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """What a YAML file (None: nothing) and `key=value` overrides say, unchecked. An override of `epochs` takes the place of the
    file's `minutes`, and the other way round. Raises PixelRNNError for a missing or malformed file or override.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = _yaml(path.read_text()) or {}
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise PixelRNNError(f"{path}: not a readable recipe ({reason}). Expected flat YAML, as in recipes/.") from None
        if not isinstance(values, dict):
            raise PixelRNNError(f"{path}: expected 'key: value' lines, as in recipes/.")
    given: dict[str, Any] = {}
    for override in overrides:
        key, _, text = override.partition("=")
        try:
            given[key] = _yaml(text)
        except yaml.YAMLError:
            raise PixelRNNError(f"{override}: not a readable value. Expected key=value, such as epochs=5.") from None
    for key, other in (("epochs", "minutes"), ("minutes", "epochs")):
        if given.get(key) is not None and other not in given:
            values.pop(other, None)
    return values | given


def _yaml(text: str) -> Any:
    return yaml.load(text, _Loader)


def migrate(values: Mapping[str, Any]) -> dict[str, Any]:
    """Recipe values under the names that they have today."""
    return {RENAMED.get(key, key): value for key, value in values.items()}


def make_recipe(values: Mapping[str, Any]) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of such values, and its options for the model.

    Raises PixelRNNError for an unknown key, a value of the wrong type or out of range, and one that another makes useless.
    """
    values = migrate(values)
    known = [field.name for field in fields(Recipe)]
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key not in known}
    chosen = {key: value for key, value in values.items() if key in known}
    try:
        recipe = Recipe(**chosen)
    except ValidationError as error:
        found = error.errors()[0]
        expected = EXPECTED.get(found["type"], found["msg"]).format(**found.get("ctx", {}))
        raise PixelRNNError(f"recipe: {found['loc'][0]} must be {expected}, got {found['input']!r}.") from None
    _check_together(recipe, chosen)
    try:
        _check_options(options)
        create_model(recipe.model, **options)
    except PixelRNNError as error:
        if options and any(key in str(error) for key in options):
            key = next(key for key in options if key in str(error))
            raise PixelRNNError(f"recipe: no key {key!r}{nearest(key, known)} {error}") from None
        raise
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:  # whatever a network meets while it is built
        reason = " ".join(str(error).split())
        raise PixelRNNError(f"recipe: {recipe.model} cannot be built with {options} ({reason}).") from None
    return recipe, options


def _check_options(options: Mapping[str, Any]) -> None:
    for key, value in options.items():
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(number, int | float) and number < isinstance(value, tuple) for number in numbers):
            raise ValueError(f"{key} must not be {'below 1' if isinstance(value, tuple) else 'negative'}")


def _check_together(recipe: Recipe, given: Mapping[str, Any]) -> None:
    if given.get("epochs") is not None and recipe.minutes is not None:
        raise PixelRNNError("recipe: epochs beside minutes: a run ends by one of the two. Leave one out.")
    if not recipe.mse_weight + recipe.ssim_weight:
        raise PixelRNNError("recipe: mse_weight and ssim_weight are both 0, so nothing would be learned. Raise one.")
    if any(getattr(recipe, share) for share in SHARES) and recipe.trainable not in FILLING:
        raise PixelRNNError(f"{', '.join(SHARES)}: what fills is trained by them alone. Add trainable=filler.")
    if recipe.mask_bank and (recipe.occlusion not in ("random", "squares") or recipe.trainable not in FILLING):
        raise PixelRNNError("mask_bank: needs photographs, occlusion random or squares, and trainable=filler.")
    default = Recipe()
    for key, (is_useless, reason) in USELESS.items():
        if key in given and getattr(recipe, key) != getattr(default, key) and is_useless(recipe):
            raise PixelRNNError(f"recipe: {key} {reason}. Leave it out.")


def read_recipe(path: Path | None, overrides: Sequence[str] = ()) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a YAML file (None: the described run) with `key=value` overrides, and its options for the model. Raises
    what read_values and make_recipe raise.
    """
    return make_recipe(read_values(path, overrides))


def continued(saved: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a run that goes on: its own, but for those of `given` that may change. Raises PixelRNNError that names the
    others.
    """
    defaults = asdict(Recipe())
    values = migrate(saved)
    for key, value in migrate(given).items():
        if key not in values and key not in defaults:
            raise PixelRNNError(f"recipe: no key {key!r}{nearest(key, [*defaults, *values])}")
        value, own = (list(one) if isinstance(one, tuple) else one for one in (value, values.get(key, defaults.get(key))))
        if value == own:
            continue
        ends = {"epochs": "minutes", "minutes": "epochs"}.get(key)
        if key not in CHANGEABLE or (ends and values.get(ends) is not None):
            raise PixelRNNError(
                f"{key}: this run has {own}, got {value}. --resume keeps the run's own recipe; only "
                f"{', '.join(CHANGEABLE)} may change. Leave {key} out, or name another folder with -o."
            )
        values[key] = value
    return values


def recipe_values(recipe: Recipe, options: Mapping[str, Any]) -> dict[str, Any]:
    """What make_recipe makes the same of: all that is not a default."""
    default = asdict(Recipe())
    return {key: value for key, value in asdict(recipe).items() if value != default[key]} | {
        key: list(value) if isinstance(value, tuple) else value for key, value in options.items()
    }
