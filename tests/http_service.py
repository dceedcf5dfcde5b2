"""The service as programs use it: a process of its own on a free port, and requests that stop halfway."""

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

PATIENCE = 60.0  # s; on a busy machine everything takes long


@contextmanager
def serve(*options: str, port: int | None = None, **more: Any) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`pixelrnn serve` once it answers: its address and its process. port: a free one by default. more: of Popen."""
    if port is None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    command = [sys.executable, "-m", "pixelrnn", "serve", "--port", str(port), *options]
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stdout=log, stderr=log, **more) as process:
        try:
            # it listens before it has loaded its weights, and answers after
            for _ in range(600):
                try:
                    httpx.get(f"{address}/readyz", timeout=PATIENCE).raise_for_status()
                    break
                except httpx.ConnectError:
                    if process.poll() is not None:
                        log.seek(0)
                        raise RuntimeError(f"the service ended with {process.returncode}: {log.read()!r}") from None
                    try:
                        process.wait(0.1)
                    except subprocess.TimeoutExpired:
                        continue
            yield address, process
        finally:
            if process.poll() is None:
                process.kill()


class Halfway:
    """A request to complete a picture of which all but the last byte is sent, so that it takes a place for as long as it is
    wanted."""

    def __init__(self, address: str, picture: bytes, headers: dict[str, str] | None = None) -> None:
        request = httpx.Request("POST", f"{address}/v1/complete", files={"picture": picture}, headers=headers)
        body = request.read()
        lines = [f"POST /v1/complete HTTP/1.1\r\nHost: {request.url.host}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items() if name != "host"]
        self.socket = socket.create_connection((request.url.host, request.url.port), timeout=PATIENCE)
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\nConnection: close\r\n\r\n" + body[:-1])
        self.rest = body[-1:]

    def answer(self) -> tuple[int, bytes]:
        """What is answered: the status and the body, until the connection closes."""
        received = b""
        while part := self.socket.recv(2**16):
            received += part
        self.socket.close()
        head, _, body = received.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def finish(self) -> tuple[int, bytes]:
        """Send the rest, and wait for what is answered."""
        self.socket.sendall(self.rest)
        return self.answer()
