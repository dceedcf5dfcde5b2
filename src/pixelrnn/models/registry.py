"""The registry of models: `register` adds one, `create_model` builds one by its name."""

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any, TypeVar

from torch import nn

from ..errors import PixelRNNError, nearest

Model = TypeVar("Model", bound=type[nn.Module])
_MODELS: dict[str, tuple[type[nn.Module], Any, str]] = {}  # by name: class, config class, kind


def register(name: str, config: Any, kind: str = "completion") -> Callable[[Model], Model]:
    """Class decorator that registers a model under a name.

    Args:
        name: The name for `create_model`.
        config: A frozen dataclass; the model is built from one argument, an instance of it.
        kind: "completion" for a model from an image to a `Prediction`, or "autoregressive" for one with `log_prob` and
            `sample`.
    """

    def add(model: Model) -> Model:
        _MODELS[name] = (model, config, kind)
        return model

    return add


def list_models(kind: str | None = None) -> list[str]:
    """Return the names of the registered models, of one kind or of both."""
    return sorted(name for name, (_, _, own) in _MODELS.items() if kind in (None, own))


def model_kind(model: nn.Module) -> str:
    """Return the kind of a model from `create_model`: "completion" or "autoregressive"."""
    return _MODELS[str(model.name)][2]


def create_model(name: str, **options: Any) -> nn.Module:
    """Build a model with fresh weights.

    Args:
        name: A registered name; see `list_models`.
        **options: Fields of the model's config.

    Returns:
        The model, with its config as `model.config` and its name as `model.name`.

    Raises:
        PixelRNNError: The name or an option is unknown; the message suggests the nearest one.
    """
    if name not in _MODELS:
        raise PixelRNNError(f"no model {name!r}{nearest(name, list_models())} There are: {', '.join(list_models())}.")
    model, config, _ = _MODELS[name]
    known = [field.name for field in fields(config)]
    for option in options:
        if option not in known:
            raise PixelRNNError(
                f"model {name} has no option {option!r}{nearest(option, known)} It has: {', '.join(known) or 'none'}."
            )
    built = model(config(**options))
    built.name = name  # type: ignore[assignment]
    return built


def model_config(model: nn.Module) -> dict[str, Any]:
    """Return all options of a model from `create_model`, defaults included."""
    config: Any = model.config
    return asdict(config)
