"""The command `pixelrnn serve`."""

from typing import Annotated

import typer

from ..errors import PixelRNNError
from .common import say


def serve(
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="A bundled name, or a file of your own, which requests name by its file name without the suffix; may be "
            "repeated. The first is the default for requests that name none. Bundled weights are always available."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 picks a free one.")] = 8000,
    address: Annotated[str, typer.Option(help="0.0.0.0 opens the service to the network; set a token then.")] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="PIXELRNN_TOKEN",
            help="A token that requests must send. Set it in the environment: other users of this machine can see options.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Photographs processed at once, with OMP_NUM_THREADS threads each.")] = 1,
    queue: Annotated[int, typer.Option(min=0, help="Further requests that may wait; any more are answered with 503.")] = 32,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds in which a request must arrive, and again in which it must be answered.")
    ] = 60,
    max_megabytes: Annotated[float, typer.Option(min=0.001, help="Refuse larger requests before they are read.")] = 50,
    max_megapixels: Annotated[int, typer.Option(min=1, help="Refuse larger photographs before they are decoded.")] = 50,
    max_samples: Annotated[int, typer.Option(min=1, help="Samples that one request may ask for.")] = 8,
) -> None:
    """Serve completions over HTTP: POST /v1/complete and /v1/detect, described at /docs."""
    from importlib import import_module

    for module in ("fastapi", "fastapi_offline", "uvicorn", "python_multipart", "prometheus_client"):
        import_module(module)

    from PIL import Image

    from ..service.server import listen, run
    from ..service.settings import Settings, offered

    if token is not None and (not token.strip() or not token.isascii() or not token.isprintable()):
        raise PixelRNNError("--token: expected printable ASCII characters, at least one of them not a space.")
    Image.MAX_IMAGE_PIXELS = max_megapixels * 10**6  # Pillow itself refuses more than twice as many
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
        typer.echo("no token: whoever reaches this machine can use the service. Set PIXELRNN_TOKEN to require one.", err=True)
    own = list(settings.weights)[: max(1, len(set(weights or ())))]
    say(f"pixelrnn {', '.join(own)} on http://{host}:{listening.getsockname()[1]}")
    run(settings, tuple(own), listening)
