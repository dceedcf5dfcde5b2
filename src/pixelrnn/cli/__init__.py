"""The command line interface `pixelrnn`, one module for each command.

Slow imports happen inside the commands, so that `pixelrnn --help` answers at once.
"""

import os

# On a busy machine, two threads that spin while they wait are slower than one. Must be set before torch is imported.
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

EXTRAS = {  # the extra that installs each optional module, for the message when one is missing
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
    """Run a command and exit.

    A user's error is printed as one line; the exit code is 2, or 1 if the command failed after it had started.

    Args:
        words: The arguments without the program's name; by default those of the command line.
    """
    atexit.register(gc.freeze)  # spares Python a search of every imported object for garbage at exit
    try:
        app(words)
    except PixelRNNError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        module = (error.name or "").split(".")[0]
        extra = EXTRAS.get(module)
        if extra is None:
            raise
        complain(f"this needs {module}. Install it: pip install 'pixelrnn[{extra}]'.")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of the output, such as head, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python prints an error when it flushes at exit
        sys.exit(1)
