"""One photograph: the brush beside the completion."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ..completion import Completer
from ..decode import Picture
from ..errors import PixelRNNError
from ..masks import as_mask
from .brush import Mark, brush, draw_marks
from .components import define
from .engine import DRAW, FILL, LOOK, READ, Settings, deferred, follow, load, worker
from .figures import HEAT, Completed, Found, completed, found, picture_file, zip_file
from .intake import TYPES, Upload
from .text import plain
from .worker import Job

_viewer = define("viewer")


def show(upload: Upload, settings: Settings) -> None:
    """Find what is missing, let it be marked, complete it, and hand it out."""
    left, right = st.columns(2, gap="medium")
    with left:
        head_left = _head("Uploaded")
        place = st.container()
        mask_file = _choose_mask(upload)
    with right:
        head_right, bar = _head("Reconstructed"), st.empty()
    try:
        completer = load(str(settings.path), settings.changed)
        seen = _find(upload, mask_file, completer, settings, bar)
        with place:
            marks, asked = _mark(seen, head_left)
        with right:
            if asked is None:
                _nothing_yet(seen)
                return
            done = _complete(upload, seen, asked, completer, settings, bar)
            _show(upload, done, head_right, stale=asked != marks)
    except PixelRNNError as error:
        right.error(plain(str(error)))


def _head(title: str) -> DeltaGenerator:
    """A title, and room for buttons beside it: above the picture they are seen without scrolling."""
    row = st.container(horizontal=True, vertical_alignment="center", height=56, border=False)
    row.subheader(title, anchor=False)
    return row


def _choose_mask(upload: Upload) -> Upload | None:
    """The uploaded mask. It belongs to this photograph: another one starts without."""
    with st.expander("Use a mask from a file"):
        help_text = "A picture of the same size, white where something is to be replaced and black elsewhere."
        file = st.file_uploader("Mask (white = missing)", TYPES, key=f"mask {upload.key}", help=help_text)
    return None if file is None else Upload(file.name, file.file_id, file.getvalue())


def _find(upload: Upload, mask_file: Upload | None, completer: Completer, settings: Settings, bar: DeltaGenerator) -> Found:
    """What is missing before anything is marked by hand. Its job goes on to complete that."""
    state = st.session_state
    key = (upload.key, mask_file and mask_file.key, settings.path, settings.changed, settings.level)
    if state.get("found", (None, None))[0] == key:
        known: Found = state.found[1]
        return known
    kept = state.get("marks", {})

    def work(job: Job) -> Completed | None:
        job.stage = READ
        picture = upload.decode()
        job.stage = LOOK
        start = time.perf_counter()
        detection = None
        if mask_file is None:
            mask, source, detection = completer.find(picture, settings.level)
        else:
            mask, source = as_mask(mask_file.decode_mask(), picture.pixels.shape[:2]), "given"
        job.shared = found(picture.pixels, mask, source, upload.key, detection)
        if not mask.any() or (kept.get("rev") == job.shared.revision and kept["marks"]):
            return None
        return _fill(job, picture, mask, source, completer, settings, start)

    job = _job((key, settings), work)
    follow(job, bar, lambda: job.shared)
    if job.shared is None:
        job.result()  # raises
    seen: Found = job.shared
    state.found = key, seen
    state.job = (seen.revision, [], settings), job
    return seen


def _mark(seen: Found, head: DeltaGenerator) -> tuple[list[Mark], list[Mark] | None]:
    """The marks made on the brush, and those that are to be completed; None where there is nothing to complete yet."""
    state = st.session_state
    marks = brush(seen.revision, seen.size, seen.photograph, seen.tint, seen.finds)
    if state.get("asked", {}).get("rev") != seen.revision:
        state.asked = {"rev": seen.revision, "marks": [] if seen.mask.unpack().any() else None}

    def ask() -> None:
        state.asked = {"rev": seen.revision, "marks": marks}

    share = float(draw_marks(seen.mask.unpack(), marks, seen.finds).mean())
    with head:
        fresh = marks != state.asked["marks"] and share > 0
        st.caption(f"{100 * share:.3g}% is marked" if share else "Nothing is marked", width="content")
        st.button("Complete", on_click=ask, type="primary", disabled=not fresh)
    return marks, state.asked["marks"]


def _complete(
    upload: Upload, seen: Found, marks: list[Mark], completer: Completer, settings: Settings, bar: DeltaGenerator
) -> Completed:
    """The completion of what was found and marked, or what this visit has of the same."""
    state, key = st.session_state, (seen.revision, marks, settings)
    if state.get("completed", (None, None))[0] != key:

        def work(job: Job) -> Completed:
            job.stage = READ
            picture, mask = upload.decode(), draw_marks(seen.mask.unpack(), marks, seen.finds)
            return _fill(job, picture, mask, "given" if marks else seen.source, completer, settings, time.perf_counter())

        job = _job(key, work)
        follow(job, bar, lambda: False)
        state.completed = key, job.result()
        state.job = None
    done: Completed = state.completed[1]
    return done


def _fill(
    job: Job, picture: Picture, mask: np.ndarray, source: str, completer: Completer, settings: Settings, start: float
) -> Completed:
    job.stage = FILL
    # a network that reads no mask is to see the paint that it has found
    as_found = source != "given" and not completer.backend.reads_mask
    options: dict[str, Any] = {"samples": settings.samples, "seed": settings.seed} if settings.samples > 1 else {}
    result = replace(completer(picture, None if as_found else mask, **options), mask_source=source)
    seconds = time.perf_counter() - start
    job.stage = DRAW
    return completed(picture, result, seconds)


def _job(key: Any, work: Callable[[Job], Any]) -> Job:
    """The job of this visit, the one that it has where that is the same; another is left."""
    state = st.session_state
    if state.get("job") is None or state.job[0] != key:
        if state.get("job") is not None:
            state.job[1].cancel()
        state.job = key, worker().submit(work)
    job: Job = state.job[1]
    return job


def _nothing_yet(seen: Found) -> None:
    if seen.source == "given":
        st.info("The mask has no white in it: nothing was marked, so nothing was changed.")
    elif seen.finds:
        st.info(
            "Nothing was found for sure, so nothing was changed. What may be painted over is outlined: tap + to take it away, "
            "then press Complete. Or brush over what is in the way."
        )
    else:
        st.info(
            "Nothing painted over was found, so nothing was changed. If something real is in the way, such as a person or a "
            "chair, brush over it and press Complete."
        )


def _show(upload: Upload, done: Completed, head: DeltaGenerator, stale: bool) -> None:
    """The completion, what is known about it, and its files."""
    candidate = _choose_candidate(done)
    height, width = done.fill.mask.shape
    colours = ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in HEAT)
    _viewer(
        key="viewer",
        data={
            "name": upload.key,
            "width": width,
            "height": height,
            "before": done.before,
            "after": done.after[candidate],
            "doubt": done.doubt,
            "steps": done.largest,
            "colours": colours,
        },
    )
    how = {"given": "marked as missing", "transparent": "transparent"}.get(done.source, "found to be covered")
    if done.source.startswith("transparent and"):
        how = "transparent, or found to be covered"
    share, size = f"**{100 * done.share:.3g}%** of the picture was {how}.", f"{width} × {height} pixels"
    st.markdown(f"{share} {size}, completed in **{done.seconds:.2f} s**.")
    if done.notes:
        st.caption(plain(f"Of the file: {'; '.join(done.notes)}."))
    if done.source.startswith("detected by "):
        finder = plain(done.source.removeprefix("detected by "))
        st.caption(f"These weights cannot find what is missing; the weights “{finder}” found it for them.")
    if stale:
        st.warning("What is marked has changed since. Press Complete to fill it in.", icon=":material/brush:")
    with head:
        stem = upload.stem
        picture = deferred(lambda: picture_file(upload.decode(), done.fill, candidate))
        archive = deferred(lambda: zip_file(upload.decode(), done.fill, stem))
        st.download_button("Download PNG", picture, f"{stem}_completed.png", "image/png", on_click="ignore", type="primary")
        about = "The completed picture, the mask and the uncertainty, at full size."
        st.download_button("Download all (ZIP)", archive, f"{stem}.zip", "application/zip", on_click="ignore", help=about)


def _choose_candidate(done: Completed) -> int:
    if len(done.after) == 1:
        return 0
    likelihoods = done.likelihoods or [None] * len(done.after)
    names = [f"{n}" if nats is None else f"{n} ({nats:.2f})" for n, nats in enumerate(likelihoods, 1)]
    about = (
        "Each is one way in which the missing part could look. In brackets its log-likelihood in nats per missing pixel: how "
        "plausible the network finds it. Nearer to zero, or above, is more plausible; the most plausible one comes first."
    )
    chosen = st.segmented_control("Candidate", range(len(names)), format_func=names.__getitem__, default=0, help=about)
    with st.container(horizontal=True):
        for name, picture in zip(names, done.after, strict=True):
            st.image(picture, caption=name, width=96)
    return chosen or 0
