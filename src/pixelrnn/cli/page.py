"""The command `pixelrnn app`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import PixelRNNError


def page(
    weights: Annotated[
        list[str] | None, typer.Option(help="Your own weights to offer on the page as well; may be repeated.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 8501,
    address: Annotated[str, typer.Option(help="0.0.0.0 opens the page to the network.")] = "localhost",
) -> None:
    """Serve the web page for uploading, marking and completing photographs."""
    import signal
    import subprocess
    from importlib.util import find_spec

    if find_spec("streamlit") is None:
        raise PixelRNNError("the page needs streamlit. Install it: pip install 'pixelrnn[app]'.")
    here = Path(__file__).parents[1]
    home = (
        here / "app" / "home" if (here / "app" / "home").is_dir() else here.parents[1]
    )  # in an installed package, or in the repository
    server = ["--server.port", str(port), "--server.address", address]
    options = [word for name in weights or [] for word in ("--weights", name)]
    command = [sys.executable, "-m", "streamlit", "run", str(home / "app.py"), *server, "--", *options]
    with subprocess.Popen(command) as process:
        # a signal to this process must end the server too, or it would keep the port
        signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.terminate()
            status = process.wait()
    raise typer.Exit(status if status >= 0 else 128 - status)
