"""What requests say and what is answered, as pydantic models, from which the OpenAPI description is made."""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..errors import PixelRNNError, nearest


def _decoded(given: Any) -> Any:
    """Base64, in a data URL or not, as bytes; a multipart body has bytes already."""
    if not isinstance(given, str):
        return given
    text = given.partition(",")[2] if given.startswith("data:") else given
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("expected base64") from None


File = Annotated[bytes, BeforeValidator(_decoded)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    picture: File = Field(description="A JPEG, PNG, WebP, AVIF, BMP, TIFF or GIF file.")
    weights: str | None = Field(None, description="A name that GET /v1/models lists; its default where none is given.")
    level: Literal["strict", "normal", "eager"] = Field(
        "normal", description="How sure a find must be: strict alters next to nothing in vain, eager misses next to nothing."
    )


class Detect(_Asked):
    """What to look for something painted over in."""


class Complete(_Asked):
    """What to complete."""

    mask: File | None = Field(
        None, description="A picture of the same size, white where pixels are missing. Without it, what is missing is found."
    )
    invert_mask: bool = Field(False, description="Black pixels of the mask are missing.")
    resize_mask: bool = Field(False, description="Bring a mask of another size to the picture's.")
    grow: int = Field(0, ge=0, le=4096, description="Pixels by which what is missing is grown.")
    samples: int = Field(1, ge=1, description="Several completions, drawn; 1 is the expected one, which is not drawn.")
    seed: int = Field(0, ge=0, lt=2**63, description="Of the samples: the same one draws the same again.")
    format: Literal["png", "jpg", "webp", "same"] = Field(
        "png", description="Of the picture that comes back. PNG and WebP keep every known pixel, JPEG changes all a little."
    )
    response: Literal["picture", "json"] | None = Field(
        None, description="The picture alone, or JSON with all that is known of it; by default as the Accept header says."
    )


class Region(BaseModel):
    """Something painted over, as far as it hangs together."""

    box: tuple[int, int, int, int] = Field(description="x, y, width, height in pixels.")
    pixels: int
    confidence: float = Field(description="That it is paint, from 0 to 1.")
    kept: bool = Field(description="Whether the level takes it as missing.")


class Found(BaseModel):
    """What is missing in a picture."""

    width: int
    height: int
    weights: str
    mask: str = Field(description="Base64 of a PNG, white where pixels are missing.")
    mask_source: str = Field(description="given, transparent, detected, or a mixture.")
    missing: float = Field(description="The share of the picture's pixels, from 0 to 1.")
    regions: list[Region] = Field(description="What was found, the surest first, in doubt included.")
    notes: list[str] = Field(description="What was lost in reading the file.")


class Completed(Found):
    """A completion and what is known about it."""

    picture: str = Field(description="Base64 of the completed picture; of several samples the most likely.")
    media_type: str = Field(description="Of the picture and the samples.")
    samples: list[str] = Field(description="Base64 of each sample, the most likely first; empty unless several were asked for.")
    log_likelihood: list[float] | None = Field(description="Nats per missing pixel, of each sample.")
    uncertainty: str | None = Field(
        description="Base64 of a grey PNG: the standard deviation of the prediction in grey levels, 0 where pixels are known."
    )


class Model(BaseModel):
    """Weights that requests may name."""

    name: str
    default: bool = Field(description="Used where a request names none.")
    loaded: bool = Field(description="Others are loaded at the first request for them.")


class Models(BaseModel):
    """What is offered."""

    models: list[Model]
    max_samples: int = Field(description="1 where the service cannot draw samples.")


class Said(BaseModel):
    """One line: what was expected, what came, what to do."""

    detail: str


def check(kind: type[_Asked], values: dict[str, Any] | bytes) -> Any:
    """A `kind` of fields, or of the bytes of JSON. Raises PixelRNNError with what is wrong first."""
    try:
        return kind.model_validate_json(values) if isinstance(values, bytes) else kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = ".".join(str(part)[:40] for part in first["loc"])
    if first["type"] == "extra_forbidden":
        raise PixelRNNError(f"{name}: no such field{nearest(name, list(kind.model_fields))}") from None
    reason = first["msg"].removeprefix("Value error, ")
    raise PixelRNNError(f"{name or 'the body'}: {reason[:1].lower()}{reason[1:]}.") from None
