"""The networks: plain nn.Modules that know nothing of training or files."""

from . import encoder_decoder as _encoder_decoder  # noqa: F401  importing a model file registers its models
from .registry import Prediction, create_model, list_models

__all__ = ["Prediction", "create_model", "list_models"]
