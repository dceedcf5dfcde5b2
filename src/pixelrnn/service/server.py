"""The server's process: one that says where it listens, and that ends when it has answered all that it took."""

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

PATIENCE = 5.0  # s beyond what a request may take, for answers to be sent


class Server(uvicorn.Server):
    """A signal lets it finish what it has begun, and answer 503 to the rest; a second one ends it at once."""

    def __init__(self, config: uvicorn.Config, guard: Guard) -> None:
        super().__init__(config)
        self.guard, self.latest = guard, float("inf")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.guard.ending:
            os._exit(128 + signal.Signals(sig))  # a picture that is worked on cannot be interrupted
        self.guard.ending = True
        self.latest = time.monotonic() + self.guard.engine.settings.seconds + PATIENCE

    async def on_tick(self, counter: int) -> bool:
        if self.guard.ending and (not self.guard.working or time.monotonic() > self.latest):
            self.should_exit = True
        return await super().on_tick(counter)


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound. Raises PixelRNNError where it cannot be."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(found[4][:2], family=found[0])
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PixelRNNError(f"cannot listen on {host}, port {port}: {reason}. Choose another --address or --port.") from None


def run(settings: Settings, load: tuple[str, ...], listening: socket.socket) -> None:
    """Serve until a signal comes. load: names of weights that are loaded before the first request."""
    engine = Engine(settings, load)
    guard = create_app(engine)
    config = uvicorn.Config(guard, timeout_graceful_shutdown=int(PATIENCE), server_header=False)
    Server(config, guard).run([listening])
    engine.queue.close()
