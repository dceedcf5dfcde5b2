"""`pixelrnn serve`."""

from typing import Annotated

import typer

from ..errors import PixelRNNError
from .common import say


def serve(
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="A bundled name, or weights of your own, which requests name by the file's name without its suffix; several "
            "if repeated. The first is used where a request names none. Bundled ones can always be asked for."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")] = 8000,
    address: Annotated[str, typer.Option(help="0.0.0.0 opens the service to the network: give a token then.")] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="PIXELRNN_TOKEN",
            help="Requests must bring it. Others on this machine see options: better set it in the environment.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Pictures that are worked on at once, OMP_NUM_THREADS threads each.")] = 1,
    queue: Annotated[int, typer.Option(min=0, help="Requests that may wait besides; more are answered 503.")] = 32,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds in which a request must arrive, and again those until it is answered.")
    ] = 60,
    max_megabytes: Annotated[float, typer.Option(min=0.001, help="Larger requests are refused before they are read.")] = 50,
    max_megapixels: Annotated[int, typer.Option(min=1, help="Larger pictures are refused before they are decoded.")] = 50,
    max_samples: Annotated[int, typer.Option(min=1, help="Of one request.")] = 8,
) -> None:
    """Serve completions over HTTP: POST /v1/complete and /v1/detect, described at /docs."""
    from importlib import import_module

    for needed in ("fastapi", "fastapi_offline", "uvicorn", "python_multipart", "prometheus_client"):
        import_module(needed)

    from PIL import Image

    from ..service.server import listen, run
    from ..service.settings import Settings, offered

    if token is not None and (not token.strip() or not token.isascii() or not token.isprintable()):
        raise PixelRNNError("--token: expected letters, digits and signs of ASCII, and not nothing.")
    Image.MAX_IMAGE_PIXELS = max_megapixels * 10**6  # beyond twice as many Pillow refuses by itself
    settings = Settings(
        weights=offered(weights or ()),
        token=token,
        max_bytes=int(max_megabytes * 2**20),
        max_pixels=max_megapixels * 10**6,
        max_samples=max_samples,
        threads=workers,
        queue=queue,
        seconds=timeout,
    )
    listening = listen(address, port)
    host = f"[{address}]" if ":" in address else address
    if token is None and not listening.getsockname()[0].startswith(("127.", "::1")):
        typer.echo("no token: whoever reaches this machine can use the service. Set PIXELRNN_TOKEN to ask for one.", err=True)
    own = list(settings.weights)[: max(1, len(set(weights or ())))]
    say(f"pixelrnn {', '.join(own)} on http://{host}:{listening.getsockname()[1]}")
    run(settings, tuple(own), listening)
