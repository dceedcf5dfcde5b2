"""The scripts in recipes and benchmarks fit the package as it is."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path for folder in ("recipes", "benchmarks") for path in (ROOT / folder).glob("*.py"))
PROGRAM = """
import runpy, sys
for script in sys.argv[1:]:
    assert callable(runpy.run_path(script, run_name="smoke")["main"]), script
"""


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["recipes", "benchmarks"])
def test_every_script_can_be_imported_and_has_a_main(folder: str) -> None:
    scripts = [path for path in SCRIPTS if path.parent.name == folder]
    assert len(scripts) > 5
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT / folder)!r}){PROGRAM}", *scripts]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
