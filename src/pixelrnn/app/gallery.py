"""The gallery of examples, whose component also receives pasted images."""

from functools import cache
from pathlib import Path

import streamlit as st

from ..decode import read_image
from .components import define
from .uploads import Upload
from .views import thumbnail

_component = define("gallery")


def choose_example(folder: Path) -> None:
    """Show the images of `folder`. A click makes one the current example, in place of an upload."""
    state = st.session_state
    pictures = [
        {"name": path.name, "title": path.stem.replace("_", " ").capitalize(), "image": _thumbnail(path)}
        for path in sorted(folder.glob("*.jpg"))
    ]
    sent = _component(
        key="gallery",
        data={"pictures": pictures, "chosen": state.get("example")},
        default={"chosen": None},
        on_chosen_change=lambda: None,
    ).chosen
    if sent and sent != state.get("clicked"):
        state.clicked = sent
        if any(sent.get("name") == picture["name"] for picture in pictures):  # never trust what a browser sends
            state.example = sent["name"]
            state.uploads = state.get("uploads", 0) + 1  # a new key empties the uploader
            st.rerun()


def example(folder: Path) -> Upload | None:
    """Return the example that was clicked last, unless something was uploaded after it."""
    name = st.session_state.get("example")
    return None if name is None else Upload(name, f"example {name}", (folder / name).read_bytes())


@cache
def _thumbnail(path: Path) -> str:
    """Return a small version of an image as a data URL."""
    return thumbnail(read_image(path), 192)
