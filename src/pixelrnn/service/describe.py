"""The service's OpenAPI description: two kinds of body for each path, and examples that can be sent as they are."""

import base64
from typing import Any

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from ..encode import encode_image
from .messages import Complete, CompletionResponse, Detect, DetectionResponse, ErrorResponse, Models

ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorResponse, "description": "The token is missing or wrong."},
    408: {"model": ErrorResponse, "description": "The request took too long to arrive."},
    413: {"model": ErrorResponse, "description": "The request is too large."},
    415: {"model": ErrorResponse, "description": "The body is neither a form nor JSON."},
    422: {"model": ErrorResponse, "description": "The picture or a field is invalid: which one, and why, in one line."},
    503: {
        "model": ErrorResponse,
        "description": "Too many requests wait, or the service is stopping.",
        "headers": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
    },
    504: {"model": ErrorResponse, "description": "The work was not done in time."},
}
FILES = ("picture", "mask")


def _example() -> tuple[bytes, bytes]:
    """Return a small picture with a black square, and its mask, as PNG files."""
    yy, xx = np.mgrid[:32, :32]
    picture = np.stack([90 + 4 * xx, 100 + 3 * yy, 160 - 2 * xx], axis=2).astype(np.uint8)
    mask = (abs(yy - 16) < 5) & (abs(xx - 14) < 5)
    return encode_image(picture * ~mask[..., None]), encode_image(mask)


def _body(kind: type[BaseModel]) -> dict[str, Any]:
    """Describe a request's body, as a form with files and as JSON."""
    content = {}
    for media_type in ("multipart/form-data", "application/json"):
        schema = kind.model_json_schema()
        for name in FILES:
            if (field := schema["properties"].get(name)) is not None:
                form = media_type == "multipart/form-data"
                encoding = {"format": "binary"} if form else {"contentEncoding": "base64"}
                schema["properties"][name] = {"type": "string", "description": field["description"], **encoding}
        content[media_type] = {"schema": schema}
    files = dict(zip(FILES, (base64.b64encode(file).decode() for file in _example()), strict=True))
    sent: dict[str, Any] = {"picture": files["picture"]}
    examples = {"found": {"summary": "Detect the missing pixels.", "value": sent}}
    if kind is Complete:
        given = {"summary": "Give a mask, and get JSON.", "value": {**files, "grow": 1, "response": "json"}}
        drawn = {"summary": "Draw four samples (needs torch).", "value": {**files, "samples": 4, "seed": 1, "response": "json"}}
        examples |= {"given": given, "drawn": drawn}
    content["application/json"]["examples"] = examples
    return {"requestBody": {"required": True, "content": content}}


_PICTURE = {"schema": {"type": "string", "format": "binary"}}
_HEADERS = {
    "Pixelrnn-Missing": {"description": "The share of pixels that were filled in, from 0 to 1.", "schema": {"type": "number"}},
    "Pixelrnn-Mask-Source": {"description": "given, transparent, detected, or a mixture.", "schema": {"type": "string"}},
    "Pixelrnn-Weights": {"description": "The weights that filled them in.", "schema": {"type": "string"}},
}
COMPLETE: dict[str, Any] = {
    "tags": ["pictures"],
    "openapi_extra": _body(Complete),
    "responses": {
        200: {
            "model": CompletionResponse,
            "description": "The picture, or JSON.",
            "content": dict.fromkeys(("image/png", "image/jpeg", "image/webp"), _PICTURE),
            "headers": _HEADERS,
        },
        **ERRORS,
    },
}
DETECT: dict[str, Any] = {
    "tags": ["pictures"],
    "openapi_extra": _body(Detect),
    "responses": {200: {"model": DetectionResponse, "description": "The detected mask and regions."}, **ERRORS},
}
MODELS: dict[str, Any] = {"tags": ["pictures"], "responses": {200: {"model": Models}, 401: ERRORS[401]}}


def describe(app: FastAPI, token: bool) -> None:
    """Add to the description what concerns every path. `token` says whether requests need one."""
    description = app.openapi()
    if token:
        description["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        description["security"] = [{"token": []}]
        for path in ("/healthz", "/readyz"):
            description["paths"][path]["get"]["security"] = []
