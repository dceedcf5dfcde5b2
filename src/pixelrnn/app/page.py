"""The page: a picture goes in, the completed picture comes out. Uploads stay in memory; they are neither written nor logged."""

import argparse
import hashlib
import io
import re
import sys
import time
from pathlib import Path

import streamlit as st

from ..checkpoint import find_weights
from ..completion import WORK_SIDE, Completer
from ..errors import PixelRNNError
from ..image import read_image, read_mask
from ..weights import DEFAULT, EXPECTED, SHARP, bundled_weights
from .figures import Figures, draw

TYPES = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"]
EXAMPLES = Path("examples")
TRAINED = (Path("outputs"), Path("/kaggle/working"))  # where training leaves its weights
PAGE_WIDTH = 1120
LABELS = {EXPECTED: "Bedrooms, expected: least error", SHARP: "Bedrooms, sharp: borrowed texture"}


def main() -> None:
    """Draw the page; Streamlit calls this again after every click."""
    st.set_page_config(page_title="Complete a picture", layout="wide")
    with st.container(horizontal_alignment="center"), st.container(width=PAGE_WIDTH):
        st.title("Complete a picture")
        st.markdown(
            "Upload a picture that has something painted over it. What is covered is found and filled in; every other pixel "
            "stays as it is. A real object in the way, such as a person or a chair, has to be marked with a mask."
        )
        weights = _choose_weights()
        picture = _choose_picture()
        if weights is None or picture is None:
            return
        result = st.container()  # the result comes first on the page, the mask it may need after it
        mask = _choose_mask(picture)
        with result:
            try:
                _show(*_complete(picture, mask, weights), Path(picture.name).stem)
            except PixelRNNError as error:
                st.error(_plain(str(error)))


def _choose_weights() -> str | None:
    """A bundled name or a file, chosen in the sidebar; None, and a sentence, where there are no weights."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--weights", nargs="*", action="extend", default=[])
    named = parser.parse_known_args(sys.argv[1:])[0].weights
    files = [path for folder in TRAINED for path in sorted(folder.rglob("optimized_pixelrnn.*"))]
    trained = [str(path) for path in files if path.suffix in (".safetensors", ".pth")]
    bundled = bundled_weights()
    offered = list(dict.fromkeys([*bundled, *trained, *named]))
    if not offered:
        st.warning(
            "There are no weights yet, so nothing can be completed. Train some with `python train.py`, or name a file with "
            "`streamlit run app.py -- --weights FILE`, and load this page again."
        )
        return None
    with st.sidebar:
        wanted = named[0] if named else DEFAULT
        first = offered.index(wanted) if wanted in offered else 0
        labels = {name: LABELS.get(name, name) if name in bundled else _short(Path(name)) for name in offered}
        clear = {name: label if list(labels.values()).count(label) == 1 else name for name, label in labels.items()}
        about = "Expected is right on average, and soft; sharp adds texture from the rest of the picture."
        chosen = st.selectbox("Weights", offered, first, format_func=lambda name: clear[name], help=about)
        if chosen not in bundled:
            st.caption(_plain(chosen))
        st.caption(
            "Your pictures stay in the memory of the computer that runs this page, for as long as the page is open. "
            "They are not saved and not passed on."
        )
    return chosen


def _short(path: Path) -> str:
    """What tells a weights file from others in a box that cuts off long paths."""
    return f"{path.resolve().parent.name} ({path.suffix[1:]})" if path.stem == "optimized_pixelrnn" else path.name


def _choose_picture() -> io.BytesIO | None:
    """The uploaded picture, or the example asked for after it, with its name."""
    state = st.session_state
    examples = sorted(path for path in EXAMPLES.glob("*.jpg") if path.stem != "sheet")  # the sheet shows them all, completed

    def forget_example() -> None:
        state.pop("example", None)

    def next_example() -> None:
        state.example = (state.get("example", -1) + 1) % len(examples)
        state.uploads = state.get("uploads", 0) + 1  # an uploader of another key is an empty one

    key = f"picture {state.get('uploads', 0)}"
    upload = st.file_uploader("Picture (JPEG, PNG, WebP, BMP or TIFF)", TYPES, key=key, on_change=forget_example)
    if examples:
        st.button("Try another example" if "example" in state else "Try an example", on_click=next_example)
    if upload is not None:
        return upload
    if not examples or "example" not in state:
        return None
    example = examples[state.example % len(examples)]
    st.caption(f"{_plain(example.name)}: drawn by a program, not photographed.")
    picture = io.BytesIO(example.read_bytes())
    picture.name = example.name  # as an upload has one, by which errors call it
    return picture


def _choose_mask(picture: io.BytesIO) -> io.BytesIO | None:
    """The uploaded mask. It belongs to this picture: another one starts without a mask."""
    with st.expander("Mark what is in the way yourself"):
        st.markdown(
            "Flat colour, noise, a pattern, a piece of another picture: these are found without help. For anything else upload "
            "a mask, a picture of the same size that is white where something is to be replaced and black elsewhere."
        )
        return st.file_uploader("Mask (white = missing)", TYPES, key=f"mask {_digest(picture)}")


def _complete(picture: io.BytesIO, mask: io.BytesIO | None, weights: str) -> tuple[Figures, float]:
    """The figures and the seconds they took, or what this session has of the same input. Raises PixelRNNError.

    The session keeps the last ones alone. Streamlit's own cache is not used: it is shared by all who have the page open.
    """
    path = find_weights(weights)
    changed = path.stat().st_mtime_ns
    key = (_digest(picture), None if mask is None else _digest(mask), str(path), changed)
    kept: tuple[object, Figures, float] | None = st.session_state.get("kept")
    if kept is None or kept[0] != key:
        completer = _load(str(path), changed)
        with st.spinner("Completing the picture …"):
            image, missing = read_image(picture), None if mask is None else read_mask(mask)
            start = time.perf_counter()
            result = completer(image, missing)
            seconds = time.perf_counter() - start
            kept = key, draw(image, result), seconds
        st.session_state.kept = kept  # in one step: a rerun may interrupt between two
    return kept[1:]


@st.cache_resource(show_spinner="Loading the weights …", max_entries=4)
def _load(path: str, changed: int) -> Completer:
    """One network for all who have the page open; `changed`, the file's time, makes new weights of an old name load anew."""
    return Completer.from_pretrained(path)


def _show(shown: Figures, seconds: float, stem: str) -> None:
    left, right = st.columns(2)
    left.image(shown.uploaded, caption="Uploaded", width="stretch")
    if shown.share == 0:
        if shown.source == "given":
            right.info("The mask has no white in it: nothing was marked, so nothing was changed.")
        else:
            right.info("Nothing painted over was found, so nothing was changed. If a real object is in the way, mark it below.")
        return
    right.image(shown.completed, caption="Reconstructed", width="stretch")
    how = "marked as missing" if shown.source == "given" else "found to be covered"
    size = f"{shown.width} × {shown.height} pixels"
    st.markdown(f"**{100 * shown.share:.3g}%** of the picture was {how}. {size}, completed in **{seconds:.1f} s**.")
    if shown.source.startswith("detected by "):
        finder = _plain(shown.source.removeprefix("detected by "))
        st.caption(f"These weights cannot find what is missing; the weights “{finder}” found it for them.")
    if max(shown.width, shown.height) > WORK_SIDE:
        st.caption(f"The missing part was drawn at {WORK_SIDE} pixels and enlarged, so it is softer than the rest.")
    with st.container(horizontal=True):
        picture_name, mask_name = f"{stem}_completed.png", f"{stem}_mask.png"
        st.download_button("Download the picture", shown.picture_file, picture_name, on_click="ignore", type="primary")
        st.download_button("Download the mask", shown.mask_file, mask_name, on_click="ignore")
    left, right = st.columns(2)
    left.image(shown.overlay, caption="Taken as missing (tinted)", width="stretch")
    if shown.doubt is not None:
        steps = f"{shown.largest * 255:.0f} of 255 steps"
        right.image(shown.doubt, caption=f"How unsure it is: typically off by {steps} where brightest", width="stretch")


def _digest(file: io.BytesIO) -> str:
    return hashlib.sha256(file.getvalue()).hexdigest()


def _plain(text: str) -> str:
    """`text` shown as it is: a file's name is not to become bold, a link or a picture from another host."""
    return re.sub(r"([\\`*_{}\[\]<>$~:#|!])", r"\\\1", text)
