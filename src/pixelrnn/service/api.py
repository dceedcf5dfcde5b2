"""The paths of the service, and what goes wrong as one line and a status."""

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
    """The ASGI application."""
    # its /docs asks no other host, as FastAPI's own does for scripts, and Swagger's for whether a description is valid
    app = FastAPIOffline(
        title="pixelrnn", version=__version__, redoc_url=None, static_url=PAGE, swagger_ui_parameters={"validatorUrl": None}
    )
    app.include_router(router)
    metrics = Metrics()
    app.state.guard = guard = Guard(app, engine, metrics)
    metrics.follow("requests_in_progress", "Requests for work that are not answered yet.", lambda: guard.working)
    metrics.follow("jobs", "Pictures that are worked on, or wait for it.", engine.queue.length)
    app.add_exception_handler(PixelRNNError, _refuse)
    describe(app, engine.settings.token is not None)
    return guard


@router.post("/v1/complete", response_class=Response, **COMPLETE)
async def complete(request: Request) -> Response:
    """Complete one picture; without a mask, what is missing is found. The picture comes back, or JSON with all that is known of
    it: ask for it by the Accept header or by `response`.
    """
    engine = _guard(request).engine
    asked = await asyncio.to_thread(check, Complete, await _fields(request))  # base64 of many MB takes its time
    wanted = asked.response or _accepted(request)
    return await _in_turn(request, engine, engine.complete(asked, wanted == "json"))


@router.post("/v1/detect", response_class=Response, **DETECT)
async def detect(request: Request) -> Response:
    """Find what is painted over a picture, or transparent. The mask can be sent with the picture to /v1/complete."""
    engine = _guard(request).engine
    asked = await asyncio.to_thread(check, Detect, await _fields(request))
    return await _in_turn(request, engine, engine.detect(asked))


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
    """Say whether work is taken: 503 where the service is stopping."""
    if _guard(request).ending:
        raise HTTPException(503, "the service is stopping.")
    return {"status": "ok"}


@router.get("/metrics", response_class=Response, tags=["state"])
async def metrics(request: Request) -> Response:
    """Counts and times for Prometheus."""
    return Response(_guard(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 422)


def _guard(request: Request) -> Guard:
    guard: Guard = request.app.state.guard
    return guard


def _accepted(request: Request) -> str:
    """ "json" or "picture", whichever the Accept header names first."""
    kinds = (part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(","))
    named = [kind for kind in kinds if kind == "application/json" or kind.startswith("image/")]
    return "json" if named[:1] == ["application/json"] else "picture"


async def _fields(request: Request) -> dict[str, Any] | bytes:
    """Of a multipart body what it holds, else the bytes of JSON. Raises HTTPException for other bodies, and slow ones."""
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
                fields = {name: await one.read() if isinstance(one, UploadFile) else one for name, one in form.items()}
    except TimeoutError:
        raise HTTPException(408, "the request took too long to arrive.") from None
    return {name: one for name, one in fields.items() if one not in ("", b"")}  # what a page's form leaves empty


async def _in_turn(request: Request, engine: Engine, work: Callable[[Job], Answer]) -> Response:
    """The answer of `work`, once it had its turn. It is left where the client has gone, or waits too long. Raises
    HTTPException and what `work` raises.
    """
    busy = {"Retry-After": str(engine.wait())}
    try:
        job = engine.queue.submit(work)
    except QueueFull:
        raise HTTPException(503, "too many requests wait already. Try again later.", busy) from None
    ended, gone = asyncio.wrap_future(job.future), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((ended, gone), timeout=engine.settings.seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        left = gone.done()
        gone.cancel()
        waited = not ended.done() and job.cancel()
    if not ended.done():
        ended.cancel()
        if left:
            return Response(status_code=499)  # which nobody reads, but that it is counted
        if waited:
            raise HTTPException(503, f"not begun within {engine.settings.seconds:g} s. Try again later.", busy)
        raise HTTPException(504, f"not done within {engine.settings.seconds:g} s. Send a smaller picture, or ask for less.")
    answer = ended.result()
    headers = {f"Pixelrnn-{key.replace('_', '-').title()}": quote(value, safe=" ") for key, value in answer.told.items()}
    return Response(answer.body, media_type=answer.media_type, headers=headers)


async def _gone(request: Request) -> None:
    """Wait until the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
