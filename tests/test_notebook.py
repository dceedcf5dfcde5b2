"""The notebook for Kaggle: as it is stored, and run from top to bottom on a small paired dataset."""

import csv
import re
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pytest

from conftest import Paired
from pixelrnn.decode import read_image
from test_training import SMALL

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "kaggle.ipynb"


def test_the_notebook_is_stored_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 5
    assert not any(cell.outputs or cell.execution_count or cell.metadata for cell in code)


def test_its_only_absolute_paths_are_kaggles() -> None:
    found = re.findall(r"""(?<![\w.*/])/\w[\w/]*""", NOTEBOOK.read_text(encoding="utf-8"))
    assert set(found) == {"/kaggle/input", "/kaggle/working"}


@pytest.mark.slow
def test_it_trains_and_completes_from_top_to_bottom_and_goes_on(
    paired: Paired, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setenv("PIXELRNN_DATA", str(tmp_path))  # the pairs lie in a folder of it
    monkeypatch.setenv("PIXELRNN_OUT", str(out))
    monkeypatch.setenv("PIXELRNN_CHANGES", " ".join([*SMALL, "epochs=2", "valid_from=250"]))
    (paired.root / "occluded_test" / "notes.txt").write_text("no picture")
    for _ in range(2):  # again, as after a session that ended
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        place = {"metadata": {"path": tmp_path}}
        nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
        outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
        assert sum("image/png" in data or "image/jpeg" in data for data in outputs) == 4  # pairs, curve, validation, completed
        with (out / "metrics.csv").open() as file:
            assert len(list(csv.DictReader(file))) == 2
    for occluded in sorted((paired.root / "occluded_test").glob("*.jpg")):
        assert read_image(out / "completed" / f"{occluded.stem}.png").shape == np.asarray(read_image(occluded)).shape
