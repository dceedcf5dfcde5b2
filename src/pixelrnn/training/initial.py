"""The weights that a run starts from."""

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import nn

from .. import checkpoint
from ..errors import PixelRNNError
from ..models import create_model, model_config
from ..weights import bundled_weights
from .recipe import Recipe


def initial_model(recipe: Recipe, options: dict[str, Any], resume: bool) -> tuple[nn.Module, str]:
    """Build the model to train with the weights of the recipe's `init_from`.

    Args:
        recipe: The recipe.
        options: Options of the model.
        resume: Whether the weights come later, from a training checkpoint.

    Returns:
        The model in training mode, and in words where its weights come from.

    Raises:
        PixelRNNError: The weights cannot be read, or are of another model.
    """
    fresh = create_model(recipe.model, **options)
    if resume:
        return fresh, "going on from the last checkpoint"
    if recipe.init_from == "scratch":
        return fresh, "starting from fresh weights"
    if recipe.init_from == "bundled":
        bundled = _bundled(fresh, options)
        if bundled is None:
            return fresh, f"starting from fresh weights: none are bundled for this {'config' if options else 'model'}"
        return checkpoint.load(bundled).model.train(), "starting from the bundled weights"
    loaded = checkpoint.load(recipe.init_from)
    if loaded.name != recipe.model or (options and loaded.model.config != fresh.config):
        raise PixelRNNError(
            f"init_from {recipe.init_from}: these are weights of {loaded.name} {loaded.model.config}, "
            f"not of {recipe.model} {fresh.config}."
        )
    return loaded.model.train(), f"starting from {recipe.init_from}"


def _bundled(fresh: nn.Module, options: dict[str, Any]) -> Path | None:
    """The bundled checkpoint of the same model and, if options are given, the same config; None if there is none."""
    config = json.loads(json.dumps(model_config(fresh)))
    for path in bundled_weights().values():
        with safe_open(path, framework="pt") as opened:  # the header alone: the weights may be of another network
            header = json.loads(opened.metadata()["pixelrnn"])
        if header["model"] == fresh.name and (not options or header["config"] == config):
            return path
    return None
