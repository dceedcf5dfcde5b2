"""The parts of the page that Streamlit does not have, as components of HTML, CSS and JavaScript, which lie beside this file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent


def define(name: str) -> Callable[..., Any]:
    """The component of NAME.html, common.css with NAME.css, and NAME.js; call it once, when a module is imported."""
    html, common, css, script = (
        (HERE / file).read_text(encoding="utf-8") for file in (f"{name}.html", "common.css", f"{name}.css", f"{name}.js")
    )
    return st.components.v2.component(f"pixelrnn_{name}", html=html, css=common + css, js=script)
