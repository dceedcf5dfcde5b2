"""The desk: what the editor in the browser says, and what it is answered. Knows nothing of how either travels.

The browser sends all that it has each time, so that no message can be lost: the document, the acts that were not confirmed
yet, which pictures it holds, and which cuttings of the photograph it wants to see enlarged.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import PixelRNNError
from ..inference.completer import Completer
from ..masks import as_mask
from ..queue import Job
from .engine import DRAW, FILL, LOOK, READ, STAGES, WRITE, Settings, worker
from .figures import HEAT, CompletionView, completion_view, crop, detection_view
from .files import KINDS, make_file
from .intake import Upload
from .steps import DAMAGED, Chain, Document, Result, Work, read_chain
from .text import NOTHING_MARKED, how_it_went

PATIENCE = 0.3  # s that an answer waits for the work to end: a page that asks again in vain costs more
PART = 16 * 2**20  # bytes of a file in one answer
MOST_CUTTINGS = 4
ODD = (AttributeError, KeyError, TypeError, ValueError, OverflowError)  # what a browser may send raises any

Answer = tuple[dict[str, Any], dict[str, bytes]]  # what is told, and pictures by name


class Desk:
    """One photograph, with its mask if that was uploaded too, under the editor of one visit."""

    def __init__(self, upload: Upload, mask: Upload | None, level: str, load: Callable[[Settings], Completer]) -> None:
        self.upload, self.mask, self.level, self._load = upload, mask, level, load
        self.work: Work | None = None
        self.error = ""
        self._job: Job | None = None
        self._filled: tuple[Chain, str, Settings] | None = None  # what was last asked to be filled
        self._file: Job | None = None
        self._confirmed = 0  # the last act that was heard

    def turn(self, sent: dict[str, Any], settings: Settings) -> Answer:
        """Hear what was sent, go on, and answer."""
        polls = sent.get("polls")
        if self.work is not None and sent.get("rev") == self.work.found.revision:
            try:
                self.work.document = self.work.read(sent.get("doc"))
                for act in sent.get("acts") or []:
                    self._hear(act, self.work, settings)
            except PixelRNNError as error:
                self.error = str(error)
            except ODD:
                self.error = DAMAGED
        else:
            sent = {}  # it is of the photograph before
        if self.work is None and self._job is None and not self.error:
            self._open(settings)
        self._follow()
        if self.work is not None and self._job is None:
            self._refill(self.work, settings)
        told, pictures = self._answer(sent, settings)
        return told | {"polls": polls}, pictures  # an answer like the one before would not reach the editor

    def done(self, settings: Settings) -> Chain:
        """What is shown as the result: all steps that were kept, and the last one where it is filled in."""
        if self.work is None:
            return ()
        document = self.work.document
        last = next((result for result in self.work.of(document) if result.settings == settings), None)
        return document.chain if last is None else (*document.chain, (last.name, document.step.sample))

    def leave(self) -> None:
        """Nobody waits for it any more."""
        for job in (self._job, self._file):
            if job is not None:
                job.cancel()

    def _open(self, settings: Settings) -> None:
        """Find what is missing, and fill that in where it is sure."""
        completer = self._load(settings)

        def run(job: Job) -> CompletionView | None:
            start = time.perf_counter()
            job.stage = READ
            picture, detection = self.upload.decode(), None
            job.stage = LOOK
            if self.mask is None:
                mask, source, detection = completer.find(picture, settings.level)
            else:
                mask, source = as_mask(self.mask.decode_mask(), picture.pixels.shape[:2]), "given"
            work = Work(self.upload, detection_view(picture.pixels, mask, source, self.upload.key, detection))
            work.shelve(picture)
            job.shared = work
            return _fill(job, work, Document(), mask, completer, settings, start) if work.found.sure and mask.any() else None

        self._job, self._filled = worker().submit(run), ((), "", settings)

    def _hear(self, act: dict[str, Any], work: Work, settings: Settings) -> None:
        if act["id"] <= self._confirmed:
            return
        self._confirmed, self.error = act["id"], ""
        if act["kind"] == "complete":
            self._fill_in(work, settings)
        elif act["kind"] == "cancel" and self._job is not None:
            self._job.cancel()
            self._job = None
        elif act["kind"] == "file":
            self._make(work, read_chain(act["chain"]), act["format"])

    def _fill_in(self, work: Work, settings: Settings) -> None:
        """What is marked in the step that is worked on."""
        document, completer = work.document, self._load(settings)
        mask = work.mask(document)
        if not mask.any():
            raise PixelRNNError(NOTHING_MARKED)

        def run(job: Job) -> CompletionView:
            return _fill(job, work, document, mask, completer, settings, time.perf_counter())

        if self._job is not None:
            self._job.cancel()
        self._job, self._filled = worker().submit(run), (document.chain, document.step.key, settings)

    def _make(self, work: Work, chain: Chain, kind: str) -> None:
        """A file to hand out."""
        if not chain or kind not in KINDS:
            raise PixelRNNError(DAMAGED)
        work.check(chain)
        number = self._confirmed

        def run(job: Job) -> tuple[str, bytes]:
            job.stage, job.shared = WRITE, (number, KINDS[kind])
            return make_file(work, chain, kind)

        self._file = worker().submit(run)

    def _refill(self, work: Work, settings: Settings) -> None:
        """Other settings fill in again what is shown filled."""
        document = work.document
        made = [result.settings for result in work.of(document)]
        if made and settings not in made and self._filled != (document.chain, document.step.key, settings):
            self._fill_in(work, settings)

    def _follow(self) -> None:
        """Wait a little for the work; take what it has to show, and what it gave."""
        start = time.monotonic()
        for job in (self._job, self._file):
            for _ in job.ticks() if job is not None else ():
                seen = self.work is None and job is not None and job.shared  # is worth an answer
                if seen or time.monotonic() - start > PATIENCE:
                    break
        job = self._job
        if job is not None and self.work is None:
            self.work = job.shared
        if job is None or not job.done():
            return
        self._job = None
        try:
            done = job.result()
        except PixelRNNError as error:
            self.error = str(error)
            return
        if done is not None and self.work is not None and self._filled is not None:
            self.work.add(Result(self.work.next_name(), *self._filled, done))

    def _answer(self, sent: dict[str, Any], settings: Settings) -> Answer:
        told: dict[str, Any] = {"rev": None, "confirmed": self._confirmed, "busy": None}
        for job in (self._job, self._file):
            if job is not None and not job.done():
                told["busy"] = {"stage": job.stage, "share": STAGES[job.stage], "ahead": job.ahead()}
        pictures: dict[str, bytes] = {}
        if self.work is not None:
            pictures = {name: data for name, data in self.work.pictures().items() if name not in (sent.get("has") or [])}
            try:
                for want in (sent.get("wants") or [])[:MOST_CUTTINGS]:
                    pictures[str(want["name"])[:200]] = self._cut(self.work, want)
                told["file"] = self._part(sent.get("part"), pictures)
            except PixelRNNError as error:
                self.error, self._file = str(error), None
            except ODD:
                self.error = DAMAGED
            told |= _state(self.work, settings)
        return told | {"error": self.error}, pictures

    def _cut(self, work: Work, want: dict[str, Any]) -> bytes:
        """A part of the photograph as it is after a chain, as sharp as it is shown."""
        chain = read_chain(want["chain"])
        work.check(chain)
        left, top, width, height = (int(edge) for edge in want["box"])
        return crop(work.after(chain).pixels, left, top, width, height, int(want["width"]))

    def _part(self, wanted: dict[str, int] | None, pictures: dict[str, bytes]) -> dict[str, Any] | None:
        """What is told of a file, whose next part that the browser wants, the first one unasked, goes with the pictures."""
        if self._file is None or not self._file.done():
            return None
        (name, data), (number, kind) = self._file.result(), self._file.shared
        part = int(wanted["part"]) if wanted and wanted["id"] == number else 0
        parts = max(1, -(-len(data) // PART))
        if not 0 <= part < parts:  # it has them all
            self._file = None
            return None
        pictures["file"] = data[part * PART : (part + 1) * PART]
        return {"id": number, "name": name, "type": kind, "part": part, "parts": parts}


def _fill(
    job: Job, work: Work, document: Document, mask: np.ndarray, completer: Completer, settings: Settings, start: float
) -> CompletionView:
    """What is missing, filled in on top of what was kept."""
    job.stage = READ
    picture = work.after(document.chain)
    job.stage = FILL
    source = "given" if document.chain or document.step.marks else work.found.source
    # a network that reads no mask is to see the paint that it has found
    as_found = source != "given" and not completer.backend.reads_mask
    result = replace(completer(picture, None if as_found else mask, **settings.drawn), mask_source=source)
    seconds = time.perf_counter() - start
    job.stage = DRAW
    return completion_view(picture, result, seconds)


def _state(work: Work, settings: Settings) -> dict[str, Any]:
    """All that is known of a photograph, but for its pictures."""
    seen, document = work.found, work.document
    return {
        "rev": seen.revision,
        "size": seen.size,
        "source": seen.source,
        "finds": [
            {"box": [one.box.left, one.box.top, *one.box.size], "taken": one.taken, "sure": round(100 * one.confidence)}
            for one in seen.finds
        ],
        "colours": HEAT.tolist(),
        "doc": document.told(),
        "results": [
            {
                "name": result.name,
                "chain": result.chain,
                "key": result.key,
                "own": result.settings == settings,
                "samples": len(result.done.after),
                "likelihoods": result.done.likelihoods,
                "doubt": result.done.doubt is not None,
                "largest": result.done.largest,
                "told": how_it_went(result.done),
            }
            for result in reversed(work.results.values())
        ],
    }
