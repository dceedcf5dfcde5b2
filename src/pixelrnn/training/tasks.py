"""The tasks of training: which module trains, and which figure of validation decides the best epoch.

The model's kind and the recipe decide the task. To add one, write its module and add a row to TASKS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..errors import PixelRNNError
from ..models import model_kind
from .adversarial import AdversarialModule
from .likelihood import LikelihoodModule
from .modules import CompletionModule, RecipeModule
from .recipe import FILLING, Recipe


@dataclass(frozen=True)
class Task:
    """One row of TASKS."""

    module: Callable[[Any, Recipe], RecipeModule]  # built from the model and the recipe
    applies: Callable[[str, Recipe], bool]  # to this kind of model and this recipe
    figure: str  # of validation, which decides the best epoch
    mode: str  # "max" or "min": which value of the figure is best
    keep: str = "best"  # the epoch whose weights the run exports, "best" or "last"
    unused_weights: bool = True  # whether a step leaves some of the weights without a gradient


TASKS = {  # the first that applies is the run's
    "likelihood": Task(
        LikelihoodModule,
        applies=lambda kind, recipe: kind == "autoregressive",
        figure="val_loss",
        mode="min",
    ),
    "looks": Task(
        AdversarialModule,
        applies=lambda kind, recipe: bool(recipe.gradient_shares),
        figure="hole_psnr",
        mode="max",
        keep="last",  # no figure of validation says how real a completion looks
    ),
    "detection": Task(
        CompletionModule,
        applies=lambda kind, recipe: recipe.trainable == "detector",
        figure="mask_iou",
        mode="max",
    ),
    "filling": Task(
        CompletionModule,
        applies=lambda kind, recipe: recipe.trainable in FILLING,
        figure="hole_psnr",
        mode="max",
    ),
    "completion": Task(
        CompletionModule,
        applies=lambda kind, recipe: True,
        figure="hole_psnr",
        mode="max",
        unused_weights=False,
    ),
}


def find_task(model: nn.Module, recipe: Recipe) -> Task:
    """Return the task of a model and a recipe.

    Raises:
        PixelRNNError: The recipe trains a part that the model does not have, or gives it a guide that it does not take.
    """
    kind = model_kind(model)
    if (kind == "autoregressive" or not model.detects) and (recipe.trainable != "all" or recipe.guide_prob):
        raise PixelRNNError(f"trainable, guide_prob: model {recipe.model} has no detector and takes no guide. Leave them out.")
    return next(task for task in TASKS.values() if task.applies(kind, recipe))
