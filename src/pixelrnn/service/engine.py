"""What the service does with pictures: weights by name, each loaded once, and the work of one request, a step at a time."""

import base64
import io
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from ..decode import Picture, read_picture
from ..encode import WRITERS, encode_image
from ..errors import PixelRNNError, nearest
from ..inference.completer import Completer, Completion
from ..inference.detection import LEVELS, Region
from ..masks import as_mask, read_mask
from ..queue import Job, Worker
from .messages import Complete, Detect
from .settings import Settings


class Left(Exception):
    """Nobody waits for this work any more."""


@dataclass(frozen=True)
class Answer:
    """The body of a response, and in words what of it a picture cannot say."""

    body: bytes
    media_type: str
    told: dict[str, str] = field(default_factory=dict)


class Engine:
    """Weights, and a queue for all work on pictures. Raises PixelRNNError for weights that cannot be read."""

    def __init__(self, settings: Settings, load: tuple[str, ...] = ()) -> None:
        self.settings = settings
        self.queue = Worker(settings.threads, settings.queue)
        self.loaded: dict[str, Completer] = {}
        self._door = threading.Lock()
        self._usual = 1.0  # s that a request takes, of late
        for name in load:
            # what a request finds cold takes several times as long
            completer, picture = self._completer(name), np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
            completer.detect(picture)
            completer(picture, (8, 8, 9, 9))

    def wait(self) -> int:
        """Whole seconds in which there will be room again, about."""
        return max(1, min(60, round(self._usual * self.queue.length() / self.settings.threads)))

    def models(self) -> dict[str, Any]:
        """As messages.Models."""
        known = [
            {"name": name, "default": name == self.settings.default, "loaded": name in self.loaded}
            for name in self.settings.weights
        ]
        return {"models": known, "max_samples": self.settings.max_samples if find_spec("torch") else 1}

    def complete(self, asked: Complete, as_json: bool) -> Callable[[Job], Answer]:
        """The work of a request; it raises PixelRNNError, and Left."""
        if asked.samples > self.settings.max_samples:
            raise PixelRNNError(f"{asked.samples} samples: at most {self.settings.max_samples} are drawn here.")
        self._known(asked.weights)

        def work(job: Job) -> Answer:
            _stop_if_left(job)
            picture = self._read(asked.picture)
            mask = self._mask(asked, picture.pixels.shape[:2])
            _stop_if_left(job)
            result = self._completer(asked.weights)(
                picture,
                mask,
                samples=asked.samples,
                seed=asked.seed,
                grown=asked.grow,
                level=asked.level,
                progress=lambda share: _stop_if_left(job),
            )
            _stop_if_left(job)
            suffix = f".{asked.format}" if asked.format != "same" else f".{picture.format.lower()}"
            suffix = suffix if suffix in WRITERS else ".png"  # a GIF
            files = [encode_image(sample, suffix, picture, result.mask) for sample in result.samples]
            media_type = Image.MIME[WRITERS[suffix][0]]
            told = self._told(picture, result.mask, result.mask_source, result.regions, asked)
            if as_json:
                return _as_json(told | _completed(result, files, media_type))
            return Answer(files[0], media_type, {key: str(told[key]) for key in ("weights", "mask_source", "missing")})

        return self._timed(work)

    def detect(self, asked: Detect) -> Callable[[Job], Answer]:
        """The work of a request; it raises PixelRNNError, and Left."""
        self._known(asked.weights)

        def work(job: Job) -> Answer:
            _stop_if_left(job)
            picture = self._read(asked.picture)
            _stop_if_left(job)
            mask, source, found = self._completer(asked.weights).find(picture, asked.level)
            told = self._told(picture, mask, source, found.regions, asked)
            return _as_json(told | {"mask": _text(encode_image(mask))})

        return self._timed(work)

    def _timed(self, work: Callable[[Job], Answer]) -> Callable[[Job], Answer]:
        def timed(job: Job) -> Answer:
            start = time.monotonic()
            try:
                return work(job)
            except MemoryError:
                raise PixelRNNError("the picture: not enough memory for it. Send a smaller one.") from None
            finally:
                self._usual += 0.2 * (time.monotonic() - start - self._usual)

        return timed

    def _known(self, name: str | None) -> str:
        """The name, of offered weights alone: what a request says is never taken for a path."""
        offered = self.settings.weights
        if name is not None and name not in offered:
            raise PixelRNNError(f"no such weights{nearest(name[:100], list(offered))} Choose one of {', '.join(offered)}.")
        return name or self.settings.default

    def _completer(self, name: str | None) -> Completer:
        name = self._known(name)
        with self._door:
            if name not in self.loaded:
                self.loaded[name] = Completer.from_pretrained(self.settings.weights[name])
            return self.loaded[name]

    def _read(self, data: bytes) -> Picture:
        return read_picture(data, self.settings.max_pixels)

    def _mask(self, asked: Complete, shape: tuple[int, ...]) -> np.ndarray | None:
        """Bool of `shape`, (H, W), of what is missing; None where it is to be found."""
        if asked.mask is None:
            return None
        file = io.BytesIO(asked.mask)
        file.name = "the mask"  # as errors call it
        return as_mask(read_mask(file, asked.invert_mask, self.settings.max_pixels), shape, resize=asked.resize_mask)

    def _told(
        self, picture: Picture, mask: np.ndarray, source: str, regions: tuple[Region, ...], asked: Complete | Detect
    ) -> dict[str, Any]:
        height, width = mask.shape
        return {
            "width": width,
            "height": height,
            "weights": self._known(asked.weights),
            "mask_source": source,
            "missing": round(float(mask.mean()), 6),
            "regions": [
                {
                    "box": [region.box.left, region.box.top, *region.box.size],
                    "pixels": int(region.mask.sum()),
                    "confidence": round(region.confidence, 4),
                    "kept": region.confidence >= LEVELS[asked.level],
                }
                for region in regions
            ],
            "notes": list(picture.notes),
        }


def _completed(result: Completion, files: list[bytes], media_type: str) -> dict[str, Any]:
    levels = None if result.uncertainty is None else np.rint(np.clip(result.uncertainty * 255, 0, 255)).astype(np.uint8)
    return {
        "mask": _text(encode_image(result.mask)),
        "picture": _text(files[0]),
        "media_type": media_type,
        "samples": [_text(file) for file in files] if len(files) > 1 else [],
        "log_likelihood": result.log_likelihood,
        "uncertainty": None if levels is None else _text(encode_image(levels)),
    }


def _as_json(told: dict[str, Any]) -> Answer:
    return Answer(json.dumps(told).encode(), "application/json")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _stop_if_left(job: Job) -> None:
    if job.left:
        raise Left
