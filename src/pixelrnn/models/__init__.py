"""The networks: plain nn.Modules that know nothing of training or files.

To add a model, write a module with a config dataclass and a class under `@register`, and import it here. The contract tests
then run over it.
"""

# importing a module registers its models
from . import diagonal_bilstm as diagonal_bilstm
from . import encoder_decoder as encoder_decoder
from . import pixelcnn as pixelcnn
from . import row_lstm as row_lstm
from .base import CompletionModel, Prediction
from .registry import create_model, list_models, model_config, model_kind

__all__ = ["CompletionModel", "Prediction", "create_model", "list_models", "model_config", "model_kind"]
