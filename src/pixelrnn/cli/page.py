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
    import signal
    import subprocess
    from importlib.util import find_spec

    if find_spec("streamlit") is None:
        raise PixelRNNError("the page needs streamlit. Install it: pip install 'pixelrnn[app]'.")
    here = Path(__file__).parents[1]
    home = here / "app" / "home" if (here / "app" / "home").is_dir() else here.parents[1]  # installed, or the repository
    server = ["--server.port", str(port), "--server.address", address]
    offered = [word for name in weights or [] for word in ("--weights", name)]
    command = [sys.executable, "-m", "streamlit", "run", str(home / "app.py"), *server, "--", *offered]
    with subprocess.Popen(command) as served:
        # what ends this is to end the server as well, which would hold the port
        signal.signal(signal.SIGTERM, lambda number, frame: served.terminate())
        try:
            status = served.wait()
        except KeyboardInterrupt:
            served.terminate()
            status = served.wait()
    raise typer.Exit(status if status >= 0 else 128 - status)
