"""The command `pixelrnn`, one file a command. Imports that take seconds happen inside the commands."""

import os

# two threads that spin while they wait are slower than one on a busy machine; must be set before torch is imported
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import atexit
import gc
import sys
from collections.abc import Callable, Sequence

from ..errors import PixelRNNError
from .common import app, complain
from .complete import complete
from .data import demo_data, occlude
from .evaluate import evaluate
from .pack import pack
from .page import page
from .push import push
from .serve import serve
from .train import train
from .weights import export, models

EXTRAS = {  # what is installed with which, for commands that need it
    **dict.fromkeys(("torch", "lightning", "matplotlib", "onnx", "pydantic", "yaml"), "train"),
    **dict.fromkeys(("cv2", "skimage", "pypatchmatch", "scipy"), "evaluate"),
    **dict.fromkeys(("fastapi", "fastapi_offline", "uvicorn", "python_multipart", "prometheus_client"), "serve"),
    "streamlit": "app",
    "lmdb": "lmdb",
    "datasets": "stream",
    **dict.fromkeys(("ray", "pyarrow", "fsspec"), "cluster"),
}

COMMANDS: dict[str, Callable[..., None]] = {
    "complete": complete,
    "export": export,
    "train": train,
    "demo-data": demo_data,
    "occlude": occlude,
    "pack": pack,
    "evaluate": evaluate,
    "app": page,
    "serve": serve,
    "models": models,
    "push": push,
}
for name, command in COMMANDS.items():
    app.command(name)(command)


def main(words: Sequence[str] | None = None) -> None:
    """Run the command of these words, or else of the command line; an error for the user is one line and exit code 2, or 1
    where a run failed that had begun.
    """
    atexit.register(gc.freeze)  # or Python would search all that was imported for garbage before it ends
    try:
        app(words)
    except PixelRNNError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        extra = EXTRAS.get(missing)
        if extra is None:
            raise
        complain(f"this needs {missing}. Install it: pip install 'pixelrnn[{extra}]'.")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read what was printed has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        sys.exit(1)
