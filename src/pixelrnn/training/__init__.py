"""Training on Lightning: recipes, modules that minimise their losses, callbacks that keep the history, and `train`."""

from .callbacks import DivergedError, one_cycle, running_average
from .datasets import make_datasets
from .modules import CompletionModule
from .recipe import Recipe, make_recipe, read_recipe, read_values
from .run import default_out, go_on, train

__all__ = [
    "CompletionModule",
    "DivergedError",
    "Recipe",
    "default_out",
    "go_on",
    "make_datasets",
    "make_recipe",
    "one_cycle",
    "read_recipe",
    "read_values",
    "running_average",
    "train",
]
