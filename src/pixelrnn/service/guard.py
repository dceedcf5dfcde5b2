"""What every request passes before anything of it is read: the token, whether there is room, and how large it may be."""

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
PAGE = "/docs/files"  # what the page of the description is made of
OPEN = ("/healthz", "/readyz", "/docs", "/openapi.json")  # without a token
PATHS = (*WORK, *OPEN, "/v1/models", "/metrics")
LINGER = 5.0  # s in which the rest of a refused body is taken, since clients read no answer before they have sent all


class Guard:
    """An ASGI application around another. `working`: requests for work that are not answered; `ending`: no more are taken."""

    def __init__(self, app: ASGIApp, engine: Engine, metrics: Metrics) -> None:
        self.app, self.engine, self.metrics = app, engine, metrics
        self.working, self.ending = 0, False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, start, status = scope["path"], time.perf_counter(), 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        work = path in WORK and scope["method"] == "POST"
        self.working += work
        try:
            refused = self._refused(scope, work)
            if refused is None:
                await self.app(scope, self._limited(receive), told)
            else:
                if "expect" not in Headers(scope=scope):  # who asks first has sent nothing yet
                    await self._discard(receive)
                await refused(scope, receive, told)
        finally:
            self.working -= work
            self.metrics.count(path if path in PATHS else "other", status, time.perf_counter() - start)

    def _refused(self, scope: Scope, work: bool) -> JSONResponse | None:
        """Why it is not let through."""
        settings, headers = self.engine.settings, Headers(scope=scope)
        if settings.token is not None and not _is_open(scope["path"]) and not _has(headers, settings.token):
            return _says(401, "a token is needed: send the header Authorization: Bearer TOKEN.", {"WWW-Authenticate": "Bearer"})
        if work and self.ending:
            return _says(503, "the service is stopping. Try again later.", {"Retry-After": "5", "Connection": "close"})
        if work and self.working > settings.threads + settings.queue:
            return _says(503, "too many requests wait already. Try again later.", {"Retry-After": str(self.engine.wait())})
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > settings.max_bytes:
            return _says(413, self._too_large(), {"Connection": "close"})
        return None

    def _too_large(self) -> str:
        return f"too large a request: at most {self.engine.settings.max_bytes / 2**20:g} MB are read. Send a smaller file."

    def _limited(self, receive: Receive) -> Receive:
        """The same, that raises HTTPException where more comes than may."""
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.engine.settings.max_bytes:
                await self._discard(receive)
                raise HTTPException(413, self._too_large(), {"Connection": "close"})
            return message

        return limited

    async def _discard(self, receive: Receive) -> None:
        """Take the rest of the body, within limits of its own."""
        taken, more = 0, True
        try:
            async with asyncio.timeout(LINGER):
                while more and taken <= self.engine.settings.max_bytes:
                    message = await receive()
                    taken += len(message.get("body", b""))
                    more = message.get("more_body", False)
        except TimeoutError:
            return


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(f"{PAGE}/")


def _has(headers: Headers, token: str) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def _says(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)
