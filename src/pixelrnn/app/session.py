"""The server's side of the editor: it reads the browser's messages and answers them, without knowing how they travel.

Each message from the browser holds its whole state, so that a lost message does no harm: the document, the acts that are not
confirmed yet, the images that it has, and the crops of the photograph that it needs for zooming.
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
from .files import KINDS, make_file
from .steps import DAMAGED, Chain, Document, Result, Work, read_chain
from .text import NOTHING_MARKED, describe
from .uploads import Upload
from .views import HEAT, CompletionView, completion_view, crop, detection_view

PATIENCE = 0.3  # s that an answer waits for a job to end; less than the cost of being asked again in vain
PART = 16 * 2**20  # bytes of a file that go into one answer
MOST_CROPS = 4  # in one answer
MALFORMED = (AttributeError, KeyError, TypeError, ValueError, OverflowError)  # what a malformed message may raise

Answer = tuple[dict[str, Any], dict[str, bytes]]  # the state as JSON, and images by name


class EditorSession:
    """One visit's photograph in the editor, with its mask if one was uploaded."""

    def __init__(self, upload: Upload, mask: Upload | None, level: str, load: Callable[[Settings], Completer]) -> None:
        self.upload, self.mask, self.level, self._load = upload, mask, level, load
        self.work: Work | None = None
        self.error = ""
        self._job: Job | None = None
        self._filled: tuple[Chain, str, Settings] | None = None  # what the current or last job fills in
        self._file: Job | None = None
        self._confirmed = 0  # the number of the last act that was handled

    def answer(self, sent: dict[str, Any], settings: Settings) -> Answer:
        """Handle a message of the editor, start or follow the work, and return the answer."""
        polls = sent.get("polls")
        if self.work is not None and sent.get("rev") == self.work.detection.revision:
            try:
                self.work.document = self.work.read(sent.get("doc"))
                for act in sent.get("acts") or []:
                    self._handle(act, self.work, settings)
            except PixelRNNError as error:
                self.error = str(error)
            except MALFORMED:
                self.error = DAMAGED
        else:
            sent = {}  # the message is about an earlier photograph
        if self.work is None and self._job is None and not self.error:
            self._open(settings)
        self._follow()
        if self.work is not None and self._job is None:
            self._refill(self.work, settings)
        state, images = self._state_and_images(sent, settings)
        return state | {"polls": polls}, images  # Streamlit would not deliver an answer equal to the one before

    def is_about(self, upload: Upload, mask: Upload | None, level: str) -> bool:
        """Whether the session is about this photograph, with this mask and this level of detection."""
        own_mask = None if self.mask is None else self.mask.key
        return (self.upload.key, own_mask, self.level) == (upload.key, None if mask is None else mask.key, level)

    def shown_chain(self, settings: Settings) -> Chain:
        """Return the chain of the shown result: all steps that were kept, and the current one if it is filled in."""
        if self.work is None:
            return ()
        document = self.work.document
        last = next((result for result in self.work.of(document) if result.settings == settings), None)
        return document.chain if last is None else (*document.chain, (last.name, document.step.sample))

    def leave(self) -> None:
        """Cancel all work, since nobody waits for it any more."""
        for job in (self._job, self._file):
            if job is not None:
                job.cancel()

    def _open(self, settings: Settings) -> None:
        """Start the detection, and the fill if the detection is certain."""
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
            work.cache(picture)
            job.shared = work
            if not work.detection.sure or not mask.any():
                return None
            return _fill(job, work, Document(), mask, completer, settings, start)

        self._job, self._filled = worker().submit(run), ((), "", settings)

    def _handle(self, act: dict[str, Any], work: Work, settings: Settings) -> None:
        """Carry out an act of the user, once."""
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
        """Start to fill in the mask of the current step."""
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
        """Start to make a file for download."""
        if not chain or kind not in KINDS:
            raise PixelRNNError(DAMAGED)
        work.check(chain)
        number = self._confirmed

        def run(job: Job) -> tuple[str, bytes]:
            job.stage, job.shared = WRITE, (number, KINDS[kind])
            return make_file(work, chain, kind)

        self._file = worker().submit(run)

    def _refill(self, work: Work, settings: Settings) -> None:
        """Fill in again what is shown as filled, if the settings have changed."""
        document = work.document
        made = [result.settings for result in work.of(document)]
        if made and settings not in made and self._filled != (document.chain, document.step.key, settings):
            self._fill_in(work, settings)

    def _follow(self) -> None:
        """Wait a little for the jobs, and take over what they have made so far."""
        start = time.monotonic()
        for job in (self._job, self._file):
            for _ in job.ticks() if job is not None else ():
                opened = self.work is None and job is not None and job.shared  # the photograph can be shown at once
                if opened or time.monotonic() - start > PATIENCE:
                    break
        job = self._job
        if job is not None and self.work is None:
            self.work = job.shared
        if job is None or not job.done():
            return
        self._job = None
        try:
            completion = job.result()
        except PixelRNNError as error:
            self.error = str(error)
            return
        if completion is not None and self.work is not None and self._filled is not None:
            self.work.add(Result(self.work.next_name(), *self._filled, completion))

    def _state_and_images(self, sent: dict[str, Any], settings: Settings) -> Answer:
        """Return the state and all images that the editor does not have yet."""
        state: dict[str, Any] = {"rev": None, "confirmed": self._confirmed, "busy": None}
        for job in (self._job, self._file):
            if job is not None and not job.done():
                state["busy"] = {"stage": job.stage, "share": STAGES[job.stage], "ahead": job.ahead()}
        images: dict[str, bytes] = {}
        if self.work is not None:
            images = {name: data for name, data in self.work.previews().items() if name not in (sent.get("has") or [])}
            try:
                for want in (sent.get("wants") or [])[:MOST_CROPS]:
                    images[str(want["name"])[:200]] = self._crop(self.work, want)
                state["file"] = self._part(sent.get("part"), images)
            except PixelRNNError as error:
                self.error, self._file = str(error), None
            except MALFORMED:
                self.error = DAMAGED
            state |= _state(self.work, settings)
        return state | {"error": self.error}, images

    def _crop(self, work: Work, want: dict[str, Any]) -> bytes:
        """Return a part of the photograph after a chain, at the resolution at which it is shown."""
        chain = read_chain(want["chain"])
        work.check(chain)
        left, top, width, height = (int(edge) for edge in want["box"])
        return crop(work.after(chain).pixels, left, top, width, height, int(want["width"]))

    def _part(self, wanted: dict[str, int] | None, images: dict[str, bytes]) -> dict[str, Any] | None:
        """Describe a finished file, and add the part that the browser wants to the images; the first part comes unasked."""
        if self._file is None or not self._file.done():
            return None
        (name, data), (number, kind) = self._file.result(), self._file.shared
        part = int(wanted["part"]) if wanted and wanted["id"] == number else 0
        parts = max(1, -(-len(data) // PART))
        if not 0 <= part < parts:  # the browser has all parts
            self._file = None
            return None
        images["file"] = data[part * PART : (part + 1) * PART]
        return {"id": number, "name": name, "type": kind, "part": part, "parts": parts}


def _fill(
    job: Job, work: Work, document: Document, mask: np.ndarray, completer: Completer, settings: Settings, start: float
) -> CompletionView:
    """Fill in the mask on top of the kept steps. `start` is when the work began, as time.perf_counter gives it."""
    job.stage = READ
    picture = work.after(document.chain)
    job.stage = FILL
    source = "given" if document.chain or document.step.marks else work.detection.source
    # a network that reads no mask must see the paint, since it detects it by itself
    blind = source != "given" and not completer.backend.reads_mask
    result = replace(completer(picture, None if blind else mask, **settings.options), mask_source=source)
    seconds = time.perf_counter() - start
    job.stage = DRAW
    return completion_view(picture, result, seconds)


def _state(work: Work, settings: Settings) -> dict[str, Any]:
    """Return all that is known about a photograph, except its images."""
    detection, document = work.detection, work.document
    return {
        "rev": detection.revision,
        "size": detection.size,
        "source": detection.source,
        "finds": [
            {"box": [find.box.left, find.box.top, *find.box.size], "taken": find.taken, "sure": round(100 * find.confidence)}
            for find in detection.finds
        ],
        "colours": HEAT.tolist(),
        "doc": document.to_json(),
        "results": [
            {
                "name": result.name,
                "chain": result.chain,
                "key": result.key,
                "own": result.settings == settings,
                "samples": len(result.completion.after),
                "likelihoods": result.completion.likelihoods,
                "doubt": result.completion.uncertainty is not None,
                "largest": result.completion.largest,
                "told": describe(result.completion),
            }
            for result in reversed(work.results.values())
        ],
    }
