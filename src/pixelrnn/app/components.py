"""The parts of the page that Streamlit does not have, as components of HTML, CSS and JavaScript, which lie beside this file."""

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
    """The component of NAME.html with its `labels`, common.css with NAME.css, and NAME.js with the modules that it imports and
    what it `says` as the constant SAYS; call it once, when a module is imported.
    """
    html, css = Template(_read(f"{name}.html")).substitute(labels or {}), _read("common.css") + _read(f"{name}.css")
    script = f"const SAYS = {json.dumps(says or {})};\n{bundle(*modules, name)}"
    return st.components.v2.component(f"pixelrnn_{name}", html=html, css=css, js=script)


def bundle(*names: str) -> str:
    """Modules of JavaScript as one, each after those that it imports: Streamlit takes a single one. Their names are all in one
    scope then, so none may be there twice.
    """
    return "\n".join(MODULES.sub("", _read(f"{name}.js")) for name in names)


def pack(told: dict[str, Any], pictures: Mapping[str, bytes]) -> bytes:
    """What wire.js unpacks: the length of a JSON header in 4 bytes, the header, and the bytes of the pictures."""
    header = json.dumps({**told, "blobs": [[name, len(data)] for name, data in pictures.items()]}).encode()
    return b"".join([len(header).to_bytes(4, "big"), header, *pictures.values()])


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
