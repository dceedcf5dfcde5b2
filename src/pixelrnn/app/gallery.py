"""The gallery: examples to start with, and the ear for pictures that are pasted."""

from functools import cache
from pathlib import Path

import streamlit as st

from ..decode import read_image
from .components import define
from .figures import thumbnail
from .intake import Upload

_component = define("gallery")


def choose_example(folder: Path) -> None:
    """Show the pictures of `folder`; the one that is clicked becomes the example, in place of what was uploaded."""
    state = st.session_state
    # the sheet shows them all, completed
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
        if any(sent.get("name") == picture["name"] for picture in pictures):  # a browser may send anything
            state.example = sent["name"]
            state.uploads = state.get("uploads", 0) + 1  # an uploader of another key is an empty one
            st.rerun()


def example(folder: Path) -> Upload | None:
    """The example that was clicked last, unless something was uploaded after."""
    name = st.session_state.get("example")
    return None if name is None else Upload(name, f"example {name}", (folder / name).read_bytes())


@cache
def _thumbnail(path: Path) -> str:
    return thumbnail(read_image(path), 192)
