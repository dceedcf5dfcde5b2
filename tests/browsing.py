"""What tests in a real browser share; without one they are left out, but not in CI.

What an element says or is gets `expect`, which waits: the page draws a click's effect only with its next frame.
"""

import io
import os
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

try:
    from browser import Visit, decode, encode, expect, find_browser
except ModuleNotFoundError as missing:  # playwright
    if os.environ.get("CI"):
        raise
    pytest.skip(f"{missing}: pip install -r requirements.txt", allow_module_level=True)
if find_browser() is None and not os.environ.get("CI"):
    pytest.skip("no Chromium on the path: apt-get install chromium", allow_module_level=True)

Open = Callable[..., Visit]

__all__ = ["Open", "Visit", "decode", "encode", "expect", "find_browser", "unpack"]


def unpack(archive: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        return {name: decode(files.read(name)) for name in files.namelist()}
