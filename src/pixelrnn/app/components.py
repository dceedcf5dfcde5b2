"""Own Streamlit components, whose HTML, CSS and JavaScript lie beside this file."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import streamlit as st

HERE = Path(__file__).parent
MODULES = re.compile(r"^import .*$\n|^export (?!default)", re.MULTILINE)


def define(
    name: str, modules: Sequence[str] = (), labels: Mapping[str, str] | None = None, says: Mapping[str, Any] | None = None
) -> Callable[..., Any]:
    """Define a component from NAME.html, NAME.css (after common.css) and NAME.js. Call it once, when a module is imported.

    Args:
        name: The name of the component and of its files.
        modules: The JavaScript modules that NAME.js imports, each after those that it imports itself.
        labels: The words that replace $NAME in the HTML.
        says: The sentences for the JavaScript, which reads them from the constant SAYS.

    Returns:
        The function that shows the component.
    """
    html, css = Template(_read(f"{name}.html")).substitute(labels or {}), _read("common.css") + _read(f"{name}.css")
    script = f"const SAYS = {json.dumps(says or {})};\n{bundle(*modules, name)}"
    return st.components.v2.component(f"pixelrnn_{name}", html=html, css=css, js=script)


def bundle(*names: str) -> str:
    """Join JavaScript modules into one, since Streamlit takes a single module.

    Each module must come after those that it imports. All names share one scope afterwards, so each must be unique.
    """
    return "\n".join(MODULES.sub("", _read(f"{name}.js")) for name in names)


def pack(state: dict[str, Any], images: Mapping[str, bytes]) -> bytes:
    """Pack a message for wire.js: the length of a JSON header in 4 bytes, the header, and the bytes of the images."""
    header = json.dumps({**state, "blobs": [[name, len(data)] for name, data in images.items()]}).encode()
    return b"".join([len(header).to_bytes(4, "big"), header, *images.values()])


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
