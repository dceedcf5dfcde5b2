"""The editor for one photograph: a Streamlit fragment, which reruns alone, so that a stroke is answered at once."""

from typing import Any

import numpy as np
import streamlit as st

from ..errors import PixelRNNError
from ..inference.completer import Completer
from .components import define, pack
from .engine import Settings, load
from .session import EditorSession
from .text import KEYS, LABELS, SAYS, plain
from .uploads import TYPES, Upload

MODULES = ("wire", "view", "history", "paint", "input", "panes", "bars", "controls")
_component = define("editor", MODULES, LABELS, {"says": SAYS, "keys": KEYS})


@st.fragment
def show(upload: Upload, settings: Settings, weights: dict[str, str]) -> None:
    """Show the editor for `upload`. `weights` maps the weights that can be chosen to their labels."""
    state = st.session_state
    sent: dict[str, Any] = (state.get("editor") or {}).get("sent") or {}
    chosen = sent.get("weights")
    if chosen in weights and chosen != state.get("heard"):
        state.heard = state.weights = chosen  # rerun the whole page, whose settings depend on the weights
        st.rerun()
    place = st.container()
    mask = _choose_mask(upload)
    try:
        answer, images = session_of(upload, mask, settings.level).answer(sent, settings)
    except PixelRNNError as error:
        place.error(plain(str(error)))
        return
    answer |= {"weights": list(weights.items()), "chosen": settings.name}
    with place:
        _component(key="editor", data=pack(answer, images), default={"sent": None}, on_sent_change=lambda: None)


def session_of(upload: Upload, mask: Upload | None, level: str) -> EditorSession:
    """Return this visit's session, a new one for another photograph, mask or level of detection."""
    state = st.session_state
    session: EditorSession | None = state.get("session")
    if session is None or not session.is_about(upload, mask, level):
        if session is not None:
            session.leave()
        state.session = session = EditorSession(upload, mask, level, _load)
    return session


def edited_images(upload: Upload, settings: Settings) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return what the editor has made of a photograph.

    Returns:
        The original and the completed photograph, uint8 (H, W, 3), and the mask of filled pixels, bool (H, W); None if nothing
        was completed in the editor.
    """
    session: EditorSession | None = st.session_state.get("session")
    if session is None or session.work is None or session.upload.key != upload.key:
        return None
    chain = session.shown_chain(settings)
    if not chain:
        return None
    return session.work.picture.pixels, *session.work.finished(chain)


def _load(settings: Settings) -> Completer:
    return load(str(settings.path), settings.modified)


def _choose_mask(upload: Upload) -> Upload | None:
    """Show the upload of a mask, which belongs to this photograph only, and return the mask."""
    with st.expander("Use a mask from a file"):
        help_text = "An image of the same size as the photograph: white where pixels are to be replaced, black elsewhere."
        file = st.file_uploader("Mask (white = missing)", TYPES, key=f"mask {upload.key}", help=help_text)
    return None if file is None else Upload(file.name, file.file_id, file.getvalue())
