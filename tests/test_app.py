"""The page, driven without a browser."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from conftest import draw_room
from pixelrnn import completion
from pixelrnn.app import page
from pixelrnn.backends import Output
from pixelrnn.checkpoint import save
from pixelrnn.models import create_model
from pixelrnn.weights import DEFAULT

APP = Path(__file__).parents[1] / "app.py"
ROOM = draw_room(np.random.default_rng(0), 60, 80)
SQUARE = np.zeros((60, 80), bool)
SQUARE[20:40, 30:55] = True
OCCLUDED = ROOM * ~SQUARE[..., None]


def encode(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def decode(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)))


class Stub:
    """Sees what is black; paints it in the shade of its weights' name. "plain" weights see nothing and are never unsure."""

    runs = 0
    reads_mask = True

    def __init__(self, weights: str | Path, device: str = "cpu", backend: str = "auto") -> None:
        self.name, self.shade = "stub", len(Path(weights).stem) * 10
        self.plain = Path(weights).stem == "plain"

    def __call__(self, image: np.ndarray, mask: np.ndarray, guide: np.ndarray | None = None) -> Output:
        Stub.runs += 1
        deviation = None if self.plain else np.full(mask.shape, np.log(0.1), np.float32)
        return Output(np.full_like(image, self.shade / 255), deviation)

    def detect(self, image: np.ndarray) -> np.ndarray | None:
        return None if self.plain else np.where(image.max(axis=0) < 0.1, np.float32(5), np.float32(-5))


class Page:
    """The running page and what its download buttons hand out."""

    def __init__(self, app: AppTest, files: dict[str, bytes]) -> None:
        self.app, self.files = app, files

    def upload(self, data: bytes, name: str = "room.png", uploader: int = 0) -> "Page":
        self.app.file_uploader[uploader].set_value((name, data, "image/png")).run()
        assert not self.app.exception
        return self

    def captions(self) -> list[str]:
        """What stands beneath the pictures."""
        return [caption for element in self.app.image for caption in element.captions]

    def text(self) -> str:
        parts = [*self.app.markdown, *self.app.caption, *self.app.error, *self.app.info, *self.app.warning]
        return "\n".join(part.value.replace("\\", "") for part in parts)


Start = Callable[..., Page]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Opens the page in an empty folder, on a machine without bundled weights, with these names after --weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(page, "bundled_weights", dict)
    monkeypatch.setattr(page, "TRAINED", (Path("outputs"),))
    files: dict[str, bytes] = {}
    button = st.download_button

    def record(label: str, data: bytes, file_name: str, **options: Any) -> bool:
        files[file_name] = data
        return button(label, data, file_name, **options)

    monkeypatch.setattr(st, "download_button", record)

    def open_page(*weights: str) -> Page:
        monkeypatch.setattr("sys.argv", ["app.py", *(["--weights", *weights] if weights else [])])
        app = AppTest.from_file(str(APP), default_timeout=60).run()
        assert not app.exception
        return Page(app, files)

    return open_page


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Stub]:
    """Networks that are known: the files are empty, for the page looks at no more than their names and times."""
    monkeypatch.setattr(completion, "open_backend", Stub)
    for name in ("seeing", "other one", "plain"):
        (tmp_path / f"{name}.pth").touch()
    Stub.runs = 0
    return Stub


def test_an_occluded_picture_is_completed_and_can_be_downloaded(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    assert [caption.split(":")[0] for caption in shown.captions()] == [
        "Uploaded",
        "Reconstructed",
        "Taken as missing (tinted)",
        "How unsure it is",
    ]
    assert "found to be covered" in shown.text()
    assert "80 × 60 pixels, completed in" in shown.text()
    completed, mask = decode(shown.files["room_completed.png"]), decode(shown.files["room_mask.png"])
    assert completed.shape == OCCLUDED.shape
    assert mask.shape == SQUARE.shape
    assert set(np.unique(mask)) == {0, 255}
    assert np.all(mask[SQUARE] == 255)
    assert np.array_equal(completed[mask == 0], OCCLUDED[mask == 0])
    assert np.all(completed[mask == 255] == 60)
    assert f"{100 * (mask == 255).mean():.3g}%" in shown.text()


def test_a_real_network_completes_what_a_mask_marks(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "outputs" / "first" / "optimized_pixelrnn.safetensors", create_model("optimized_pixelrnn"), {})
    shown = start().upload(encode(OCCLUDED, "TIFF"), "room.tif").upload(encode(SQUARE.astype(np.uint8) * 255), "m.png", 1)
    assert "marked as missing" in shown.text()
    completed = decode(shown.files["room_completed.png"])
    assert np.array_equal(completed[~SQUARE], OCCLUDED[~SQUARE])
    assert np.array_equal(decode(shown.files["room_mask.png"]) == 255, SQUARE)


def test_the_completion_is_not_repeated_until_its_input_changes(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth", "other one.pth").upload(encode(OCCLUDED))
    shown.app.run()
    assert stub.runs == 1
    shown.upload(encode(SQUARE), "mask.png", 1)
    assert stub.runs == 2
    shown.app.selectbox[0].select("other one.pth").run()
    assert stub.runs == 3
    assert np.all(decode(shown.files["room_completed.png"])[SQUARE] == 90)
    assert "marked as missing" in shown.text()  # other weights keep the mask
    shown.upload(encode(OCCLUDED[:, ::-1]), "mirrored.png")
    assert stub.runs == 4
    assert "found to be covered" in shown.text()  # another picture does not


def test_weights_of_training_are_offered_before_named_ones_and_named_ones_chosen(start: Start, stub: type[Stub]) -> None:
    trained = [
        "outputs/b/a/optimized_pixelrnn.pth",
        "outputs/a/optimized_pixelrnn.pth",
        "outputs/optimized_pixelrnn.safetensors",
    ]
    for name in (*trained, "outputs/a/epoch.ckpt", "outputs/optimized_pixelrnn.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    shown = start("seeing.pth", trained[0])
    assert shown.app.selectbox[0].value == "seeing.pth"
    # a short label, but the whole path where two would look alike
    assert shown.app.selectbox[0].options == [trained[1], trained[0], "outputs (safetensors)", "seeing.pth"]
    shown.app.selectbox[0].select(trained[2]).run()
    assert trained[2] in shown.text()


def test_weights_that_cannot_see_say_who_found_the_occlusion_and_show_no_doubt(start: Start, stub: type[Stub]) -> None:
    shown = start("plain.pth").upload(encode(OCCLUDED))
    assert f"These weights cannot find what is missing; the weights “{DEFAULT}” found it" in shown.text()
    assert len(shown.captions()) == 3


def test_a_picture_without_an_occlusion_is_said_to_have_none(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(ROOM))
    assert "Nothing painted over was found" in shown.text()
    shown.upload(encode(np.zeros((60, 80), np.uint8)), "mask.png", 1)
    assert "The mask has no white in it" in shown.text()
    assert shown.captions() == ["Uploaded"]
    assert stub.runs == 0


def test_a_file_that_is_no_picture_is_named_in_a_sentence(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(b"this is no picture", "![x](y) *notes*.jpg")
    assert shown.app.error[0].value.startswith(r"\!\[x\](y) \*notes\*.jpg")  # shown as it is, never as Markdown
    assert "![x](y) *notes*.jpg: not a picture. Expected a readable JPEG" in shown.text()


def test_a_mask_of_another_size_is_refused_with_both_sizes(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED)).upload(encode(SQUARE[:30]), "mask.png", 1)
    assert "the mask is 80 x 30, the picture 80 x 60" in shown.text()
    assert not shown.captions()


def test_weights_that_cannot_be_read_are_named_in_a_sentence(start: Start, tmp_path: Path) -> None:
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    shown = start("broken.pth", "nowhere.pth").upload(encode(OCCLUDED))
    assert "broken.pth: not a plain state dict" in shown.text()
    shown.app.selectbox[0].select("nowhere.pth").run()
    assert not shown.app.exception
    assert "nowhere.pth: no such weights" in shown.text()


def test_without_weights_the_page_says_how_to_train(start: Start) -> None:
    shown = start()
    assert "There are no weights yet" in shown.text()
    assert "python train.py" in shown.text()
    assert shown.upload(encode(OCCLUDED)).captions() == []


def test_examples_are_shown_in_turn_until_a_picture_is_uploaded(start: Start, stub: type[Stub], tmp_path: Path) -> None:
    assert not start("seeing.pth").app.button
    (tmp_path / "examples").mkdir()
    for name in ("bed", "lamp", "sheet"):
        (tmp_path / "examples" / f"{name}.jpg").write_bytes(encode(OCCLUDED, "JPEG"))
    shown = start("seeing.pth")
    for name in ("bed", "lamp", "bed"):
        shown.app.button[0].click().run()
        assert f"{name}.jpg: drawn by a program, not photographed." in shown.text()
        assert "Reconstructed" in shown.captions()
    assert "drawn by a program" not in shown.upload(encode(OCCLUDED)).text()
    shown.app.button[0].click().run()
    assert "bed.jpg" in shown.text()


def test_pictures_of_one_pixel_and_of_many_have_previews(start: Start, stub: type[Stub]) -> None:
    long = np.full((2, 4000, 3), 200, np.uint8)
    long[:, 1000:1500] = 0
    shown = start("seeing.pth").upload(encode(long), "long.png")
    assert "drawn at 640 pixels and enlarged" in shown.text()
    assert decode(shown.files["long_completed.png"]).shape == long.shape
    assert "Nothing painted over" in shown.upload(encode(long[:1, :1]), "dot.png").text()


def test_uploads_are_never_written(start: Start, stub: type[Stub], tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    start("seeing.pth").upload(encode(OCCLUDED)).upload(encode(SQUARE), "mask.png", 1)
    assert set(tmp_path.rglob("*")) == before
