"""The work of the service: weights by name, each loaded once, and what a request asks for, step by step."""

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
    """Raised by work for which nobody waits any more."""


@dataclass(frozen=True)
class Answer:
    """The body of a response, and facts for its headers, which an image cannot hold."""

    body: bytes
    media_type: str
    facts: dict[str, str] = field(default_factory=dict)


class Engine:
    """Weights, and a queue for all work on pictures.

    Args:
        settings: What the service offers and allows.
        load: Names of weights to load at once; others are loaded at the first request for them.

    Raises:
        PixelRNNError: If weights cannot be read.
    """

    def __init__(self, settings: Settings, load: tuple[str, ...] = ()) -> None:
        self.settings = settings
        self.queue = Worker(settings.threads, settings.queue)
        self.loaded: dict[str, Completer] = {}
        self._lock = threading.Lock()
        self._usual = 1.0  # s, a moving average of the time that a request takes
        for name in load:
            # warm up: the first run of a network takes several times as long
            completer, picture = self._completer(name), np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
            completer.detect(picture)
            completer(picture, (8, 8, 9, 9))

    def wait(self) -> int:
        """Estimate after how many seconds the queue will have room again, from 1 to 60."""
        return max(1, min(60, round(self._usual * self.queue.length() / self.settings.threads)))

    def models(self) -> dict[str, Any]:
        """Return the content of messages.Models."""
        known = [
            {"name": name, "default": name == self.settings.default, "loaded": name in self.loaded}
            for name in self.settings.weights
        ]
        return {"models": known, "max_samples": self.settings.max_samples if find_spec("torch") else 1}

    def complete(self, query: Complete, as_json: bool) -> Callable[[Job], Answer]:
        """Prepare the work of a request for a completion.

        Args:
            query: The request.
            as_json: Answer with JSON instead of the picture.

        Returns:
            A function for the queue, which raises PixelRNNError, and Left.

        Raises:
            PixelRNNError: If the request asks for too many samples or for unknown weights.
        """
        if query.samples > self.settings.max_samples:
            raise PixelRNNError(f"{query.samples} samples: at most {self.settings.max_samples} are drawn here.")
        self._check_name(query.weights)

        def work(job: Job) -> Answer:
            _stop_if_left(job)
            picture = self._read(query.picture)
            mask = self._mask(query, picture.pixels.shape[:2])
            _stop_if_left(job)
            result = self._completer(query.weights)(
                picture,
                mask,
                samples=query.samples,
                seed=query.seed,
                grown=query.grow,
                level=query.level,
                progress=lambda share: _stop_if_left(job),
            )
            _stop_if_left(job)
            suffix = f".{query.format}" if query.format != "same" else f".{picture.format.lower()}"
            suffix = suffix if suffix in WRITERS else ".png"  # a GIF, for example, cannot be written
            files = [encode_image(sample, suffix, picture, result.mask) for sample in result.samples]
            media_type = Image.MIME[WRITERS[suffix][0]]
            facts = self._facts(picture, result.mask, result.mask_source, result.regions, query)
            if as_json:
                return _as_json(facts | _completion_facts(result, files, media_type))
            return Answer(files[0], media_type, {key: str(facts[key]) for key in ("weights", "mask_source", "missing")})

        return self._timed(work)

    def detect(self, query: Detect) -> Callable[[Job], Answer]:
        """Prepare the work of a request for a detection, as `complete` does."""
        self._check_name(query.weights)

        def work(job: Job) -> Answer:
            _stop_if_left(job)
            picture = self._read(query.picture)
            _stop_if_left(job)
            mask, source, detection = self._completer(query.weights).find(picture, query.level)
            facts = self._facts(picture, mask, source, detection.regions, query)
            return _as_json(facts | {"mask": _text(encode_image(mask))})

        return self._timed(work)

    def _timed(self, work: Callable[[Job], Answer]) -> Callable[[Job], Answer]:
        """Measure the work's time, and turn a lack of memory into an error for the user."""

        def timed(job: Job) -> Answer:
            start = time.monotonic()
            try:
                return work(job)
            except MemoryError:
                raise PixelRNNError("the picture: not enough memory for it. Send a smaller one.") from None
            finally:
                self._usual += 0.2 * (time.monotonic() - start - self._usual)

        return timed

    def _check_name(self, name: str | None) -> str:
        """Return the name of offered weights, the default for None; a request can never give a path."""
        offered = self.settings.weights
        if name is not None and name not in offered:
            raise PixelRNNError(f"no such weights{nearest(name[:100], list(offered))} Choose one of {', '.join(offered)}.")
        return name or self.settings.default

    def _completer(self, name: str | None) -> Completer:
        """Return the network of these weights, loaded at the first use."""
        name = self._check_name(name)
        with self._lock:
            if name not in self.loaded:
                self.loaded[name] = Completer.from_pretrained(self.settings.weights[name])
            return self.loaded[name]

    def _read(self, data: bytes) -> Picture:
        return read_picture(data, self.settings.max_pixels)

    def _mask(self, query: Complete, shape: tuple[int, ...]) -> np.ndarray | None:
        """Read the mask, bool of `shape`, (H, W), True where missing; None if it is to be detected."""
        if query.mask is None:
            return None
        file = io.BytesIO(query.mask)
        file.name = "the mask"  # for error messages
        return as_mask(read_mask(file, query.invert_mask, self.settings.max_pixels), shape, resize=query.resize_mask)

    def _facts(
        self, picture: Picture, mask: np.ndarray, source: str, regions: tuple[Region, ...], query: Complete | Detect
    ) -> dict[str, Any]:
        """Return what both kinds of answer say about a picture and its mask."""
        height, width = mask.shape
        return {
            "width": width,
            "height": height,
            "weights": self._check_name(query.weights),
            "mask_source": source,
            "missing": round(float(mask.mean()), 6),
            "regions": [
                {
                    "box": [region.box.left, region.box.top, *region.box.size],
                    "pixels": int(region.mask.sum()),
                    "confidence": round(region.confidence, 4),
                    "kept": region.confidence >= LEVELS[query.level],
                }
                for region in regions
            ],
            "notes": list(picture.notes),
        }


def _completion_facts(result: Completion, files: list[bytes], media_type: str) -> dict[str, Any]:
    """Return what an answer says about a completion, whose samples are `files`."""
    levels = None if result.uncertainty is None else np.rint(np.clip(result.uncertainty * 255, 0, 255)).astype(np.uint8)
    return {
        "mask": _text(encode_image(result.mask)),
        "picture": _text(files[0]),
        "media_type": media_type,
        "samples": [_text(file) for file in files] if len(files) > 1 else [],
        "log_likelihood": result.log_likelihood,
        "uncertainty": None if levels is None else _text(encode_image(levels)),
    }


def _as_json(facts: dict[str, Any]) -> Answer:
    return Answer(json.dumps(facts).encode(), "application/json")


def _text(data: bytes) -> str:
    """Encode bytes as base64."""
    return base64.b64encode(data).decode()


def _stop_if_left(job: Job) -> None:
    """Raise Left if nobody waits for the job any more."""
    if job.left:
        raise Left
