"""Training on Lightning.

A recipe (recipe.py) decides the task (tasks.py): the module that trains (modules.py, adversarial.py, likelihood.py) and its
losses (losses.py). `train` (run.py) makes the datasets (datasets.py), fits the module with its callbacks (callbacks.py), and
writes the weights.
"""

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
