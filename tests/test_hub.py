"""Weights from a hub and to it, by the real command against a hub on this machine; no network."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from PIL import Image

from conftest import Paired, draw_room
from hub import TOKEN, Hub, Repository
from pixelrnn import PixelRNNError, checkpoint, create_model
from pixelrnn.hub import Address, read_address
from pixelrnn.publishing import write_card
from pixelrnn.weights import EXPECTED, bundled_weights, find_weights, read_tensors
from test_training import SMALL

ROOT = Path(__file__).parents[1]
TINY = {"widths": (4, 4, 4), "depths": (1, 1, 1), "detector_widths": (4, 4, 4), "detector_depths": (1, 1, 1), "scan_hidden": 4}
FIND = "import sys; from pixelrnn.weights import find_weights; print(find_weights(sys.argv[1]))"


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    yield server
    server.close()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run: small weights from nothing, history, curve, and pictures that are nobody's business."""
    folder = tmp_path / "run"
    metadata = {"recipe": {"init_from": "scratch", "epochs": 2}, "history": [{"epoch": 2, "hole_psnr": 17.25, "ssim": 0.5}]}
    checkpoint.save(folder / "optimized_pixelrnn.safetensors", create_model("optimized_pixelrnn", **TINY), metadata)
    (folder / "metrics.csv").write_text("epoch,hole_psnr\n2,17.25\n")
    Image.new("RGB", (8, 8)).save(folder / "loss_curve.png")
    (folder / "pictures").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "pictures" / "epoch_002.jpg")
    return folder


class User:
    """Somebody with a cache of their own, and a token or none."""

    def __init__(self, home: Path, hub: Hub, token: str = "") -> None:
        self.home = home
        self.environment = hub.environment | {"HF_HOME": str(home), "HF_TOKEN": token}

    def call(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = os.environ | self.environment | environment
        return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=given, timeout=120, check=False)

    def find(self, name: str, note: str = "", **environment: str) -> Path:
        """Where `find_weights` finds it, telling nothing but the note."""
        done = self.call("-c", FIND, name, **environment)
        assert done.returncode == 0, done.stderr
        assert (done.stderr.count("\n"), note in done.stderr) == (bool(note), True), done.stderr
        return Path(done.stdout.strip())

    def error(self, name: str, **environment: str) -> str:
        """Of `complete` with these weights: one line, exit code 2."""
        done = self.call("-m", "pixelrnn", "complete", "a.png", "--weights", name, **environment)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert done.stderr.startswith("error: ")
        return done.stderr

    def push(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.call("-m", "pixelrnn", "push", *words, **environment)


@pytest.fixture
def user(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> User:
    (tmp_path / "place").mkdir()
    monkeypatch.chdir(tmp_path / "place")
    Image.fromarray(draw_room(np.random.default_rng(0), 48, 48)).save("a.png")
    return User(tmp_path / "cache", hub)


# --- names


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("owner/name", Address("owner/name")),
        ("owner/name@v1.0", Address("owner/name", "v1.0")),
        ("hf://owner/name", Address("owner/name")),
        ("hf://owner/na.me-2@refs/pr/3/model.onnx", Address("owner/na.me-2", "refs/pr/3", "model.onnx")),
        ("hf://owner/name/sub/a.pth", Address("owner/name", "main", "sub/a.pth")),
        ("runs/optimized_pixelrnn.pth", None),
        ("./name", None),
        ("../name", None),
        ("/owner/name", None),
        ("owner/name/more", None),
        ("bedrooms-sharp", None),
        (r"owner\name", None),
    ],
)
def test_a_name_on_the_hub_is_told_from_a_path(words: str, found: Address | None) -> None:
    assert read_address(words) == found


@pytest.mark.parametrize("words", ["hf://name", "hf://owner/name/README.md", "hf://owner/name@", "hf://owner/name/"])
def test_a_malformed_address_is_an_error_that_shows_a_right_one(words: str) -> None:
    with pytest.raises(PixelRNNError, match="expected hf://OWNER/NAME"):
        read_address(words)


def test_what_is_here_comes_before_the_hub(run: Path, user: User, hub: Hub) -> None:
    Path("owner").mkdir()
    Path("owner/name").write_bytes(b"weights")
    assert user.find("owner/name") == Path("owner/name")
    assert user.find(str(run)) == run / "optimized_pixelrnn.safetensors"
    assert user.find(EXPECTED) == bundled_weights()[EXPECTED]
    assert hub.asked == []


def test_a_path_object_and_a_folder_without_weights_are_not_names(user: User) -> None:
    Path("owner/name").mkdir(parents=True)
    for given in (Path("owner/other"), "owner/name"):
        with pytest.raises(PixelRNNError, match="no such weights"):
            find_weights(given)


# --- from the hub


@pytest.mark.slow
def test_a_command_completes_by_weights_on_the_hub_as_by_the_file(run: Path, user: User, hub: Hub) -> None:
    file = run / "optimized_pixelrnn.safetensors"
    hub.repositories["owner/name"] = Repository()
    hub.repositories["owner/name"].commit({"model.safetensors": file.read_bytes()})
    written = []
    for number, weights in enumerate(("owner/name", str(file))):
        words = ("complete", "a.png", "--mask", "10,10,20,20", "--weights", weights, "-o", f"{number}.png")
        done = user.call("-m", "pixelrnn", *words)
        assert done.returncode == 0, done.stderr
        written.append(Path(f"{number}.png").read_bytes())
    assert written[0] == written[1]


def test_a_branch_moves_and_a_pinned_revision_does_not(user: User, hub: Hub) -> None:
    repository = hub.repositories["owner/name"] = Repository()
    first = repository.commit({"model.safetensors": b"first"})
    repository.refs["v1"] = first
    assert user.find("owner/name").read_bytes() == b"first"
    repository.commit({"model.safetensors": b"second", "model.onnx": b"graph"})
    assert user.find("owner/name").read_bytes() == b"second"
    assert user.find("owner/name@v1").read_bytes() == b"first"
    assert user.find("hf://owner/name/model.onnx").read_bytes() == b"graph"
    hub.asked.clear()
    assert user.find(f"hf://owner/name@{first}").read_bytes() == b"first"
    assert hub.asked == []


def test_one_process_asks_for_one_name_once(user: User, hub: Hub) -> None:
    hub.repositories["owner/name"] = Repository()
    hub.repositories["owner/name"].commit({"model.safetensors": b"weights"})
    program = (
        "from pixelrnn.weights import find_weights as f; assert {f('owner/name') for _ in range(5)} == {f('hf://owner/name')}"
    )
    assert user.call("-c", program).returncode == 0
    assert len(hub.asked) == len(set(hub.asked)) + 1 == 3  # twice whether it is new, once for the file


def test_processes_of_one_run_have_one_version_of_it(run: Path, user: User, hub: Hub) -> None:
    hub.repositories["owner/name"] = Repository()
    hub.repositories["owner/name"].commit({"model.safetensors": (run / "optimized_pixelrnn.safetensors").read_bytes()})
    Path("in").mkdir()
    for number in range(2):
        Path(f"in/{number}.png").write_bytes(Path("a.png").read_bytes())
    words = ("complete", "in", "-o", "out", "--jobs", "2", "--mask", "10,10,20,20", "--weights", "owner/name")
    done = user.call("-m", "pixelrnn", *words)
    assert done.returncode == 0, done.stderr
    assert len(hub.asked) == 3
    assert len(list(Path("out").iterdir())) == 2


@pytest.mark.slow
def test_an_export_of_the_hubs_weights_goes_where_it_is_told(run: Path, user: User, hub: Hub) -> None:
    hub.repositories["owner/name"] = Repository()
    hub.repositories["owner/name"].commit({"model.safetensors": (run / "optimized_pixelrnn.safetensors").read_bytes()})
    done = user.call("-m", "pixelrnn", "export", "owner/name")
    assert (done.returncode, "--out FILE.onnx" in done.stderr) == (2, True)
    assert user.call("-m", "pixelrnn", "export", "owner/name", "-o", "own.onnx").returncode == 0
    words = ("complete", "a.png", "--mask", "10,10,20,20", "--weights", "own.onnx", "-o", "b.png")
    assert user.call("-m", "pixelrnn", *words).returncode == 0


def test_a_private_repository_needs_a_token_and_opens_to_one(user: User, hub: Hub) -> None:
    hub.repositories["owner/name"] = Repository(private=True)
    hub.repositories["owner/name"].commit({"model.safetensors": b"weights"})
    said = user.error("owner/name")
    assert "HF_TOKEN" in said
    assert "private" in said
    assert user.find("owner/name", HF_TOKEN=TOKEN).read_bytes() == b"weights"


def test_what_the_hub_does_not_have_is_told_in_one_line(user: User, hub: Hub) -> None:
    hub.repositories["owner/name"] = Repository()
    hub.repositories["owner/name"].commit({"README.md": b""})
    assert "holds no model.safetensors at main" in user.error("owner/name")
    assert "no revision v9" in user.error("owner/name@v9")
    assert "no such repository" in user.error("owner/nothing")


def test_without_the_library_the_extra_is_named(user: User, tmp_path: Path) -> None:
    (tmp_path / "hooks" / "huggingface_hub").mkdir(parents=True)
    (tmp_path / "hooks" / "huggingface_hub" / "__init__.py").write_text("raise ModuleNotFoundError(name='huggingface_hub')")
    path = os.pathsep.join(filter(None, [str(tmp_path / "hooks"), os.environ.get("PYTHONPATH")]))
    said = user.error("owner/name", PYTHONPATH=path)
    assert "owner/name: no such file here" in said
    assert "pip install 'pixelrnn[hub]'" in said


# --- offline


@pytest.fixture
def cached(user: User, hub: Hub) -> User:
    hub.repositories["owner/name"] = Repository()
    hub.repositories["owner/name"].commit({"model.safetensors": b"weights"})
    assert user.find("owner/name").read_bytes() == b"weights"
    return user


def test_offline_the_cached_copy_is_used_and_nobody_asked(cached: User, hub: Hub) -> None:
    hub.asked.clear()
    assert cached.find("owner/name", HF_HUB_OFFLINE="1").read_bytes() == b"weights"
    assert "HF_HUB_OFFLINE is set" in cached.error("owner/other", HF_HUB_OFFLINE="1")
    assert hub.asked == []


@pytest.mark.slow
def test_the_cached_copy_is_used_where_nobody_answers(cached: User) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
        closed.close()
        for one, patience in ((silent.getsockname()[1], "1"), (port, "")):
            environment = {"HF_ENDPOINT": f"http://127.0.0.1:{one}"} | ({"HF_HUB_ETAG_TIMEOUT": patience} if patience else {})
            note = "owner/name@main/model.safetensors: the copy in the cache is used, since the hub cannot be reached"
            assert cached.find("owner/name", note, **environment).read_bytes() == b"weights"
            assert "the hub cannot be reached" in cached.error("owner/other", **environment)


# --- to the hub


def test_a_pushed_run_is_fetched_by_others_byte_for_byte(run: Path, user: User, hub: Hub) -> None:
    done = user.push(str(run), "owner/name", "--private", "--license", "cc-by-4.0", HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    repository = hub.repositories["owner/name"]
    assert repository.private
    assert f"/owner/name/commit/{repository.refs['main']}\n" in done.stdout
    files = repository.commits[repository.refs["main"]]
    assert sorted(files) == [".gitattributes", "README.md", "loss_curve.png", "metrics.csv", "model.safetensors"]
    assert user.find("owner/name", HF_TOKEN=TOKEN).read_bytes() == (run / "optimized_pixelrnn.safetensors").read_bytes()


def test_what_should_be_private_is_not_pushed_to_a_public_repository(run: Path, user: User, hub: Hub) -> None:
    repository = hub.repositories["owner/name"] = Repository()
    repository.commit({".gitattributes": b""})
    done = user.push(str(run), "owner/name", "--private", HF_TOKEN=TOKEN)
    assert (done.returncode, "a public repository already" in done.stderr) == (2, True)
    assert len(repository.commits) == 1


def test_the_card_of_a_run_is_one_that_the_hub_reads(run: Path) -> None:
    header, _ = read_tensors(run / "optimized_pixelrnn.safetensors")
    card = ModelCard(write_card(header, "owner/name", "mit", curve=True))
    assert (card.data.license, card.data.library_name, card.data.metrics) == ("mit", "pixelrnn", ["psnr", "ssim"])
    assert [one.metric_value for one in card.data.eval_results] == [17.25, 0.5]
    assert "![The loss while it was trained](loss_curve.png)" in card.text
    assert "epochs: 2" in card.text


def test_a_card_on_the_hub_is_kept_and_one_beside_the_weights_is_pushed(run: Path, user: User, hub: Hub) -> None:
    hub.repositories["owner/name"] = Repository()
    hub.repositories["owner/name"].commit({"README.md": b"theirs"})
    for own, seen in ((None, b"theirs"), (b"---\nlicense: mit\n---\nmine", b"---\nlicense: mit\n---\nmine")):
        if own is not None:
            (run / "README.md").write_bytes(own)
        assert user.push(str(run), "owner/name", HF_TOKEN=TOKEN).returncode == 0
        repository = hub.repositories["owner/name"]
        assert repository.commits[repository.refs["main"]]["README.md"] == seen


def test_an_export_is_pushed_unless_it_is_older_than_the_weights(run: Path, user: User, hub: Hub) -> None:
    exported = run / "optimized_pixelrnn.onnx"
    exported.write_bytes(b"graph")
    for age, there in ((-100, False), (100, True)):
        moment = (run / "optimized_pixelrnn.safetensors").stat().st_mtime + age
        os.utime(exported, (moment, moment))
        assert user.push(str(run), f"owner/name{there}", HF_TOKEN=TOKEN).returncode == 0
        repository = hub.repositories[f"owner/name{there}"]
        assert ("model.onnx" in repository.commits[repository.refs["main"]]) is there


def test_bundled_weights_are_pushed_with_their_card_and_citation(user: User, hub: Hub) -> None:
    assert user.push(EXPECTED, "owner/name", HF_TOKEN=TOKEN).returncode == 0
    repository = hub.repositories["owner/name"]
    files = repository.commits[repository.refs["main"]]
    assert files["README.md"] == (ROOT / "MODEL_CARD.md").read_bytes()
    assert yaml.safe_load(files["CITATION.cff"])["license"] == "MIT"


@pytest.mark.parametrize(("start", "licence"), [("bundled", "other"), (EXPECTED, "other"), ("owner/name", None)])
def test_weights_trained_on_from_others_keep_their_licence(start: str, licence: str | None) -> None:
    header, _ = read_tensors(bundled_weights()[EXPECTED])
    header["about"] = {"recipe": {"init_from": start}}
    assert ModelCard(write_card(header, "owner/mine")).data.license == licence
    with pytest.raises(PixelRNNError, match="--license mit: Trained on from"):
        write_card(header, "owner/mine", "mit")


def test_a_push_that_cannot_be_is_told_in_one_line(run: Path, user: User, hub: Hub) -> None:
    (run / "plain.pth").write_bytes(b"")
    for words, environment, why in (
        ((str(run), "owner/name"), {}, "may not be written to with your token"),
        ((str(run), "owner/name"), {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ((str(run), "name"), {"HF_TOKEN": TOKEN}, "expected OWNER/NAME"),
        ((str(run / "plain.pth"), "owner/name"), {"HF_TOKEN": TOKEN}, "a .safetensors file"),
        ((EXPECTED, "owner/name", "--license", "mit"), {"HF_TOKEN": TOKEN}, "for research use"),
    ):
        done = user.push(*words, **environment)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert why in done.stderr
    assert hub.repositories == {}


@pytest.mark.slow
def test_a_run_is_trained_pushed_and_completes_elsewhere(paired: Paired, tmp_path: Path, user: User, hub: Hub) -> None:
    words = ("train", str(paired.root), *SMALL, "epochs=1", "-o", "run", "--device", "cpu")
    assert user.call("-m", "pixelrnn", *words).returncode == 0
    done = user.push("run", "owner/name", HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    other = User(tmp_path / "other", hub)
    done = other.call("-m", "pixelrnn", "complete", "a.png", "--mask", "10,10,20,20", "--weights", "owner/name", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["error"] is None
    card = hub.repositories["owner/name"].commits[hub.repositories["owner/name"].refs["main"]]["README.md"].decode()
    assert ModelCard(card).data.eval_results


PAGE = """
import sys
from streamlit.testing.v1 import AppTest

sys.argv = ["app.py", "--weights", "owner/name"]
page = AppTest.from_file(sys.argv[0], default_timeout=60).run()
print(page.session_state["weights"], [one.value for one in page.error])
"""


@pytest.mark.slow
def test_every_command_that_takes_weights_takes_them_from_the_hub(paired: Paired, run: Path, user: User, hub: Hub) -> None:
    hub.repositories["owner/name"] = Repository()
    hub.repositories["owner/name"].commit({"model.safetensors": (run / "optimized_pixelrnn.safetensors").read_bytes()})
    mask = np.zeros((48, 48), np.uint8)
    mask[10:20, 10:20] = 255
    picture = draw_room(np.random.default_rng(0), 48, 48)
    for part, pixels in (("input", picture * (mask == 0)[..., None]), ("mask", mask), ("target", picture)):
        Path("cases/small", part).mkdir(parents=True)
        Image.fromarray(pixels).save(f"cases/small/{part}/1.png")
    done = user.call(
        "-m", "pixelrnn", "evaluate", "cases", "--weights", "owner/name", "--against", "mean", "--json", "figures.json"
    )
    assert done.returncode == 0, done.stderr
    assert "owner/name" in Path("figures.json").read_text()
    words = (
        "train",
        str(paired.root),
        "init_from=owner/name",
        "size=32",
        "batch_size=4",
        "epochs=1",
        "-o",
        "more",
        "--device",
        "cpu",
    )
    done = user.call("-m", "pixelrnn", *words)
    assert "starting from owner/name" in done.stdout, done.stderr
    app = user.call("-c", PAGE.replace("sys.argv[0]", repr(str(ROOT / "app.py"))))
    assert app.stdout == "owner/name []\n", app.stderr
