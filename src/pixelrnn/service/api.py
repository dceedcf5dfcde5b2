"""The paths of the service. An error is answered with a status and one line of text."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.datastructures import UploadFile

from .. import __version__
from ..errors import PixelRNNError
from ..queue import Job, QueueFull
from .describe import COMPLETE, DETECT, MODELS, describe
from .engine import Answer, Engine
from .guard import PAGE, Guard
from .messages import Complete, Detect, check
from .metrics import Metrics

router = APIRouter()


def create_app(engine: Engine) -> Guard:
    """Build the ASGI application: the paths of the service behind a Guard."""
    # /docs must not contact other hosts: FastAPI's own loads scripts from one, and Swagger validates the description at another
    app = FastAPIOffline(
        title="pixelrnn", version=__version__, redoc_url=None, static_url=PAGE, swagger_ui_parameters={"validatorUrl": None}
    )
    app.include_router(router)
    metrics = Metrics()
    app.state.guard = guard = Guard(app, engine, metrics)
    metrics.follow("requests_in_progress", "Requests for work that are not answered yet.", lambda: guard.working)
    metrics.follow("jobs", "Pictures that are being processed or waiting.", engine.queue.length)
    app.add_exception_handler(PixelRNNError, _refuse)
    describe(app, engine.settings.token is not None)
    return guard


@router.post("/v1/complete", response_class=Response, **COMPLETE)
async def complete(request: Request) -> Response:
    """Complete one picture. Without a mask, the missing pixels are detected.

    The answer is the picture, or JSON with all that is known about it; choose with the Accept header or with `response`.
    """
    engine = _guard(request).engine
    query = await asyncio.to_thread(check, Complete, await _fields(request))  # in a thread: base64 of many MB takes long
    response = query.response or _accepted(request)
    return await _queued(request, engine, engine.complete(query, response == "json"))


@router.post("/v1/detect", response_class=Response, **DETECT)
async def detect(request: Request) -> Response:
    """Detect what is painted over in a picture, or transparent. The mask can be sent with the picture to /v1/complete."""
    engine = _guard(request).engine
    query = await asyncio.to_thread(check, Detect, await _fields(request))
    return await _queued(request, engine, engine.detect(query))


@router.get("/v1/models", **MODELS)
async def models(request: Request) -> dict[str, Any]:
    """List the weights that requests may name."""
    return _guard(request).engine.models()


@router.get("/healthz", tags=["state"])
async def healthz() -> dict[str, str]:
    """Answer as long as the process lives."""
    return {"status": "ok"}


@router.get("/readyz", tags=["state"])
async def readyz(request: Request) -> dict[str, str]:
    """Answer whether requests are accepted: 503 if the service is stopping."""
    if _guard(request).ending:
        raise HTTPException(503, "the service is stopping.")
    return {"status": "ok"}


@router.get("/metrics", response_class=Response, tags=["state"])
async def metrics(request: Request) -> Response:
    """Return counts and times for Prometheus."""
    return Response(_guard(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    """Answer a PixelRNNError with status 422."""
    return JSONResponse({"detail": str(error)}, 422)


def _guard(request: Request) -> Guard:
    """Return the guard of the application that received the request."""
    guard: Guard = request.app.state.guard
    return guard


def _accepted(request: Request) -> str:
    """Return "json" or "picture", whichever the Accept header names first."""
    kinds = (part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(","))
    named = [kind for kind in kinds if kind == "application/json" or kind.startswith("image/")]
    return "json" if named[:1] == ["application/json"] else "picture"


async def _fields(request: Request) -> dict[str, Any] | bytes:
    """Read the fields of a multipart body, or the bytes of a JSON body. Raises HTTPException for other bodies and slow ones."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(_guard(request).engine.settings.seconds):
            if kind == "application/json":
                return await request.body()
            if kind != "multipart/form-data":
                raise HTTPException(
                    415, f"{kind[:100] or 'no content type'}: expected multipart/form-data or application/json."
                )
            async with request.form(max_files=2, max_fields=20) as form:
                fields = {name: await value.read() if isinstance(value, UploadFile) else value for name, value in form.items()}
    except TimeoutError:
        raise HTTPException(408, "the request took too long to arrive.") from None
    return {name: value for name, value in fields.items() if value not in ("", b"")}  # a web form sends empty fields too


async def _queued(request: Request, engine: Engine, work: Callable[[Job], Answer]) -> Response:
    """Queue `work`, wait for it, and return its answer. It is cancelled if the client leaves or waits too long.

    Raises:
        HTTPException: 503 if the queue is full or the work has not begun in time, 504 if it has not ended in time.
        Exception: Whatever `work` raises.
    """
    busy = {"Retry-After": str(engine.wait())}
    try:
        job = engine.queue.submit(work)
    except QueueFull:
        raise HTTPException(503, "too many requests wait already. Try again later.", busy) from None
    done, disconnected = asyncio.wrap_future(job.future), asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((done, disconnected), timeout=engine.settings.seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        left = disconnected.done()
        disconnected.cancel()
        not_begun = not done.done() and job.cancel()
    if not done.done():
        done.cancel()
        if left:
            return Response(status_code=499)  # nobody reads it, but the metrics count it
        if not_begun:
            raise HTTPException(503, f"not begun within {engine.settings.seconds:g} s. Try again later.", busy)
        raise HTTPException(504, f"not done within {engine.settings.seconds:g} s. Send a smaller picture, or ask for less.")
    answer = done.result()
    headers = {f"Pixelrnn-{key.replace('_', '-').title()}": quote(value, safe=" ") for key, value in answer.facts.items()}
    return Response(answer.body, media_type=answer.media_type, headers=headers)


async def _disconnected(request: Request) -> None:
    """Wait until the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
