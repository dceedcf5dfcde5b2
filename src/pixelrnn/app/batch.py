"""The view of several photographs. Each is completed in turn, and an error in one does not stop the others.

Any photograph can be opened in the editor, and the editor's result can replace the automatic one.
"""

import html
import time
from collections import Counter
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ..errors import PixelRNNError
from ..queue import Job
from . import editor
from .engine import FILL, READ, Settings, deferred, follow, load, worker
from .files import filled_file, pack
from .text import plain
from .uploads import Upload
from .views import Fill, thumbnail

THUMBNAIL = 320  # px; shown at half this size, so that it is sharp on high-density screens
STYLE = (
    ".pixelrnn-row { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: center; }"
    ".pixelrnn-row img, .pixelrnn-row span { width: 160px; height: 120px; object-fit: cover; border-radius: 0.4rem; }"
    ".pixelrnn-row span { background: #8883; }"
    ".pixelrnn-row div { flex: 1 1 10rem; overflow-wrap: anywhere; font-size: 0.9rem; }"
)
FILTERS = {"all": "All", "found": "Something found", "nothing": "Nothing found", "failed": "Failed"}


@dataclass(frozen=True)
class Row:
    """The outcome of one file. `kind` is a key of FILTERS, or "waiting"."""

    kind: str
    status: str
    before: str = ""  # data URLs
    after: str = ""
    fill: Fill | None = None  # None if there is nothing to download
    settings: Settings | None = None  # how it was completed; None if that was done in the editor


def show(uploads: list[Upload], settings: Settings, weights: dict[str, str]) -> None:
    """Complete all uploads, show each as it is done, and offer them for download; or show the one opened in the editor."""
    state = st.session_state
    opened = next((upload for upload in uploads if upload.key == state.get("opened")), None)
    if opened is not None:
        _show_one(opened, settings, weights)
        return
    rows: dict[str, Row] = state.setdefault("batch", {})
    keys = [upload.key for upload in uploads]
    state.batch = rows = {key: row for key, row in rows.items() if key in keys and row.settings in (None, settings)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        files = st.container(width="content")
        choose_weights(weights)
    bar = st.empty()
    selected = st.segmented_control("Show", list(FILTERS), default="all", format_func=FILTERS.__getitem__) or "all"
    places = [(upload, *_place(upload, rows, selected)) for upload in uploads]
    for number, (upload, content, buttons) in enumerate(places):
        if upload.key not in rows:
            rows[upload.key] = _complete(upload, settings, bar, number, len(uploads))
            if content is not None and selected in ("all", rows[upload.key].kind):
                _draw(content, upload, rows[upload.key])
        if buttons is not None and selected in ("all", rows[upload.key].kind):
            _show_buttons(buttons, upload, rows[upload.key])
    bar.empty()
    _show_download(files, [(upload, rows[upload.key]) for upload in uploads])


def choose_weights(weights: dict[str, str]) -> None:
    """Show the choice of weights, which holds for all photographs of this visit."""
    state = st.session_state
    names = list(weights)
    chosen = st.selectbox("Fill", names, names.index(state.weights), format_func=weights.__getitem__, width=220)
    if chosen != state.weights:
        state.weights = chosen
        st.rerun()


def _place(upload: Upload, rows: dict[str, Row], selected: str) -> tuple[DeltaGenerator | None, DeltaGenerator | None]:
    """Reserve places for a row and for its buttons; None if the row is filtered out."""
    row = rows.get(upload.key) or Row("waiting", "waiting")
    if selected not in ("all", row.kind) and row.kind != "waiting":
        return None, None
    with st.container(border=row.kind != "waiting" or selected == "all"):
        content, buttons = st.empty(), st.container(horizontal=True)
    if selected in ("all", row.kind):
        _draw(content, upload, row)
    return content, buttons


def _complete(upload: Upload, settings: Settings, bar: DeltaGenerator, number: int, count: int) -> Row:
    """Complete one upload, the `number`-th of `count`, counted from 0, with progress in `bar`."""
    completer = load(str(settings.path), settings.modified)

    def work(job: Job) -> Row:
        job.stage = READ
        picture = upload.decode()
        before = thumbnail(picture.pixels, THUMBNAIL)
        job.stage = FILL
        start = time.perf_counter()
        result = completer(picture, **settings.options)
        seconds = time.perf_counter() - start
        if not result.mask.any():
            return Row("nothing", "nothing painted over was found: left as it is", before, settings=settings)
        status = f"{100 * result.mask.mean():.3g}% filled in, {seconds:.1f} s"
        return Row("found", status, before, thumbnail(result.image, THUMBNAIL), Fill.of(result), settings)

    job = worker().submit(work)
    follow(job, bar, lambda: False, number / count, 1 / count, f"{number + 1} of {count}: ")
    try:
        row: Row = job.result()
    except PixelRNNError as error:
        return Row("failed", str(error), settings=settings)
    return row


def _show_download(place: DeltaGenerator, rows: list[tuple[Upload, Row]]) -> None:
    """Show how many photographs are completed, and the button that downloads them as a ZIP."""
    ready = [(upload, row.fill) for upload, row in rows if row.fill]
    failed = sum(row.kind == "failed" for _, row in rows)

    def archive() -> bytes:
        used: Counter[str] = Counter()
        return pack((_free(upload.stem, used), filled_file(upload, fill)) for upload, fill in ready)

    with place, st.container(horizontal=True, vertical_alignment="center"):
        if ready:
            name = "completed.zip"
            st.download_button(
                "Download all (ZIP)", deferred(archive), name, "application/zip", on_click="ignore", type="primary"
            )
        st.markdown(f"**{len(ready)} of {len(rows)}** completed" + (f", {failed} not." if failed else "."))


def _free(stem: str, used: Counter[str]) -> str:
    """Return a name for a completed file, numbered if several uploads have the same name."""
    used[stem] += 1
    return f"{stem}_completed.png" if used[stem] == 1 else f"{stem}_completed_{used[stem]}.png"


def _draw(place: DeltaGenerator, upload: Upload, row: Row) -> None:
    """Show a row: the photograph before and after, its name and its status."""
    images = [
        f'<img src="{url}" alt="{label}">' if url else "<span></span>"
        for url, label in ((row.before, "uploaded"), (row.after, "completed"))
    ]
    mark = "✕" if row.kind == "failed" else "✓" if row.fill else ""
    place.html(
        f"<style>{STYLE}</style><div class='pixelrnn-row {row.kind}'>{''.join(images)}"
        f"<div><b>{html.escape(upload.name)}</b><br>{mark} {html.escape(row.status)}</div></div>"
    )


def _show_buttons(place: DeltaGenerator, upload: Upload, row: Row) -> None:
    """Show the buttons of a row."""
    state, key = st.session_state, upload.key

    def redo() -> None:
        state.batch.pop(key, None)

    with place:
        if row.kind != "failed":
            st.button("Open", key=f"open {key}", on_click=lambda: state.update(opened=key), icon=":material/edit:")
        if row.kind == "failed" or row.settings is None:
            help_text = "Complete it again automatically."
            st.button("Redo", key=f"redo {key}", on_click=redo, icon=":material/refresh:", help=help_text)
        if fill := row.fill:
            make, name = deferred(lambda: filled_file(upload, fill)), f"{upload.stem}_completed.png"
            icon = ":material/download:"
            st.download_button("Download", make, name, "image/png", key=f"file {key}", on_click="ignore", icon=icon)


def _show_one(upload: Upload, settings: Settings, weights: dict[str, str]) -> None:
    """Show one of several photographs in the editor, with a button that leads back."""
    state = st.session_state

    def back() -> None:
        state.opened = None

    def accept() -> None:
        state.opened = None
        if (edited := editor.edited_images(upload, settings)) is not None:
            before, pixels, filled = edited
            fill = Fill.of_picture(pixels, filled)
            status = f"{100 * filled.mean():.3g}% filled in, in the editor"
            state.batch[upload.key] = Row("found", status, thumbnail(before, THUMBNAIL), thumbnail(pixels, THUMBNAIL), fill)

    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("All photographs", on_click=back, icon=":material/arrow_back:")
        help_text = "Replace the automatic result with the one shown here."
        st.button("Use this result", on_click=accept, icon=":material/check:", type="primary", help=help_text)
        st.markdown(f"**{plain(upload.name)}**")
    editor.show(upload, settings, weights)
