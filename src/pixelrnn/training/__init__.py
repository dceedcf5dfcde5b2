"""Training on Lightning: recipes, modules that minimise their losses, callbacks that keep the history, and `train`."""

from .callbacks import one_cycle, running_average
from .modules import CompletionModule
from .recipe import Recipe, make_datasets, read_recipe
from .run import default_out, train

__all__ = ["CompletionModule", "Recipe", "default_out", "make_datasets", "one_cycle", "read_recipe", "running_average", "train"]
