"""A photograph being edited: what was detected in it, and what was filled in, step by step.

A step starts from the photograph with the fills of all earlier steps, its `Chain`. The browser holds the document: the marks of
each step, and the result that was kept for it. The server holds the results, so that undo and redo find earlier fills again.
"""

import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ..decode import Picture
from ..errors import PixelRNNError
from ..image import paste_known
from .engine import Settings, image_cache
from .marks import Mark, check_marks, draw_marks
from .uploads import Upload
from .views import CompletionView, DetectionView

MOST_RESULTS, MOST_STEPS, MOST_KEY = 60, 200, 64
Chain = tuple[tuple[str, int], ...]  # the results that were kept, each with the number of its sample
DAMAGED = "what was done here cannot be read. Load the page again."


@dataclass(frozen=True)
class Result:
    """A fill on top of `chain` for the marks that the browser identifies by `key`."""

    name: str
    chain: Chain
    key: str
    settings: Settings
    completion: CompletionView


@dataclass(frozen=True)
class Step:
    """The marks of a step, the key by which the browser identifies them, and the result that was kept, if any."""

    marks: list[Mark]
    key: str = ""
    result: str | None = None
    sample: int = 0


@dataclass(frozen=True)
class Document:
    """All steps on a photograph; `at` is the index of the current one."""

    steps: tuple[Step, ...] = (Step([]),)
    at: int = 0

    @property
    def step(self) -> Step:
        """The current step."""
        return self.steps[self.at]

    @property
    def chain(self) -> Chain:
        """The results that the current step starts from."""
        return tuple((step.result or "", step.sample) for step in self.steps[: self.at])

    def to_json(self) -> dict[str, Any]:
        """Return the document as the browser holds it."""
        return {"steps": [asdict(step) for step in self.steps], "at": self.at}


def read_chain(sent: Any) -> Chain:
    """Read a chain that a browser sent. Raises ValueError or TypeError if it is none."""
    return tuple((str(name), int(sample)) for name, sample in sent)


@dataclass
class Work:
    """A photograph, its initial mask, and all results of this visit."""

    upload: Upload
    detection: DetectionView
    results: dict[str, Result] = field(default_factory=dict)
    document: Document = Document()
    token: str = field(default_factory=lambda: secrets.token_hex(8))  # keeps the cached images of different visits apart
    count: int = 0  # results so far

    @property
    def picture(self) -> Picture:
        """The original photograph. Raises PixelRNNError."""
        return image_cache().get(self.upload.key, self.upload.decode)

    def cache(self, picture: Picture) -> None:
        """Put the decoded photograph into the cache."""
        image_cache().put(self.upload.key, picture)

    def read(self, sent: Any) -> Document:
        """Read a document that a browser sent, which may be anything. Raises PixelRNNError."""
        steps = sent.get("steps") if isinstance(sent, dict) else None
        if not isinstance(steps, list) or not 0 < len(steps) <= MOST_STEPS or type(sent.get("at")) is not int:
            raise PixelRNNError(DAMAGED)
        if not 0 <= sent["at"] < len(steps):
            raise PixelRNNError(DAMAGED)
        document = Document(tuple(self._read_step(step, not number) for number, step in enumerate(steps)), sent["at"])
        self.check(document.chain)
        return document

    def _read_step(self, sent: Any, first: bool) -> Step:
        """Read a step; only the first can have marks on detected regions."""
        if not isinstance(sent, dict) or type(sent.get("sample")) is not int:
            raise PixelRNNError(DAMAGED)
        if not isinstance(sent.get("key"), str) or len(sent["key"]) > MOST_KEY:
            raise PixelRNNError(DAMAGED)
        marks = check_marks(sent.get("marks"), max(self.detection.size), len(self.detection.finds) if first else 0)
        result = sent.get("result")
        return Step(marks, sent["key"], result if isinstance(result, str) else None, sent["sample"])

    def check(self, chain: Chain) -> None:
        """Raise PixelRNNError unless all results of a chain exist, and were made on top of each other."""
        for number, (name, sample) in enumerate(chain):
            result = self.results.get(name)
            if result is None or result.chain != chain[:number] or not 0 <= sample < len(result.completion.after):
                raise PixelRNNError(DAMAGED)

    def mask(self, document: Document) -> np.ndarray:
        """Return the mask of the document's current step, bool (H, W)."""
        marks = document.step.marks
        if document.at:
            return draw_marks(np.zeros(self.detection.mask.shape, bool), marks)
        return draw_marks(self.detection.mask.unpack(), marks, self.detection.finds)

    def after(self, chain: Chain) -> Picture:
        """Return the photograph with the fills of `chain`. It is shared: do not change it."""
        if not chain:
            return self.picture
        name, sample = chain[-1]

        def make() -> Picture:
            before = self.after(chain[:-1])
            return replace(before, pixels=self.results[name].completion.fill.apply(before.pixels, sample))

        return image_cache().get((self.token, chain), make)

    def finished(self, chain: Chain) -> tuple[np.ndarray, np.ndarray]:
        """Return the photograph with all fills of `chain`, uint8 (H, W, 3), and the mask of filled pixels, bool (H, W).

        All other pixels are the photograph's own.
        """
        filled = np.zeros(self.detection.mask.shape, bool)
        for name, _ in chain:
            filled |= self.results[name].completion.fill.mask.unpack()
        return paste_known(self.picture.pixels, self.after(chain).pixels, filled), filled

    def next_name(self) -> str:
        """Return a new name for a result."""
        self.count += 1
        return f"r{self.count}"

    def add(self, result: Result) -> None:
        """Keep a result; if there are too many, drop the oldest ones on which nothing depends."""
        self.results[result.name] = result
        needed = {name for name, _ in self.document.chain} | {result.name, *(name for name, _ in result.chain)}
        needed |= {step.result for step in self.document.steps if step.result}
        for name in [name for name in self.results if name not in needed][: max(0, len(self.results) - MOST_RESULTS)]:
            del self.results[name]

    def of(self, document: Document) -> Iterator[Result]:
        """Yield the results for the document's current marks, of any settings, the newest first."""
        chain, key = document.chain, document.step.key
        return (result for result in reversed(self.results.values()) if (result.chain, result.key) == (chain, key))

    def previews(self) -> dict[str, bytes]:
        """Return all previews of the whole photograph, by the names that the editor uses."""
        images = {"photo": self.detection.photograph, "found": self.detection.tint}
        images |= {f"find{number}": find.tint for number, find in enumerate(self.detection.finds)}
        for result in self.results.values():
            images |= {f"{result.name}.{sample}": after for sample, after in enumerate(result.completion.after)}
            if result.completion.uncertainty is not None:
                images[f"{result.name}.doubt"] = result.completion.uncertainty
        return images
