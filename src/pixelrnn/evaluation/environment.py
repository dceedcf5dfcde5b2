"""The machine and the package versions that figures were made with."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("pixelrnn", "numpy", "torch", "pillow", "scikit-image", "pypatchmatch")
OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")


def machine() -> dict[str, Any]:
    """Return the platform, the CPU's name and count, and the version of Python."""
    cpu = platform.processor()
    try:
        named = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        cpu = named[0].split(":", 1)[1].strip() if named else cpu
    except OSError:
        pass  # not Linux: keep what platform says
    return {"platform": platform.platform(), "cpu": cpu or None, "cpus": os.cpu_count(), "python": platform.python_version()}


def versions() -> dict[str, str | None]:
    """Return the versions of the packages that move figures, by name; None for one that is not installed."""
    return {name: _version(name) for name in PACKAGES} | {"opencv": _version(*OPENCV)}


def facts() -> str:
    """Return the machine and the versions in one line."""
    host = machine()
    installed = [f"{name} {version}" for name, version in versions().items() if version]
    cpu = f"{host['cpu']}, " if host["cpu"] else ""
    return f"{host['platform']}, {cpu}{host['cpus']} CPUs; Python {host['python']}, {', '.join(installed)}"


def _version(*packages: str) -> str | None:
    """Return the version of the first of `packages` that is installed."""
    for package in packages:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return None
