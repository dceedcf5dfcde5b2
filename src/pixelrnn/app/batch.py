"""Many photographs: each is completed in its turn, and what goes wrong with one does not stop the others."""

import html
import time
from collections import Counter
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ..errors import PixelRNNError
from .engine import FILL, READ, Settings, deferred, follow, load, worker
from .figures import Fill, pack, picture_file, thumbnail
from .intake import Upload
from .worker import Job

THUMBNAIL = 112  # px
STYLE = (
    ".pixelrnn-row { display: grid; grid-template-columns: 4.5rem 4.5rem 1fr; gap: 0.75rem; align-items: center; }"
    ".pixelrnn-row img, .pixelrnn-row span { width: 4.5rem; height: 4.5rem; object-fit: cover; border-radius: 0.4rem; }"
    ".pixelrnn-row span { background: #8883; } .pixelrnn-row div { overflow-wrap: anywhere; font-size: 0.9rem; }"
)


@dataclass(frozen=True)
class Row:
    """What became of one file."""

    status: str
    before: str = ""  # data URLs
    after: str = ""
    fill: Fill | None = None  # None where there is nothing to hand out
    failed: bool = False


def show(uploads: list[Upload], settings: Settings) -> None:
    """Complete them all, show them in a table as they come, and hand them out together."""
    completer = load(str(settings.path), settings.changed)
    state = st.session_state
    rows: dict[object, Row] = state.setdefault("batch", {})
    keys = [(upload.key, settings) for upload in uploads]
    state.batch = rows = {key: row for key, row in rows.items() if key in keys}  # files that were taken away, other settings
    bar, files = st.empty(), st.container()
    with st.container(border=True):
        places = [st.empty() for _ in uploads]
    for place, upload, key in zip(places, uploads, keys, strict=True):
        _show(place, upload.name, rows.get(key) or Row("waiting"))
    for number, (place, upload, key) in enumerate(zip(places, uploads, keys, strict=True)):
        if key in rows:
            continue

        def work(job: Job, upload: Upload = upload) -> Row:
            job.stage = READ
            picture = upload.decode()
            before = thumbnail(picture.pixels, THUMBNAIL)
            job.stage = FILL
            start = time.perf_counter()
            result = completer(picture, samples=settings.samples, seed=settings.seed, level=settings.level)
            seconds = time.perf_counter() - start
            if not result.mask.any():
                return Row("nothing painted over was found: left as it is", before)
            status = f"{100 * result.mask.mean():.3g}% filled in, {seconds:.1f} s"
            return Row(status, before, thumbnail(result.image, THUMBNAIL), Fill.of(result))

        job = worker().submit(work)
        follow(job, bar, lambda: False, number / len(uploads), 1 / len(uploads), f"{number + 1} of {len(uploads)}: ")
        try:
            rows[key] = job.result()
        except PixelRNNError as error:
            rows[key] = Row(str(error), failed=True)
        _show(place, upload.name, rows[key])
    bar.empty()
    _hand_out(files, [(upload, rows[key]) for upload, key in zip(uploads, keys, strict=True)])


def _hand_out(place: DeltaGenerator, rows: list[tuple[Upload, Row]]) -> None:
    ready = [(upload, row.fill) for upload, row in rows if row.fill]
    failed = sum(row.failed for _, row in rows)

    def archive() -> bytes:
        used: Counter[str] = Counter()
        return pack((_free(upload.stem, used), picture_file(upload.decode(), fill)) for upload, fill in ready)

    with place, st.container(horizontal=True, vertical_alignment="center"):
        if ready:
            name = "completed.zip"
            st.download_button(
                "Download all (ZIP)", deferred(archive), name, "application/zip", on_click="ignore", type="primary"
            )
        st.markdown(f"**{len(ready)} of {len(rows)}** completed" + (f", {failed} not." if failed else "."))


def _free(stem: str, used: Counter[str]) -> str:
    """A name for a completed file, numbered where two uploads have the same."""
    used[stem] += 1
    return f"{stem}_completed.png" if used[stem] == 1 else f"{stem}_completed_{used[stem]}.png"


def _show(place: DeltaGenerator, name: str, row: Row) -> None:
    pictures = [
        f'<img src="{url}" alt="{about}">' if url else "<span></span>"
        for url, about in ((row.before, "uploaded"), (row.after, "completed"))
    ]
    mark = "✕" if row.failed else "✓" if row.fill else ""
    place.html(
        f"<style>{STYLE}</style><div class='pixelrnn-row{' failed' if row.failed else ''}'>{''.join(pictures)}"
        f"<div><b>{html.escape(name)}</b><br>{mark} {html.escape(row.status)}</div></div>"
    )
