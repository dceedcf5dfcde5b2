"""Training on Lightning: recipes, modules that minimise their losses, callbacks that keep the history, and `train`."""

from .callbacks import one_cycle, running_average
from .datasets import make_datasets
from .modules import CompletionModule
from .recipe import Recipe, read_recipe
from .run import default_out, train

__all__ = ["CompletionModule", "Recipe", "default_out", "make_datasets", "one_cycle", "read_recipe", "running_average", "train"]
