"""pixelrnn completes occluded photographs with recurrent networks that scan the picture.

The public names are resolved on first use (PEP 562), so that `import pixelrnn` imports neither torch nor a model.
"""

from importlib import import_module

TYPE_CHECKING = False  # importing it would take longer than all else here
if TYPE_CHECKING:
    from typing import Any

    from .errors import PixelRNNError
    from .inference.completer import Completer, Completion
    from .models import create_model, list_models
    from .publishing import push_to_hub

    __version__: str

__all__ = ["Completer", "Completion", "PixelRNNError", "__version__", "create_model", "list_models", "push_to_hub"]

_HOMES = {
    "Completer": "inference.completer",
    "Completion": "inference.completer",
    "PixelRNNError": "errors",
    "create_model": "models",
    "list_models": "models",
    "push_to_hub": "publishing",
}


def __getattr__(name: str) -> "Any":
    if name == "__version__":
        from importlib.metadata import version

        return globals().setdefault("__version__", version("pixelrnn"))
    if name not in _HOMES:
        raise AttributeError(f"module 'pixelrnn' has no attribute {name!r}")
    return getattr(import_module(f"pixelrnn.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
