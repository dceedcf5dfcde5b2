"""One photograph in work: what was found in it, and what was filled in, one step after the other.

A step starts from the photograph with the fills of the steps before, its `Chain`. The browser keeps the document: each step's
marks, and which result it was left with. This keeps the results, by which undo and redo find again what was filled in.
"""

import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ..decode import Picture
from ..errors import PixelRNNError
from ..image import paste_known
from .engine import Settings, shelf
from .figures import CompletionView, DetectionView
from .intake import Upload
from .marks import Mark, check_marks, draw_marks

MOST_RESULTS, MOST_STEPS, MOST_KEY = 60, 200, 64
Chain = tuple[tuple[str, int], ...]  # of the results that were kept, each with its sample
DAMAGED = "what was done here cannot be read. Load the page again."


@dataclass(frozen=True)
class Result:
    """What was filled in on top of `chain` for the marks that the browser calls `key`."""

    name: str
    chain: Chain
    key: str
    settings: Settings
    done: CompletionView


@dataclass(frozen=True)
class Step:
    """The marks of a step, what the browser calls them, and where it was left the result that was kept."""

    marks: list[Mark]
    key: str = ""
    result: str | None = None
    sample: int = 0


@dataclass(frozen=True)
class Document:
    """What is done on a photograph; `at` is the step that is worked on."""

    steps: tuple[Step, ...] = (Step([]),)
    at: int = 0

    @property
    def step(self) -> Step:
        return self.steps[self.at]

    @property
    def chain(self) -> Chain:
        """What the step that is worked on starts from."""
        return tuple((step.result or "", step.sample) for step in self.steps[: self.at])

    def told(self) -> dict[str, Any]:
        """As the browser has it."""
        return {"steps": [asdict(step) for step in self.steps], "at": self.at}


def read_chain(sent: Any) -> Chain:
    """A chain as a browser sent it; raises ValueError or TypeError for what is none."""
    return tuple((str(name), int(sample)) for name, sample in sent)


@dataclass
class Work:
    """A photograph, what was found in it, and all results of this visit."""

    upload: Upload
    found: DetectionView
    results: dict[str, Result] = field(default_factory=dict)
    document: Document = Document()
    token: str = field(default_factory=lambda: secrets.token_hex(8))  # nobody else's pictures have this name
    count: int = 0  # of results there were

    @property
    def picture(self) -> Picture:
        """The photograph as it came. Raises PixelRNNError."""
        return shelf().get(self.upload.key, self.upload.decode)

    def shelve(self, picture: Picture) -> None:
        """`picture` is what was decoded of it."""
        shelf().put(self.upload.key, picture)

    def read(self, sent: Any) -> Document:
        """A document as a browser sent it, which may be anything. Raises PixelRNNError."""
        steps = sent.get("steps") if isinstance(sent, dict) else None
        if not isinstance(steps, list) or not 0 < len(steps) <= MOST_STEPS or type(sent.get("at")) is not int:
            raise PixelRNNError(DAMAGED)
        if not 0 <= sent["at"] < len(steps):
            raise PixelRNNError(DAMAGED)
        document = Document(tuple(self._read_step(step, not number) for number, step in enumerate(steps)), sent["at"])
        self.check(document.chain)
        return document

    def _read_step(self, sent: Any, first: bool) -> Step:
        if not isinstance(sent, dict) or type(sent.get("sample")) is not int:
            raise PixelRNNError(DAMAGED)
        if not isinstance(sent.get("key"), str) or len(sent["key"]) > MOST_KEY:
            raise PixelRNNError(DAMAGED)
        marks = check_marks(sent.get("marks"), max(self.found.size), len(self.found.finds) if first else 0)
        result = sent.get("result")
        return Step(marks, sent["key"], result if isinstance(result, str) else None, sent["sample"])

    def check(self, chain: Chain) -> None:
        """Raises PixelRNNError for results that are not here, or were not made on top of each other."""
        for number, (name, sample) in enumerate(chain):
            result = self.results.get(name)
            if result is None or result.chain != chain[:number] or not 0 <= sample < len(result.done.after):
                raise PixelRNNError(DAMAGED)

    def mask(self, document: Document) -> np.ndarray:
        """What is missing in the step that is worked on, bool (H, W)."""
        marks = document.step.marks
        if document.at:
            return draw_marks(np.zeros(self.found.mask.shape, bool), marks)
        return draw_marks(self.found.mask.unpack(), marks, self.found.finds)

    def after(self, chain: Chain) -> Picture:
        """The photograph with the fills of `chain`, which is not to be changed."""
        if not chain:
            return self.picture
        name, sample = chain[-1]

        def make() -> Picture:
            before = self.after(chain[:-1])
            return replace(before, pixels=self.results[name].done.fill.apply(before.pixels, sample))

        return shelf().get((self.token, chain), make)

    def finished(self, chain: Chain) -> tuple[np.ndarray, np.ndarray]:
        """The photograph with all fills of `chain`, and where it was filled, bool (H, W): all else is from the photograph."""
        filled = np.zeros(self.found.mask.shape, bool)
        for name, _ in chain:
            filled |= self.results[name].done.fill.mask.unpack()
        return paste_known(self.picture.pixels, self.after(chain).pixels, filled), filled

    def next_name(self) -> str:
        self.count += 1
        return f"r{self.count}"

    def add(self, result: Result) -> None:
        """Keep a result, in place of the oldest that nothing stands on where they are too many."""
        self.results[result.name] = result
        needed = {name for name, _ in self.document.chain} | {result.name, *(name for name, _ in result.chain)}
        needed |= {step.result for step in self.document.steps if step.result}
        for name in [name for name in self.results if name not in needed][: max(0, len(self.results) - MOST_RESULTS)]:
            del self.results[name]

    def of(self, document: Document) -> Iterator[Result]:
        """The results for what is marked now, by any settings, the newest first."""
        chain, key = document.chain, document.step.key
        return (result for result in reversed(self.results.values()) if (result.chain, result.key) == (chain, key))

    def pictures(self) -> dict[str, bytes]:
        """All that is shown of the whole photograph, by the names that the editor has for them."""
        shown = {"photo": self.found.photograph, "found": self.found.tint}
        shown |= {f"find{number}": one.tint for number, one in enumerate(self.found.finds)}
        for result in self.results.values():
            shown |= {f"{result.name}.{sample}": after for sample, after in enumerate(result.done.after)}
            if result.done.doubt is not None:
                shown[f"{result.name}.doubt"] = result.done.doubt
        return shown
