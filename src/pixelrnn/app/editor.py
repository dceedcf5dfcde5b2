"""The editor for one photograph: a Streamlit fragment, which reruns alone, so that a stroke is answered at once."""

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
        answer, images = desk_of(upload, mask, settings.level).turn(sent, settings)
    except PixelRNNError as error:
        place.error(plain(str(error)))
        return
    answer |= {"weights": list(weights.items()), "chosen": settings.name}
    with place:
        _component(key="editor", data=pack(answer, images), default={"sent": None}, on_sent_change=lambda: None)


def desk_of(upload: Upload, mask: Upload | None, level: str) -> Desk:
    """Return this visit's desk, a new one for another photograph, mask or level of detection."""
    state = st.session_state
    desk: Desk | None = state.get("desk")
    if desk is None or (desk.upload.key, desk.mask and desk.mask.key, desk.level) != (upload.key, mask and mask.key, level):
        if desk is not None:
            desk.leave()
        state.desk = desk = Desk(upload, mask, level, _load)
    return desk


def edited_images(upload: Upload, settings: Settings) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return what the editor has made of a photograph.

    Returns:
        The original and the completed photograph, uint8 (H, W, 3), and the mask of filled pixels, bool (H, W); None if nothing
        was completed in the editor.
    """
    desk: Desk | None = st.session_state.get("desk")
    if desk is None or desk.work is None or desk.upload.key != upload.key or not (chain := desk.shown_chain(settings)):
        return None
    return desk.work.picture.pixels, *desk.work.finished(chain)


def _load(settings: Settings) -> Completer:
    return load(str(settings.path), settings.changed)


def _choose_mask(upload: Upload) -> Upload | None:
    """Show the upload of a mask, which belongs to this photograph only, and return the mask."""
    with st.expander("Use a mask from a file"):
        help_text = "An image of the same size as the photograph: white where pixels are to be replaced, black elsewhere."
        file = st.file_uploader("Mask (white = missing)", TYPES, key=f"mask {upload.key}", help=help_text)
    return None if file is None else Upload(file.name, file.file_id, file.getvalue())
