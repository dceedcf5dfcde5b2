"""The networks: plain nn.Modules that know nothing of training or files."""

# importing a model file registers its models
from . import diagonal_bilstm, encoder_decoder, pixelcnn, row_lstm  # noqa: F401
from .registry import Prediction, create_model, list_models

__all__ = ["Prediction", "create_model", "list_models"]
