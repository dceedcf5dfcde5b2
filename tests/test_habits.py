"""The files beside the code that services and people read: valid, and true to the project."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("github-workflows", ".github/workflows/ci.yml"),
        ("github-issue-forms", ".github/ISSUE_TEMPLATE/bug.yml"),
        ("github-issue-forms", ".github/ISSUE_TEMPLATE/wish.yml"),
        ("github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
        ("citation-file-format", "CITATION.cff"),
    ],
)
def test_a_file_for_a_service_is_of_its_schema(schema: str, file: str) -> None:
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(ROOT / file))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_workflow_runs_on_each_system_and_version_that_is_promised() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    matrix = jobs["tests"]["strategy"]["matrix"]
    assert matrix["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert PROJECT["project"]["requires-python"] == f">={matrix['python'][0]}"
    assert any(step.get("run") == "bash .ci/run" for step in jobs["checks"]["steps"])


def test_what_the_workflow_leaves_out_is_there_to_be_left_out() -> None:
    left = re.findall(r"--ignore=(\S+)", WORKFLOW.read_text(encoding="utf-8"))
    assert left == sorted(left)
    assert all((ROOT / one).is_file() for one in left)


def test_hooks_are_commands_of_the_pinned_set() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    commands = {hook["entry"].split()[0] for hook in hooks}
    assert commands == {"ruff", "mypy", "lint-imports", "pytest"}
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert all(re.search(rf"^{name}==", pinned, re.MULTILINE) for name in ("ruff", "mypy", "import-linter", "pytest"))


def test_changelog_and_citation_know_the_version() -> None:
    version = PROJECT["project"]["version"]
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^## (\[?{re.escape(version)}|Unreleased)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)


def test_the_bundled_card_says_licence_and_figures_as_its_tables_do() -> None:
    card = ModelCard.load(ROOT / "MODEL_CARD.md")
    assert (card.data.license, card.data.license_name, card.data.library_name) == ("other", "research-use", "pixelrnn")
    results = yaml.safe_load((ROOT / "MODEL_CARD.md").read_text(encoding="utf-8").split("---\n")[1])["model-index"]
    assert [one["name"] for one in results] == ["bedrooms-expected", "bedrooms-sharp"]
    for column, model in enumerate(results):
        for result in model["results"]:
            row = next(line for line in card.text.splitlines() if line.startswith(f"| `{result['dataset']['type']}` | "))
            cells = [cell.strip() for cell in row.split("|")]
            figures = {one["type"]: f"{one['value']:.{2 if one['type'] == 'psnr' else 4}f}" for one in result["metrics"]}
            assert figures["psnr"] in cells[(4, 6)[column]]
            assert column or figures["ssim"] in cells[12]


@pytest.mark.slow
def test_the_wheel_has_types_card_and_citation_and_type_checks_elsewhere(tmp_path: Path) -> None:
    build = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT))
    subprocess.run([sys.executable, *build], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        opened.extractall(tmp_path / "installed")
    assert {"pixelrnn/py.typed", "pixelrnn/app/home/MODEL_CARD.md", "pixelrnn/app/home/CITATION.cff"} <= names
    assert not [name for name in names if name.startswith(("tests/", "docs/", "notebooks/"))]
    script = tmp_path / "script.py"
    script.write_text("from pixelrnn import Completer\n\nCompleter.from_pretrained(7)\n")
    (tmp_path / "mypy.ini").write_text("[mypy]\nignore_missing_imports = true\nmypy_path = $MYPY_CONFIG_FILE_DIR/installed\n")
    command = (sys.executable, "-m", "mypy", "--output", "json", "--config-file", str(tmp_path / "mypy.ini"), str(script))
    said = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path).stdout
    assert "arg-type" in {json.loads(line)["code"] for line in said.splitlines()}, said
