"""The server process, which stops only after it has answered every request that it accepted."""

import os
import signal
import socket
import time
from types import FrameType

import uvicorn

from ..errors import PixelRNNError
from .api import create_app
from .engine import Engine
from .guard import Guard
from .settings import Settings

PATIENCE = 5.0  # s beyond a request's own time limit, for sending the answers


class Server(uvicorn.Server):
    """A server that finishes its work after a signal and answers 503 to new requests; a second signal ends it at once."""

    def __init__(self, config: uvicorn.Config, guard: Guard) -> None:
        super().__init__(config)
        self.guard, self.latest = guard, float("inf")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.guard.ending:
            os._exit(128 + signal.Signals(sig))  # work on a picture cannot be interrupted
        self.guard.ending = True
        self.latest = time.monotonic() + self.guard.engine.settings.seconds + PATIENCE

    async def on_tick(self, counter: int) -> bool:
        if self.guard.ending and (not self.guard.working or time.monotonic() > self.latest):
            self.should_exit = True
        return await super().on_tick(counter)


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket. Raises PixelRNNError if the address or port cannot be used."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PixelRNNError(f"cannot listen on {host}, port {port}: {reason}. Choose another --address or --port.") from None


def run(settings: Settings, load: tuple[str, ...], listening: socket.socket) -> None:
    """Serve until a signal comes.

    Args:
        settings: What the service offers and allows.
        load: Names of weights to load before the first request.
        listening: The socket, as `listen` opens it.
    """
    engine = Engine(settings, load)
    guard = create_app(engine)
    config = uvicorn.Config(guard, timeout_graceful_shutdown=int(PATIENCE), server_header=False)
    Server(config, guard).run([listening])
    engine.queue.close()
