"""One photograph under the editor, which reruns alone: a fragment, so that a stroke or a cutting is answered at once."""

from typing import Any

import numpy as np
import streamlit as st

from ..errors import PixelRNNError
from ..inference.completer import Completer
from .components import define, pack
from .desk import Desk
from .engine import Settings, load
from .intake import TYPES, Upload
from .text import KEYS, LABELS, SAYS, plain

MODULES = ("wire", "view", "history", "paint", "hands", "panes", "bars", "controls")
_component = define("editor", MODULES, LABELS, {"says": SAYS, "keys": KEYS})


@st.fragment
def show(upload: Upload, settings: Settings, weights: dict[str, str]) -> None:
    """The editor over `upload`. weights: those that can be chosen, and how they are called."""
    state = st.session_state
    sent: dict[str, Any] = (state.get("editor") or {}).get("sent") or {}
    chosen = sent.get("weights")
    if chosen in weights and chosen != state.get("heard"):
        state.heard = state.weights = chosen  # the settings of the page are to follow
        st.rerun()
    place = st.container()
    mask = _choose_mask(upload)
    try:
        told, pictures = desk_of(upload, mask, settings.level).turn(sent, settings)
    except PixelRNNError as error:
        place.error(plain(str(error)))
        return
    told |= {"weights": list(weights.items()), "chosen": settings.name}
    with place:
        _component(key="editor", data=pack(told, pictures), default={"sent": None}, on_sent_change=lambda: None)


def desk_of(upload: Upload, mask: Upload | None, level: str) -> Desk:
    """The desk of this visit, cleared where another photograph or mask comes on it."""
    state = st.session_state
    desk: Desk | None = state.get("desk")
    if desk is None or (desk.upload.key, desk.mask and desk.mask.key, desk.level) != (upload.key, mask and mask.key, level):
        if desk is not None:
            desk.leave()
        state.desk = desk = Desk(upload, mask, level, _load)
    return desk


def done_here(upload: Upload, settings: Settings) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]] | None:
    """The photograph as it came and as it was completed in the editor, with where it was; None where nothing was."""
    desk: Desk | None = st.session_state.get("desk")
    if desk is None or desk.work is None or desk.upload.key != upload.key or not (chain := desk.done(settings)):
        return None
    return desk.work.picture.pixels, desk.work.finished(chain)


def _load(settings: Settings) -> Completer:
    return load(str(settings.path), settings.changed)


def _choose_mask(upload: Upload) -> Upload | None:
    """The uploaded mask. It belongs to this photograph: another one starts without."""
    with st.expander("Use a mask from a file"):
        help_text = "A picture of the same size, white where something is to be replaced and black elsewhere."
        file = st.file_uploader("Mask (white = missing)", TYPES, key=f"mask {upload.key}", help=help_text)
    return None if file is None else Upload(file.name, file.file_id, file.getvalue())
