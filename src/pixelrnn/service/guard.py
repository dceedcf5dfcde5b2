"""Checks that every request passes before its body is read: its token, its size, and room in the queue."""

import asyncio
import hmac
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .engine import Engine
from .metrics import Metrics

WORK = ("/v1/complete", "/v1/detect")
PAGE = "/docs/files"  # scripts and styles of the /docs page
OPEN = ("/healthz", "/readyz", "/docs", "/openapi.json")  # need no token
PATHS = (*WORK, *OPEN, "/v1/models", "/metrics")
LINGER = 5.0  # s for reading the rest of a refused body, since clients read no answer before they have sent everything


class Guard:
    """ASGI middleware that checks and counts requests.

    `working` is the number of requests for work that are not answered yet; if `ending` is True, no more are accepted.
    """

    def __init__(self, app: ASGIApp, engine: Engine, metrics: Metrics) -> None:
        self.app, self.engine, self.metrics = app, engine, metrics
        self.working, self.ending = 0, False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, start, status = scope["path"], time.perf_counter(), 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        work = path in WORK and scope["method"] == "POST"
        self.working += work
        try:
            refused = self._refused(scope, work)
            if refused is None:
                await self.app(scope, self._limited(receive), send_and_note)
            else:
                if "expect" not in Headers(scope=scope):  # a client that waits for 100 Continue has sent nothing yet
                    await self._discard(receive)
                await refused(scope, receive, send_and_note)
        finally:
            self.working -= work
            self.metrics.count(path if path in PATHS else "other", status, time.perf_counter() - start)

    def _refused(self, scope: Scope, work: bool) -> JSONResponse | None:
        """Return the answer to a request that is not let through, else None."""
        settings, headers = self.engine.settings, Headers(scope=scope)
        if settings.token is not None and not _is_open(scope["path"]) and not _has_token(headers, settings.token):
            return _error(
                401, "a token is needed: send the header Authorization: Bearer TOKEN.", {"WWW-Authenticate": "Bearer"}
            )
        if work and self.ending:
            return _error(503, "the service is stopping. Try again later.", {"Retry-After": "5", "Connection": "close"})
        if work and self.working > settings.threads + settings.queue:
            return _error(503, "too many requests wait already. Try again later.", {"Retry-After": str(self.engine.wait())})
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > settings.max_bytes:
            return _error(413, self._too_large(), {"Connection": "close"})
        return None

    def _too_large(self) -> str:
        return f"the request is too large: at most {self.engine.settings.max_bytes / 2**20:g} MB are read. Send a smaller file."

    def _limited(self, receive: Receive) -> Receive:
        """Wrap `receive` so that it raises HTTPException when the body exceeds the limit."""
        size = 0

        async def limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.engine.settings.max_bytes:
                await self._discard(receive)
                raise HTTPException(413, self._too_large(), {"Connection": "close"})
            return message

        return limited

    async def _discard(self, receive: Receive) -> None:
        """Read and drop the rest of the body, within limits of its own."""
        size, more = 0, True
        try:
            async with asyncio.timeout(LINGER):
                while more and size <= self.engine.settings.max_bytes:
                    message = await receive()
                    size += len(message.get("body", b""))
                    more = message.get("more_body", False)
        except TimeoutError:
            return


def _is_open(path: str) -> bool:
    """Whether a path needs no token."""
    return path in OPEN or path.startswith(f"{PAGE}/")


def _has_token(headers: Headers, token: str) -> bool:
    """Whether the request brings the token; compared in constant time."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def _error(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)
