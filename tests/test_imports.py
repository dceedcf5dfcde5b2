"""The public names, and what importing them costs, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pixelrnn

HEAVY = {"torch", "onnxruntime", "lightning", "streamlit", "fastapi", "pydantic", "cv2", "skimage", "huggingface_hub"}


def modules_after(code: str) -> set[str]:
    """The top-level modules a fresh interpreter holds after `code`."""
    program = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split())


def test_importing_pixelrnn_imports_neither_torch_nor_onnxruntime() -> None:
    modules = modules_after("import pixelrnn; pixelrnn.__version__; dir(pixelrnn); pixelrnn.PixelRNNError")
    assert "pixelrnn" in modules
    assert not modules & {*HEAVY, "numpy", "PIL"}


@pytest.mark.parametrize(
    "module", ["image", "data.occluders", "data.synthetic", "inference.completer", "evaluation.sheet", "cli"]
)
def test_pictures_and_the_command_line_need_no_torch(module: str) -> None:
    assert not modules_after(f"import pixelrnn.{module}") & HEAVY


def test_onnx_runtime_counts_its_use_for_nobody(tmp_path: Path) -> None:
    code = "import numpy, pixelrnn; pixelrnn.Completer.from_pretrained()(numpy.zeros((9, 9, 3), 'uint8'), (1, 1, 2, 2))"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment | {"TMPDIR": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []  # where it counts it writes the session's number


def test_the_public_names_are_these() -> None:
    things = ["Completer", "Completion", "PixelRNNError", "__version__"]
    assert pixelrnn.__all__ == [*things, "create_model", "list_models", "push_to_hub"]
    assert dir(pixelrnn) == pixelrnn.__all__


@pytest.mark.parametrize("name", pixelrnn.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    scope: dict[str, object] = {}
    exec(f"from pixelrnn import {name}", scope)
    assert scope[name] is getattr(pixelrnn, name)


def test_any_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'pixelrnn' has no attribute 'complete'"):
        _ = pixelrnn.complete
