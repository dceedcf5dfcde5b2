"""The page: a picture goes in, the completed picture comes out. Uploads stay in memory; they are neither written nor logged."""

import argparse
import sys
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from ..detection import LEVELS
from ..errors import PixelRNNError
from ..weights import DEFAULT, EXPECTED, SHARP, bundled_weights, find_weights
from . import batch, single
from .engine import Settings, load
from .gallery import choose_example, example
from .intake import TYPES, Upload
from .text import HOW_IT_WORKS, INTRODUCTION, NO_WEIGHTS, PRIVACY, plain

TRAINED = (Path("outputs"), Path("/kaggle/working"))  # where training leaves its weights
PAGE_WIDTH = 1240
MAX_FILES = 100
LABELS = {SHARP: "Sharp", EXPECTED: "Expected: least error"}


def main(home: Path) -> None:
    """Draw the page; Streamlit calls this again after every click. home: the folder with examples/ and MODEL_CARD.md."""
    st.set_page_config(page_title="Complete a picture", page_icon=_icon(), layout="wide")
    with st.container(horizontal_alignment="center"), st.container(width=PAGE_WIDTH):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header("Complete a picture", anchor=False)
            options = st.popover("Settings", icon=":material/tune:")
            if st.button("How it works", icon=":material/help:"):
                _explain(home / "MODEL_CARD.md")
        pictures, loading = _choose_pictures(home / "examples"), st.empty()
        try:
            with loading, st.spinner("Loading the network …"), options:
                settings = _choose_settings()
            if settings is None:
                st.warning(NO_WEIGHTS)
            elif len(pictures) == 1:
                single.show(pictures[0], settings)
            elif pictures:
                batch.show(pictures, settings)
        except PixelRNNError as error:
            st.error(plain(str(error)))


def _icon() -> Image.Image:
    """A frame with something in the way; an icon by name would be fetched from another host."""
    icon = np.full((32, 32, 3), (47, 111, 115), np.uint8)
    icon[4:28, 4:28] = 251, 250, 248
    icon[12:24, 12:24] = 214, 40, 110
    return Image.fromarray(icon)


def _choose_settings() -> Settings | None:
    """Weights, a bundled name or a file, and what they offer; None where there are no weights. Raises PixelRNNError."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--weights", nargs="*", action="extend", default=[])
    named = parser.parse_known_args(sys.argv[1:])[0].weights
    files = [path for folder in TRAINED for path in sorted(folder.rglob("optimized_pixelrnn.*"))]
    trained = [str(path) for path in files if path.suffix in (".safetensors", ".pth")]
    bundled = bundled_weights()
    offered = list(dict.fromkeys([*bundled, *trained, *named]))
    if not offered:
        return None
    wanted = named[0] if named else DEFAULT
    first = offered.index(wanted) if wanted in offered else 0
    labels = {name: LABELS.get(name, name) if name in bundled else _short(Path(name)) for name in offered}
    clear = {name: label if list(labels.values()).count(label) == 1 else name for name, label in labels.items()}
    about = "Sharp looks more like a photograph. Expected has the least error on average, and is softer."
    chosen = st.selectbox("How to fill (weights)", offered, first, format_func=lambda name: clear[name], help=about)
    if chosen not in bundled:
        st.caption(plain(chosen))
    path = find_weights(chosen)
    changed = path.stat().st_mtime_ns
    samples, seed = 1, 0
    if load(str(path), changed).can_sample:
        about = "How many different completions to draw, to choose from."
        samples = st.slider("Number of candidates", 1, 8, 1, help=about)
        about = "Another number, other candidates; the same number, the same ones."
        seed = int(st.number_input("Seed", 0, 2**31 - 1, 0, help=about))
    about = "Strict alters next to nothing in vain. Eager misses next to nothing, and finds more that is none."
    level = st.selectbox("What counts as painted over", list(LEVELS), 1, format_func=str.capitalize, help=about)
    st.caption(PRIVACY)
    return Settings(path, changed, samples, seed, level)


def _short(path: Path) -> str:
    """What tells a weights file from others in a box that cuts off long paths."""
    return f"{path.resolve().parent.name} ({path.suffix[1:]})" if path.stem == "optimized_pixelrnn" else path.name


@st.dialog("How it works", width="large")
def _explain(model_card: Path) -> None:
    st.markdown(HOW_IT_WORKS)
    if model_card.exists():
        with st.expander("The model card: training, figures, limits", icon=":material/description:"):
            st.markdown(model_card.read_text(encoding="utf-8").split("\n", 1)[1])


def _choose_pictures(examples: Path) -> list[Upload]:
    """The uploaded pictures, or the example that was clicked after them."""
    state = st.session_state
    key = f"picture {state.get('uploads', 0)}"
    chosen = example(examples)
    begun = bool(state.get(key)) or chosen is not None
    if not begun:
        st.markdown(INTRODUCTION)
    with st.expander("Choose another photograph" if begun else "Choose a photograph", expanded=not begun):
        files = st.file_uploader(
            "Photographs (JPEG, PNG, WebP, BMP or TIFF; one or many)",
            TYPES,
            key=key,
            accept_multiple_files=True,
            on_change=lambda: state.pop("example", None),
            help="Up to 50 MB and 40 megapixels each. Drop them here, browse, or paste a picture from the clipboard.",
        )
        st.caption("Or try one of these rooms, drawn by a program:")
        choose_example(examples)
    if files:
        if len(files) > MAX_FILES:
            st.warning(f"{len(files)} files: the first {MAX_FILES} are completed. Upload the others after them.")
        return [Upload(file.name, file.file_id, file.getvalue()) for file in files[:MAX_FILES]]
    return [] if chosen is None else [chosen]
