"""Requests and answers as pydantic models, from which the OpenAPI description is made."""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..errors import PixelRNNError, nearest


def _decoded(given: Any) -> Any:
    """Decode base64, in a data URL or not; a multipart body has bytes already."""
    if not isinstance(given, str):
        return given
    text = given.partition(",")[2] if given.startswith("data:") else given
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("expected base64") from None


File = Annotated[bytes, BeforeValidator(_decoded)]


class _Query(BaseModel):
    """The fields that all requests for work have."""

    model_config = ConfigDict(extra="forbid")

    picture: File = Field(description="A JPEG, PNG, WebP, AVIF, BMP, TIFF or GIF file.")
    weights: str | None = Field(
        None, description="A name that GET /v1/models lists; by default the one marked there as default."
    )
    level: Literal["strict", "normal", "eager"] = Field(
        "normal",
        description="How certain a detection must be: strict makes almost no false detections, eager misses less.",
    )


class Detect(_Query):
    """A picture in which to detect what is painted over."""


class Complete(_Query):
    """A picture to complete."""

    mask: File | None = Field(
        None,
        description="An image of the same size, white where pixels are missing. Without it, the missing pixels are detected.",
    )
    invert_mask: bool = Field(False, description="Treat black pixels of the mask as missing.")
    resize_mask: bool = Field(False, description="Resize a mask of another size to the picture's size.")
    grow: int = Field(0, ge=0, le=4096, description="Dilate the mask by this many pixels.")
    samples: int = Field(
        1, ge=1, description="The number of completions to draw; 1 gives the network's own completion, which is not sampled."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of the samples; the same seed gives the same samples.")
    format: Literal["png", "jpg", "webp", "same"] = Field(
        "png",
        description="Format of the completed picture. PNG and WebP keep every known pixel, JPEG changes all pixels slightly.",
    )
    response: Literal["picture", "json"] | None = Field(
        None, description="The picture alone, or JSON with all that is known about it; by default as the Accept header says."
    )


class Region(BaseModel):
    """A connected region that is painted over."""

    box: tuple[int, int, int, int] = Field(description="x, y, width, height in pixels.")
    pixels: int
    confidence: float = Field(description="How certain it is that this is paint, from 0 to 1.")
    kept: bool = Field(description="Whether it counts as missing at the given level.")


class DetectionResponse(BaseModel):
    """The missing pixels of a picture."""

    width: int
    height: int
    weights: str
    mask: str = Field(description="Base64 of a PNG, white where pixels are missing.")
    mask_source: str = Field(description="given, transparent, detected, or a mixture.")
    missing: float = Field(description="The share of the picture's pixels that are missing, from 0 to 1.")
    regions: list[Region] = Field(description="All detected regions, including uncertain ones, the most certain first.")
    notes: list[str] = Field(description="What was lost in reading the file, such as a depth of 16 bits.")


class CompletionResponse(DetectionResponse):
    """A completion and what is known about it."""

    picture: str = Field(description="Base64 of the completed picture; of several samples, the most likely one.")
    media_type: str = Field(description="Media type of the picture and the samples.")
    samples: list[str] = Field(description="Base64 of each sample, the most likely first; empty unless several were asked for.")
    log_likelihood: list[float] | None = Field(
        description="Log-likelihood of each sample, in nats per missing pixel; null if none was drawn."
    )
    uncertainty: str | None = Field(
        description="Base64 of a grey PNG: the standard deviation of the prediction in grey levels, 0 where pixels are known."
    )


class Model(BaseModel):
    """Weights that requests may name."""

    name: str
    default: bool = Field(description="Whether it is used when a request names no weights.")
    loaded: bool = Field(description="Whether it is loaded; others are loaded at the first request for them.")


class Models(BaseModel):
    """The weights that the service offers."""

    models: list[Model]
    max_samples: int = Field(description="The most samples of one request; 1 if the service cannot draw samples.")


class ErrorResponse(BaseModel):
    """An error in one line: what was expected, what came, what to do."""

    detail: str


def check(kind: type[_Query], values: dict[str, Any] | bytes) -> Any:
    """Validate a request.

    Args:
        kind: The model of the request, Complete or Detect.
        values: Its fields, or the bytes of a JSON object.

    Raises:
        PixelRNNError: With the first error found.
    """
    try:
        return kind.model_validate_json(values) if isinstance(values, bytes) else kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = ".".join(str(part)[:40] for part in first["loc"])
    if first["type"] == "extra_forbidden":
        raise PixelRNNError(f"{name}: no such field{nearest(name, list(kind.model_fields))}") from None
    reason = first["msg"].removeprefix("Value error, ")
    raise PixelRNNError(f"{name or 'the body'}: {reason[:1].lower()}{reason[1:]}.") from None
