"""The table of models: register, create_model, list_models, and what every completion model returns."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from ..errors import PixelRNNError, nearest


class Prediction(NamedTuple):
    """What a completion model says of a batch."""

    image: torch.Tensor  # (B, 3, H, W) in [0, 1], before known pixels are pasted back
    mask_logits: torch.Tensor | None = None  # (B, 1, H, W), the occlusion it sees; None where it cannot say or was told
    log_std: torch.Tensor | None = None  # (B, 1, H, W), log standard deviation of the error; None where it cannot say
    mean: torch.Tensor | None = None  # (B, 3, H, W), the image without detail that was added to it; None where none was


Model = TypeVar("Model", bound=type[nn.Module])
_MODELS: dict[str, tuple[type[nn.Module], Any]] = {}


def register(name: str, config: Any) -> Callable[[Model], Model]:
    """Class decorator: `name` is built by the class from one argument, an instance of the frozen dataclass `config`."""

    def add(model: Model) -> Model:
        _MODELS[name] = (model, config)
        return model

    return add


def list_models() -> list[str]:
    """Names that create_model knows."""
    return sorted(_MODELS)


def create_model(name: str, **options: Any) -> nn.Module:
    """Build a model with fresh weights; `options` are fields of its config. The config is kept as `model.config`.

    Raises PixelRNNError for an unknown name or option, naming the nearest.
    """
    if name not in _MODELS:
        raise PixelRNNError(f"no model {name!r}{nearest(name, list_models())} There are: {', '.join(list_models())}.")
    model, config = _MODELS[name]
    known = [field.name for field in fields(config)]
    for option in options:
        if option not in known:
            raise PixelRNNError(
                f"model {name} has no option {option!r}{nearest(option, known)} It has: {', '.join(known) or 'none'}."
            )
    built = model(config(**options))
    built.name = name  # type: ignore[assignment]
    return built
