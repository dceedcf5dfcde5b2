"""The table of models: register, create_model, list_models, model_kind, model_config."""

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any, TypeVar

from torch import nn

from ..errors import PixelRNNError, nearest

Model = TypeVar("Model", bound=type[nn.Module])
_MODELS: dict[str, tuple[type[nn.Module], Any, str]] = {}


def register(name: str, config: Any, kind: str = "completion") -> Callable[[Model], Model]:
    """Class decorator: `name` is built by the class from one argument, an instance of the frozen dataclass `config`.

    kind: "completion", from a picture to a Prediction, or "autoregressive", with log_prob and sample.
    """

    def add(model: Model) -> Model:
        _MODELS[name] = (model, config, kind)
        return model

    return add


def list_models(kind: str | None = None) -> list[str]:
    """Names that create_model knows, of one kind or of both."""
    return sorted(name for name, (_, _, own) in _MODELS.items() if kind in (None, own))


def model_kind(model: nn.Module) -> str:
    """ "completion" or "autoregressive": the kind of a model from create_model."""
    return _MODELS[str(model.name)][2]


def create_model(name: str, **options: Any) -> nn.Module:
    """Build a model with fresh weights; `options` are fields of its config. The config is kept as `model.config`.

    Raises PixelRNNError for an unknown name or option, naming the nearest.
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
    """The options that a model from create_model was built with, and the defaults."""
    config: Any = model.config
    return asdict(config)
