"""The memory of this process, as Linux's /proc reports it. The figures are nan where the system has no /proc."""

import ctypes
import math
import re
from contextlib import suppress
from pathlib import Path

PROCESS = Path("/proc/self")


def peak() -> float:
    """Return the most resident memory in MB since `at_rest` was called."""
    return _resident("VmHWM")


def at_rest() -> float:
    """Return the resident memory in MB and forget its peak; nan where the peak cannot be forgotten.

    What was freed but kept for reuse is given back first, or the next call would seem to need nothing. That makes it slower.
    """
    with suppress(AttributeError, OSError, TypeError):  # not glibc, and no other C library is known to keep so much
        ctypes.CDLL(None).malloc_trim(0)
    try:
        (PROCESS / "clear_refs").write_text("5")  # man 5 proc: resets the peak resident set size
    except OSError:
        return math.nan
    return _resident("VmRSS")


def _resident(name: str) -> float:
    try:
        match = re.search(rf"{name}:\s*(\d+) kB", (PROCESS / "status").read_text())
    except OSError:
        return math.nan
    return int(match[1]) * 1024 / 1e6 if match else math.nan
