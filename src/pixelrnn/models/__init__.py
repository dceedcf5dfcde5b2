"""The networks: plain nn.Modules that know nothing of training or files."""

# importing a model file registers its models
from . import diagonal_bilstm, encoder_decoder, pixelcnn, row_lstm  # noqa: F401
from .base import CompletionModel, Prediction
from .registry import create_model, list_models, model_config, model_kind

__all__ = ["CompletionModel", "Prediction", "create_model", "list_models", "model_config", "model_kind"]
