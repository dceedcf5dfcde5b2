"""The service's OpenAPI description: bodies of two kinds for one path, and examples that can be sent as they are."""

import base64
from typing import Any

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from ..encode import encode_image
from .messages import Complete, Completed, Detect, Found, Models, Said

TROUBLE: dict[int | str, dict[str, Any]] = {
    401: {"model": Said, "description": "The token is missing or wrong."},
    408: {"model": Said, "description": "The request took too long to arrive."},
    413: {"model": Said, "description": "More bytes than are read."},
    415: {"model": Said, "description": "A body of another kind."},
    422: {"model": Said, "description": "No picture, or fields that are not understood: which, and why, in one line."},
    503: {
        "model": Said,
        "description": "Too many wait, or the service is stopping.",
        "headers": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
    },
    504: {"model": Said, "description": "Not done in time."},
}
FILES = ("picture", "mask")


def _example() -> tuple[bytes, bytes]:
    """A small picture with a black square, and its mask."""
    yy, xx = np.mgrid[:32, :32]
    picture = np.stack([90 + 4 * xx, 100 + 3 * yy, 160 - 2 * xx], axis=2).astype(np.uint8)
    mask = (abs(yy - 16) < 5) & (abs(xx - 14) < 5)
    return encode_image(picture * ~mask[..., None]), encode_image(mask)


def _body(kind: type[BaseModel]) -> dict[str, Any]:
    """A request's body, as a form with files or as JSON."""
    content = {}
    for media_type in ("multipart/form-data", "application/json"):
        schema = kind.model_json_schema()
        for name in FILES:
            if (one := schema["properties"].get(name)) is not None:
                form = media_type == "multipart/form-data"
                how = {"format": "binary"} if form else {"contentEncoding": "base64"}
                schema["properties"][name] = {"type": "string", "description": one["description"], **how}
        content[media_type] = {"schema": schema}
    files = dict(zip(FILES, (base64.b64encode(file).decode() for file in _example()), strict=True))
    sent: dict[str, Any] = {"picture": files["picture"]}
    examples = {"found": {"summary": "What is missing is found.", "value": sent}}
    if kind is Complete:
        given = {"summary": "A mask is given, and JSON comes back.", "value": {**files, "grow": 1, "response": "json"}}
        drawn = {"summary": "Four samples (needs torch).", "value": {**files, "samples": 4, "seed": 1, "response": "json"}}
        examples |= {"given": given, "drawn": drawn}
    content["application/json"]["examples"] = examples
    return {"requestBody": {"required": True, "content": content}}


_PICTURE = {"schema": {"type": "string", "format": "binary"}}
_TOLD = {
    "Pixelrnn-Missing": {"description": "The share of pixels that were filled in.", "schema": {"type": "number"}},
    "Pixelrnn-Mask-Source": {"description": "given, transparent, or detected.", "schema": {"type": "string"}},
    "Pixelrnn-Weights": {"description": "What filled them in.", "schema": {"type": "string"}},
}
COMPLETE: dict[str, Any] = {
    "tags": ["pictures"],
    "openapi_extra": _body(Complete),
    "responses": {
        200: {
            "model": Completed,
            "description": "The picture, or JSON.",
            "content": dict.fromkeys(("image/png", "image/jpeg", "image/webp"), _PICTURE),
            "headers": _TOLD,
        },
        **TROUBLE,
    },
}
DETECT: dict[str, Any] = {
    "tags": ["pictures"],
    "openapi_extra": _body(Detect),
    "responses": {200: {"model": Found, "description": "What was found."}, **TROUBLE},
}
MODELS: dict[str, Any] = {"tags": ["pictures"], "responses": {200: {"model": Models}, 401: TROUBLE[401]}}


def describe(app: FastAPI, token: bool) -> None:
    """Add to the description what concerns every path. token: whether one is needed."""
    whole = app.openapi()
    if token:
        whole["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        whole["security"] = [{"token": []}]
        for path in ("/healthz", "/readyz"):
            whole["paths"][path]["get"]["security"] = []
