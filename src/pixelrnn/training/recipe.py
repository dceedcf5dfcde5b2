"""Recipes: the values of a training run, read from YAML and from the command line, and checked."""

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

FILLING = ("filler", "decoder")  # values of `trainable` that train the network that fills
RENAMED = {  # keys of recipes and runs up to 0.1.0, and their names since
    "headroom": "crop_scale",
    "start_from": "init_from",
    "share": "train_fraction",
    "clean": "clean_prob",
    "clip": "grad_clip",
    "ema": "ema_decay",
    "guided": "guide_prob",
    "part": "trainable",
}
SHARES = ("adversarial", "feature_matching", "projected", "perceptual", "error")  # keys that are shares of the gradient

Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, config=ConfigDict(strict=True, allow_inf_nan=False))
class Recipe:
    """The values of one training run; the defaults are the described run.

    A recipe file is flat YAML with these keys and those of the model's config.

    Raises:
        pydantic.ValidationError: A value is out of range.
    """

    model: str = "optimized_pixelrnn"

    # -- data
    size: Annotated[int, Field(ge=11)] = 256  # side of the images in pixels; SSIM's window is 11
    crop_scale: Annotated[float, Field(ge=1)] = 1.25  # photographs are reduced to at most this multiple of size, then cropped
    # "given": pairs as they are, photographs with random occlusions; "square": likewise, photographs with the described square;
    # "random" and "squares": the originals of pairs, too, get a new occlusion each time they are read
    occlusion: Literal["given", "random", "squares", "square"] = "given"
    clean_prob: Probability | None = None  # of photographs left whole, for the detector; None: 0.05 for "random", else 0
    check_pairs: bool = True  # refuse pairs whose images do not belong together
    valid_from: Natural | None = None  # pairs with this number and above validate; all photographs train
    valid_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1  # without valid_from: this share of each folder, by the seed
    train_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0  # of the photographs, drawn by the seed
    mask_bank: Natural = 0  # keep all photographs and this many masks in the device's memory; 0 reads files in each epoch
    workers: Natural = 0  # processes that read images; 0 reads in the training process

    # -- length
    epochs: Count = 20
    minutes: Annotated[float, Field(gt=0)] | None = None  # a budget of time instead of epochs
    epoch_steps: Count | None = None  # ends an epoch after this many steps, for large folders
    validate_minutes: Weight | None = None  # least time between two validations; None: a twentieth of `minutes`

    # -- optimiser
    batch_size: Count = 16  # over all processes
    learning_rate: Weight = 0.001
    schedule: Literal["constant", "one_cycle"] = "constant"  # one_cycle: up over a tenth, then down a cosine to a hundredth
    weight_decay: Weight = 0.0  # of kernels and matrices, AdamW's; 0 is Adam
    beta2: Decay = 0.999  # decay of the optimiser's squared gradients
    grad_clip: Weight = 0.0  # largest norm of the gradient; 0 is off
    ema_decay: Decay = 0.0  # decay of the averaged weights; 0 is off
    # auto: bf16 on a GPU only; on a CPU it pays off with AMX or AVX512-BF16, which few laptops have
    precision: Literal["auto", "float32", "bf16"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    init_from: str = "bundled"  # bundled weights if there are some of this model; "scratch" for fresh ones; a file; a name

    # -- what is trained
    trainable: Literal["all", "filler", "decoder", "detector"] = "all"  # for a model with these parts
    guide_prob: Probability = 0.0  # of images that come with a coarse version of the target as their guide

    # -- loss
    loss: Literal["combined", "hole_l1", "hole_rmse"] = "combined"  # over the whole image; the others over missing pixels
    mse_weight: Weight = 0.8  # of "combined", like the next
    ssim_weight: Weight = 0.2
    structure_weight: Weight = 0.0  # of 1 - SSIM of the missing pixels' luma, added to "hole_l1" or "hole_rmse"

    # -- losses for looks, in place of `loss`: shares of the gradient by the image, whatever the scale of each loss
    adversarial: Weight = 0.0  # the score of a patch discriminator
    feature_matching: Weight = 0.0  # the distance in its features
    projected: Weight = 0.0  # the score of a projected discriminator; needs the extra "perceptual", like the next
    perceptual: Weight = 0.0  # the distance in EfficientNet's features
    error: Weight = 0.0  # the mean absolute error
    discriminator_rate: Weight = 0.0004  # learning rate of the discriminators

    @property
    def gradient_shares(self) -> dict[str, float]:
        """The losses for looks and their shares of the gradient; empty if the run trains with `loss`."""
        return {name: share for name in SHARES if (share := getattr(self, name))}


# values that another value makes useless: the key, whether it does, and the reason
USELESS: dict[str, tuple[Any, str]] = {
    "mse_weight": (lambda r: r.loss != "combined", "is of loss combined"),
    "ssim_weight": (lambda r: r.loss != "combined", "is of loss combined"),
    "structure_weight": (lambda r: r.loss == "combined", "goes with loss hole_l1 or hole_rmse"),
    "loss": (lambda r: r.gradient_shares, f"is replaced by {', '.join(SHARES)}"),
    "discriminator_rate": (lambda r: not (r.adversarial or r.feature_matching or r.projected), "needs a discriminator"),
    "weight_decay": (lambda r: r.gradient_shares, f"is not used with {', '.join(SHARES)}"),
    "beta2": (lambda r: r.gradient_shares, f"is not used with {', '.join(SHARES)}"),
    "guide_prob": (lambda r: r.trainable == "detector", "is for the network that fills, and trainable is detector"),
    "valid_fraction": (lambda r: r.valid_from is not None, "is not used with valid_from"),
}
EXPECTED = {  # by the types of pydantic's errors
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
CHANGEABLE = ("epochs", "minutes", "validate_minutes", "workers")  # when a run is resumed


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML reads it, with 1e-3 as a number, as in YAML 1.2."""


_Loader.yaml_implicit_resolvers = {key: list(value) for key, value in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_values(path: Path | None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read the values of a YAML file and of overrides, unchecked.

    Args:
        path: The file; None for no file.
        overrides: `key=value` words, which replace the file's values. `epochs` also replaces the file's `minutes`, and the
            other way round.

    Raises:
        PixelRNNError: The file or an override is missing or malformed.
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
    """Rename the keys of recipes up to 0.1.0 to today's."""
    return {RENAMED.get(key, key): value for key, value in values.items()}


def make_recipe(values: Mapping[str, Any]) -> tuple[Recipe, dict[str, Any]]:
    """Check values, and split them into a recipe and options of the model.

    Args:
        values: The values by key, from `read_values`.

    Returns:
        The recipe and the model's options.

    Raises:
        PixelRNNError: A key is unknown, a value has the wrong type or is out of range, another value makes it useless, or the
            model cannot be built with its options.
    """
    values = migrate(values)
    known = [field.name for field in fields(Recipe)]
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key not in known}
    chosen = {key: value for key, value in values.items() if key in known}
    try:
        recipe = Recipe(**chosen)
    except ValidationError as error:
        first = error.errors()[0]
        expected = EXPECTED.get(first["type"], first["msg"]).format(**first.get("ctx", {}))
        raise PixelRNNError(f"recipe: {first['loc'][0]} must be {expected}, got {first['input']!r}.") from None
    _check_together(recipe, chosen)
    try:
        _check_options(options)
        create_model(recipe.model, **options)
    except PixelRNNError as error:
        if options and any(key in str(error) for key in options):
            key = next(key for key in options if key in str(error))
            raise PixelRNNError(f"recipe: no key {key!r}{nearest(key, known)} {error}") from None
        raise
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:  # whatever building a network may raise
        reason = " ".join(str(error).split())
        raise PixelRNNError(f"recipe: {recipe.model} cannot be built with {options} ({reason}).") from None
    return recipe, options


def _check_options(options: Mapping[str, Any]) -> None:
    """Refuse numbers below 1 in lists, and negative numbers."""
    for key, value in options.items():
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(number, int | float) and number < isinstance(value, tuple) for number in numbers):
            raise ValueError(f"{key} must not be {'below 1' if isinstance(value, tuple) else 'negative'}")


def _check_together(recipe: Recipe, given: Mapping[str, Any]) -> None:
    """Refuse values that contradict each other or that another value makes useless."""
    if given.get("epochs") is not None and recipe.minutes is not None:
        raise PixelRNNError("recipe: epochs and minutes are both given, but one of the two ends a run. Leave one out.")
    if not recipe.mse_weight + recipe.ssim_weight:
        raise PixelRNNError("recipe: mse_weight and ssim_weight are both 0, so that nothing would be learned. Raise one.")
    if recipe.gradient_shares and recipe.trainable not in FILLING:
        raise PixelRNNError(f"{', '.join(SHARES)}: these train the network that fills alone. Add trainable=filler.")
    if recipe.mask_bank and (recipe.occlusion not in ("random", "squares") or recipe.trainable not in FILLING):
        raise PixelRNNError("mask_bank: needs photographs, occlusion random or squares, and trainable=filler.")
    default = Recipe()
    for key, (is_useless, reason) in USELESS.items():
        if key in given and getattr(recipe, key) != getattr(default, key) and is_useless(recipe):
            raise PixelRNNError(f"recipe: {key} {reason}. Leave it out.")


def read_recipe(path: Path | None, overrides: Sequence[str] = ()) -> tuple[Recipe, dict[str, Any]]:
    """Read and check a recipe: `make_recipe` of `read_values`, and their errors.

    Args:
        path: A YAML file; None for the described run.
        overrides: `key=value` words.

    Returns:
        The recipe and the model's options.
    """
    return make_recipe(read_values(path, overrides))


def resumed_values(saved: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the values of a run that is resumed with values that are given now.

    Args:
        saved: The run's own values.
        given: Values of which only those of CHANGEABLE may differ from the run's own.

    Returns:
        All values of the resumed run.

    Raises:
        PixelRNNError: A given key is unknown, or its value differs but may not.
    """
    defaults = asdict(Recipe())
    values = migrate(saved)
    for key, value in migrate(given).items():
        if key not in values and key not in defaults:
            raise PixelRNNError(f"recipe: no key {key!r}{nearest(key, [*defaults, *values])}")
        value, own = (list(v) if isinstance(v, tuple) else v for v in (value, values.get(key, defaults.get(key))))
        if value == own:
            continue
        other = {"epochs": "minutes", "minutes": "epochs"}.get(key)  # a run that ends by one cannot change to the other
        if key not in CHANGEABLE or (other and values.get(other) is not None):
            raise PixelRNNError(
                f"{key}: this run has {own}, got {value}. --resume keeps the run's own recipe; only "
                f"{', '.join(CHANGEABLE)} may change. Leave {key} out, or name another folder with -o."
            )
        values[key] = value
    return values


def recipe_values(recipe: Recipe, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all values that are not defaults, from which `make_recipe` makes the same recipe and options."""
    default = asdict(Recipe())
    return {key: value for key, value in asdict(recipe).items() if value != default[key]} | {
        key: list(value) if isinstance(value, tuple) else value for key, value in options.items()
    }
