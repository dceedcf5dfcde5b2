"""`pixelrnn app`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import PixelRNNError


def page(
    weights: Annotated[
        list[str] | None, typer.Option(help="Weights of your own to offer as well, several if repeated.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 8501,
    address: Annotated[str, typer.Option(help="0.0.0.0 opens the page to the network.")] = "localhost",
) -> None:
    """Serve the page on which pictures are uploaded, marked and completed."""
    import subprocess
    from importlib.util import find_spec

    if find_spec("streamlit") is None:
        raise PixelRNNError("the page needs streamlit. Install it: pip install 'pixelrnn[app]'.")
    here = Path(__file__).parents[1]
    home = here / "app" / "home" if (here / "app" / "home").is_dir() else here.parents[1]  # installed, or the repository
    server = ["--server.port", str(port), "--server.address", address]
    offered = [word for name in weights or [] for word in ("--weights", name)]
    command = [sys.executable, "-m", "streamlit", "run", str(home / "app.py"), *server, "--", *offered]
    raise typer.Exit(subprocess.call(command))
