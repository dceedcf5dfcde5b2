"""The web page: upload a photograph, get it back completed. Uploads stay in memory; they are neither written nor logged."""

import argparse
import sys
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from ..errors import PixelRNNError
from ..inference.detection import LEVELS
from ..weights import DEFAULT, EXPECTED, SHARP, bundled_weights, find_weights
from . import batch, editor
from .engine import Settings, load
from .gallery import choose_example, example
from .text import HOW_IT_WORKS, INTRODUCTION, NO_WEIGHTS, PRIVACY, plain
from .uploads import TYPES, Upload

TRAINED = (Path("outputs"), Path("/kaggle/working"))  # where training saves its weights
PAGE_WIDTH = 1240
MAX_FILES = 100
SHORT = {SHARP: "sharp", EXPECTED: "expected"}  # labels of bundled weights


def main(home: Path) -> None:
    """Draw the page. Streamlit calls this again after every click. `home` is the folder of examples/ and MODEL_CARD.md."""
    st.set_page_config(page_title="Complete a picture", page_icon=_icon(), layout="wide")
    with st.container(horizontal_alignment="center"), st.container(width=PAGE_WIDTH):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header("Complete a picture", anchor=False)
            options = st.popover("Settings", icon=":material/tune:")
            if st.button("How it works", icon=":material/help:"):
                _explain(home / "MODEL_CARD.md")
        pictures, loading = _choose_pictures(home / "examples"), st.empty()
        weights = _offered_weights()
        try:
            if not weights:
                st.warning(NO_WEIGHTS)
                return
            with loading, st.spinner("Loading the network …"), options:
                settings = _choose_settings(weights)
            if len(pictures) == 1:
                editor.show(pictures[0], settings, weights)
            elif pictures:
                batch.show(pictures, settings, weights)
        except PixelRNNError as error:
            st.error(plain(str(error)))
            if weights and len(weights) > 1:
                batch.choose_weights(weights)


def _icon() -> Image.Image:
    """Draw the page's icon, an occluded frame; Streamlit would fetch a named icon from another host."""
    icon = np.full((32, 32, 3), (47, 111, 115), np.uint8)
    icon[4:28, 4:28] = 251, 250, 248
    icon[12:24, 12:24] = 214, 40, 110
    return Image.fromarray(icon)


def _offered_weights() -> dict[str, str]:
    """Return the weights that can be chosen, bundled names and files, with their labels."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--weights", nargs="*", action="extend", default=[])
    named = parser.parse_known_args(sys.argv[1:])[0].weights
    files = [path for folder in TRAINED for path in sorted(folder.rglob("optimized_pixelrnn.*"))]
    trained = [str(path) for path in files if path.suffix in (".safetensors", ".pth")]
    bundled = bundled_weights()
    offered = list(dict.fromkeys([*bundled, *trained, *named]))
    labels = {name: SHORT.get(name, name) if name in bundled else _short(Path(name)) for name in offered}
    if offered and "weights" not in st.session_state:
        wanted = named[0] if named else DEFAULT
        st.session_state.weights = wanted if wanted in offered else offered[0]
    return {name: label if list(labels.values()).count(label) == 1 else name for name, label in labels.items()}


def _choose_settings(weights: dict[str, str]) -> Settings:
    """Show the settings that the chosen weights offer, and return them. Raises PixelRNNError."""
    state = st.session_state
    if state.weights not in weights:
        state.weights = next(iter(weights))
    path = find_weights(state.weights)
    changed = path.stat().st_mtime_ns
    samples, seed = 1, 0
    if load(str(path), changed).can_sample:
        help_text = "How many different results to draw, to choose from."
        samples = st.slider("Number of samples", 1, 8, 1, help=help_text)
        help_text = "Another seed gives other samples and other grain; the same seed gives the same result."
        seed = int(st.number_input("Seed", 0, 2**31 - 1, 0, help=help_text))
    help_text = "Strict makes almost no false detections. Eager misses less, and makes more false detections."
    level = st.selectbox("What counts as painted over", list(LEVELS), 1, format_func=str.capitalize, help=help_text)
    help_text = "Adds noise to the filled pixels that matches the photograph's own grain around them, if it has any."
    grain = st.toggle("Grain", True, help=help_text)
    st.caption(PRIVACY)
    return Settings(state.weights, path, changed, samples, seed, level, "auto" if grain else "none")


def _short(path: Path) -> str:
    """Return a short label for a weights file, since the box cuts off long paths."""
    return f"{path.resolve().parent.name} ({path.suffix[1:]})" if path.stem == "optimized_pixelrnn" else path.name


@st.dialog("How it works", width="large")
def _explain(model_card: Path) -> None:
    """Show how the page works, and the model card."""
    st.markdown(HOW_IT_WORKS)
    if model_card.exists():
        with st.expander("The model card: training, figures, limits", icon=":material/description:"):
            text = model_card.read_text(encoding="utf-8")
            st.markdown(text.partition("\n# ")[2].partition("\n")[2])  # without the YAML header for the hub and the title


def _choose_pictures(examples: Path) -> list[Upload]:
    """Show the choice of photographs; return the uploads, or the example that was clicked after them."""
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
