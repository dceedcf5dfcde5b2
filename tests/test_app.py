"""The page, driven without a browser."""

import io
import json
import sys
import zipfile
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import streamlit as st
from PIL import Image, ImageCms
from streamlit.testing.v1 import AppTest

from conftest import draw_room
from pixelrnn import completion, detection
from pixelrnn import decode as decoding
from pixelrnn.app import intake, page
from pixelrnn.app.brush import MAX_MARKS, draw_marks
from pixelrnn.app.worker import Worker
from pixelrnn.backends import Output
from pixelrnn.checkpoint import save
from pixelrnn.cli import main
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
        self.detects = not self.plain

    def __call__(self, image: np.ndarray, mask: np.ndarray, guide: np.ndarray | None = None) -> Output:
        Stub.runs += 1
        deviation = None if self.plain else np.full(mask.shape, np.log(0.2), np.float32)
        return Output(np.full_like(image, self.shade / 255), deviation)

    def detect(self, image: np.ndarray, seen: np.ndarray) -> np.ndarray:
        return np.where(image.max(axis=0) < 0.1, np.float32(40), np.float32(-5))


class Page:
    """The running page and what its download buttons hand out."""

    def __init__(self, app: AppTest, files: dict[str, Callable[[], bytes]]) -> None:
        self.app, self._files = app, files

    def run(self) -> "Page":
        self.app.run()
        assert not self.app.exception
        return self

    def upload(self, *pictures: bytes, name: str = "room.png") -> "Page":
        self.app.file_uploader[0].set_value([(name, data, "image/png") for data in pictures])
        return self.run()

    def give_mask(self, data: bytes) -> "Page":
        self.app.file_uploader[1].set_value(("mask.png", data, "image/png"))
        return self.run()

    def mark(self, *marks: dict[str, Any]) -> "Page":
        """Make these marks on the brush, in place of what was marked before."""
        self.app.session_state["brush"] = {"marks": {"rev": self.component("brush")["rev"], "marks": list(marks)}}
        return self.run()

    def press(self, label: str) -> "Page":
        button = next(button for button in self.app.button if button.label == label)
        assert not button.disabled
        button.click()
        return self.run()

    def choose(self, example: str, time: int = 1) -> "Page":
        self.app.session_state["gallery"] = {"chosen": {"name": example, "time": time}}
        return self.run()

    def component(self, name: str) -> dict[str, Any]:
        """What the brush, the viewer or the gallery was given; empty where it is not shown."""
        for element in self.app.get("bidi_component"):
            if element.proto.component_name == f"pixelrnn_{name}":
                return dict(json.loads(element.proto.json))
        return {}

    def file(self, name: str) -> bytes:
        return self._files[name]()

    def archive(self, name: str) -> dict[str, np.ndarray]:
        with zipfile.ZipFile(io.BytesIO(self.file(name))) as archive:
            return {entry: decode(archive.read(entry)) for entry in archive.namelist()}

    def text(self) -> str:
        parts = [*self.app.markdown, *self.app.caption, *self.app.error, *self.app.info, *self.app.warning]
        return "\n".join(
            [*(part.value.replace("\\", "") for part in parts), *(part.proto.body for part in self.app.get("html"))]
        )


BOX = {"tool": "box", "points": [2, 3, 12, 9]}
Start = Callable[..., Page]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Opens the page in an empty folder, on a machine without bundled weights, with these names after --weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(page, "bundled_weights", dict)
    monkeypatch.setattr(page, "TRAINED", (Path("outputs"),))
    files: dict[str, Callable[[], bytes]] = {}
    button = st.download_button

    def record(label: str, data: Callable[[], bytes], file_name: str, *rest: Any, **options: Any) -> bool:
        files[file_name] = data
        return button(label, data, file_name, *rest, **options)

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


def preview(url: str) -> np.ndarray:
    return decode(b64decode(url.partition(",")[2]))


def test_an_occluded_picture_is_completed_and_can_be_downloaded(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    assert "found to be covered" in shown.text()
    assert "80 × 60 pixels, completed in" in shown.text()
    completed, files = decode(shown.file("room_completed.png")), shown.archive("room.zip")
    assert list(files) == ["room_completed.png", "room_mask.png", "room_uncertainty.png"]
    mask = files["room_mask.png"]
    assert completed.shape == OCCLUDED.shape
    assert mask.shape == SQUARE.shape
    assert set(np.unique(mask)) == {0, 255}
    assert np.all(mask[SQUARE] == 255)
    assert np.array_equal(completed[mask == 0], OCCLUDED[mask == 0])
    assert np.all(completed[mask == 255] == 60)
    assert np.array_equal(files["room_completed.png"], completed)
    assert np.all(files["room_uncertainty.png"] == np.where(mask == 255, 51, 0))
    assert f"{100 * (mask == 255).mean():.3g}%" in shown.text()


def test_what_was_found_is_tinted_and_the_views_show_before_after_and_doubt(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    brush, viewer = shown.component("brush"), shown.component("viewer")
    tint = preview(brush["found"])[..., 1] > 0
    assert np.array_equal(tint, shown.archive("room.zip")["room_mask.png"] > 0)
    assert np.abs(preview(brush["image"]).astype(int) - OCCLUDED).mean() < 4
    assert np.abs(preview(viewer["before"]).astype(int) - OCCLUDED).mean() < 4
    assert np.abs(preview(viewer["after"])[SQUARE].astype(int) - 60).mean() < 4
    heat = preview(viewer["doubt"]).mean(2)
    assert heat[SQUARE].min() > heat[~grown(tint)].max()
    assert viewer["steps"] == 51


def grown(mask: np.ndarray) -> np.ndarray:
    """With the blocks of 8 pixels that JPEG smears it over."""
    blocks = mask[:56].reshape(7, 8, 10, 8).any((1, 3)).repeat(8, 0).repeat(8, 1)
    return np.pad(blocks, ((0, 4), (0, 0)), constant_values=True)


def test_a_real_network_completes_what_a_mask_marks(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "outputs" / "first" / "optimized_pixelrnn.safetensors", create_model("optimized_pixelrnn"), {})
    shown = start().upload(encode(OCCLUDED, "TIFF"), name="room.tif").give_mask(encode(SQUARE.astype(np.uint8) * 255))
    assert "marked as missing" in shown.text()
    files = shown.archive("room.zip")
    assert np.array_equal(files["room_completed.png"][~SQUARE], OCCLUDED[~SQUARE])
    assert np.array_equal(files["room_mask.png"] == 255, SQUARE)


def test_marks_are_completed_when_asked_for_and_what_was_found_stays(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    found = shown.archive("room.zip")["room_mask.png"] == 255
    shown.mark(BOX)
    assert stub.runs == 1
    assert "What is marked has changed since" in shown.text()
    shown.press("Complete")
    assert stub.runs == 2
    assert "has changed since" not in shown.text()
    marked = shown.archive("room.zip")["room_mask.png"] == 255
    assert np.all(marked[3:9, 2:12])
    assert np.array_equal(marked & ~found, draw_marks(np.zeros_like(found), [BOX]))
    assert np.all(decode(shown.file("room_completed.png"))[3:9, 2:12] == 60)


def test_marks_survive_a_rerun_and_other_weights_but_not_another_photograph(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth", "other one.pth").upload(encode(OCCLUDED)).mark(BOX).run()
    assert shown.component("brush")["marks"] == [BOX]
    shown.press("Complete").app.selectbox[0].select("other one.pth")
    shown.run()
    assert shown.component("brush")["marks"] == [BOX]
    assert np.all(decode(shown.file("room_completed.png"))[3:9, 2:12] == 90)
    shown.upload(encode(OCCLUDED[:, ::-1]))
    assert shown.component("brush")["marks"] == []
    assert "found to be covered" in shown.text()


def test_a_find_in_doubt_is_not_filled_in_but_offered_and_taken_with_a_tap(
    start: Start, stub: type[Stub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection.Region, "confidence", 0.4)
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    assert "Nothing was found for sure" in shown.text()
    assert stub.runs == 0
    (find,) = shown.component("brush")["finds"]
    assert not find["taken"]
    assert find["sure"] == 40
    x, y, width, height = find["box"]
    rows, columns = np.nonzero(SQUARE)
    assert (x, y, x + width, y + height) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    shown.mark({"tool": "find", "number": 0}).press("Complete")
    assert stub.runs == 1
    np.testing.assert_array_equal(shown.archive("room.zip")["room_mask.png"] == 255, SQUARE)


def test_a_sure_find_is_left_with_a_tap_and_taken_again_with_another(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    (find,) = shown.component("brush")["finds"]
    assert find["taken"]
    shown.mark({"tool": "find", "number": 0}, BOX).press("Complete")
    left = shown.archive("room.zip")["room_mask.png"] == 255
    np.testing.assert_array_equal(left, draw_marks(np.zeros_like(SQUARE), [BOX]))
    shown.mark({"tool": "find", "number": 0}, BOX, {"tool": "find", "number": 0}).press("Complete")
    np.testing.assert_array_equal(shown.archive("room.zip")["room_mask.png"] == 255, left | SQUARE)
    shown.mark({"tool": "find", "number": 1})
    assert "what was marked cannot be read" in shown.text()


def test_marks_that_no_brush_makes_are_refused_in_a_sentence(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    for marks in (
        [{"tool": "brush", "points": [1, 2]}],
        [{"tool": "box", "points": ["a", 2, 3, 4]}],
        [7],
        [BOX] * (MAX_MARKS + 1),
    ):
        assert "what was marked cannot be read" in shown.mark(*marks).text()
    shown.mark({"tool": "brush", "radius": float("nan"), "points": [1, 2]})
    assert "what was marked cannot be read" in shown.text()


def test_marks_are_drawn_where_they_were_made() -> None:
    found = np.zeros((60, 80), bool)
    found[50:, 70:] = True
    stroke = {"tool": "brush", "radius": 4, "points": [10, 30, 40, 30]}
    drawn = draw_marks(found, [stroke])
    yy, xx = np.mgrid[:60, :80] + 0.5
    distance = np.hypot(xx - np.clip(xx, 10, 40), yy - 30)
    assert np.all(drawn[distance < 3])
    assert not np.any(drawn[(distance > 5) & ~found])
    assert np.array_equal(draw_marks(found, [BOX, {"tool": "clear"}, stroke])[found], np.zeros(found.sum(), bool))
    assert np.array_equal(draw_marks(found, [BOX, {"tool": "clear"}, BOX, {"tool": "detect"}]), found)
    rubbed = draw_marks(found, [stroke, stroke | {"tool": "eraser", "radius": 6}])
    assert np.array_equal(rubbed, found)
    dot = draw_marks(found, [{"tool": "brush", "radius": 0.5, "points": [5.5, 5.5]}])
    assert dot[5, 5]
    assert np.argwhere(dot & ~found).max() < 8


def test_the_completion_is_not_repeated_until_its_input_changes(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth", "other one.pth").upload(encode(OCCLUDED)).run()
    assert stub.runs == 1
    shown.give_mask(encode(SQUARE))
    assert stub.runs == 2
    shown.app.selectbox[0].select("other one.pth").run()
    assert stub.runs == 3
    assert np.all(decode(shown.file("room_completed.png"))[SQUARE] == 90)
    assert "marked as missing" in shown.text()  # other weights keep the mask
    shown.upload(encode(OCCLUDED[:, ::-1]))
    assert stub.runs == 4
    assert "found to be covered" in shown.text()  # another picture does not


def test_candidates_are_offered_with_their_likelihoods_where_the_network_draws_samples(
    start: Start, stub: type[Stub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion.Completer, "can_sample", False)
    assert not start("seeing.pth").app.slider
    monkeypatch.setattr(completion.Completer, "can_sample", True)
    one = completion.Completer.__call__

    def several(self: completion.Completer, image: Any, mask: Any = None, samples: int = 1, seed: int = 0) -> Any:
        result = one(self, image, mask)
        shades = [np.where(result.mask[..., None], np.uint8(50 * n + seed), result.image) for n in range(1, samples + 1)]
        return replace(result, image=shades[0], samples=shades, log_likelihood=[-float(n) for n in range(1, samples + 1)])

    monkeypatch.setattr(completion.Completer, "__call__", several)
    st.cache_resource.clear()
    shown = start("seeing.pth")
    shown.app.slider[0].set_value(3).run()
    shown.app.number_input[0].set_value(5).run()
    shown.upload(encode(OCCLUDED))
    assert shown.app.segmented_control[0].options == ["1 (-1.00)", "2 (-2.00)", "3 (-3.00)"]
    assert np.all(decode(shown.file("room_completed.png"))[SQUARE] == 55)
    shown.app.segmented_control[0].select("2 (-2.00)").run()
    assert np.all(decode(shown.file("room_completed.png"))[SQUARE] == 105)
    assert "room_completed_3.png" in shown.archive("room.zip")
    st.cache_resource.clear()


def test_many_files_are_completed_and_one_that_is_broken_stops_none(start: Start, stub: type[Stub]) -> None:
    pictures = [OCCLUDED, OCCLUDED[:, ::-1], ROOM, OCCLUDED[::-1]]
    files = [encode(picture) for picture in pictures]
    shown = start("seeing.pth").upload(*files[:2], b"this is no picture", *files[2:])
    assert "**3 of 5** completed, 1 not." in shown.text()
    assert "not a picture" in shown.text()
    assert "left as it is" in shown.text()
    assert shown.text().count("filled in") == 3
    done = shown.archive("completed.zip")
    assert list(done) == ["room_completed.png", "room_completed_2.png", "room_completed_3.png"]
    for picture, completed in zip([pictures[0], pictures[1], pictures[3]], done.values(), strict=True):
        changed = (completed != picture).any(2)
        assert np.all(completed[changed] == 60)
        assert changed.sum() >= SQUARE.sum()
    assert stub.runs == 3
    shown.run()
    assert stub.runs == 3


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
    assert shown.component("viewer")["doubt"] is None


def test_a_picture_without_an_occlusion_is_said_to_have_none(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(ROOM))
    assert "Nothing painted over was found" in shown.text()
    shown.give_mask(encode(np.zeros((60, 80), np.uint8)))
    assert "The mask has no white in it" in shown.text()
    assert not shown.component("viewer")
    assert stub.runs == 0
    assert "marked as missing" in shown.mark(BOX).press("Complete").text()


def test_a_file_that_is_no_picture_is_named_in_a_sentence(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(b"this is no picture", name="![x](y) *notes*.jpg")
    assert shown.app.error[0].value.startswith(r"\!\[x\](y) \*notes\*.jpg")  # shown as it is, never as Markdown
    assert "![x](y) *notes*.jpg: not a picture. Expected a readable JPEG" in shown.text()


def test_a_mask_of_another_size_is_refused_with_both_sizes(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED)).give_mask(encode(SQUARE[:30]))
    assert "the mask is 80 x 30, the picture 80 x 60" in shown.text()
    assert not shown.component("viewer")


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
    assert not shown.upload(encode(OCCLUDED)).component("viewer")


def test_an_example_is_one_click_and_gives_way_to_an_upload(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth")
    names = [picture["name"] for picture in shown.component("gallery")["pictures"]]
    assert names == sorted(path.name for path in (APP.parent / "examples").glob("*.jpg"))
    shown.choose("window.jpg")
    assert "256 × 256 pixels" in shown.text()
    before, files = np.array(Image.open(APP.parent / "examples" / "window.jpg")), shown.archive("window.zip")
    known = files["window_mask.png"] == 0
    assert np.array_equal(files["window_completed.png"][known], before[known])
    assert "80 × 60 pixels" in shown.upload(encode(OCCLUDED)).text()
    assert "256 × 256 pixels" in shown.choose("window.jpg", 2).text()
    shown.choose("../pyproject.toml", 3)
    assert "256 × 256 pixels" in shown.text()


def test_a_picture_of_one_pixel_and_a_long_one_are_shown(start: Start, stub: type[Stub]) -> None:
    long = np.random.default_rng(0).integers(100, 256, (2, 4000, 3), dtype=np.uint8)
    long[:, 1000:1500] = 0
    shown = start("seeing.pth").upload(encode(long), name="long.png")
    assert decode(shown.file("long_completed.png")).shape == long.shape
    assert preview(shown.component("viewer")["after"]).shape == (1, 1280, 3)
    assert "Nothing painted over" in shown.upload(encode(long[:1, :1]), name="dot.png").text()


def test_too_large_a_picture_is_refused_before_it_is_decoded(
    start: Start, stub: type[Stub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MAX_PIXELS", 4000)
    monkeypatch.setattr(decoding, "as_rgb", lambda picture: pytest.fail("decoded"))
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    assert "room.png: 80 x 60 pixels, at most 0.004 megapixels are read" in shown.text()
    monkeypatch.setattr(intake, "MAX_BYTES", 1000)
    assert "at most 0 MB are read" in shown.upload(encode(OCCLUDED)).text()


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAKER = Image.Exif()
MAKER[271] = "ACME"
CUT = np.dstack([OCCLUDED, np.where(np.arange(60) < 10, 0, 255).astype(np.uint8)[:, None].repeat(80, 1)])
FILES = {
    "a transparent part": (Image.fromarray(CUT), "PNG", {}),
    "profile, EXIF and resolution": (
        Image.fromarray(OCCLUDED),
        "JPEG",
        {"icc_profile": SRGB, "exif": MAKER, "dpi": (300, 300)},
    ),
    "grey": (Image.fromarray(OCCLUDED).convert("L"), "PNG", {}),
    "16 bits": (Image.fromarray(np.asarray(Image.fromarray(OCCLUDED).convert("L")).astype(np.uint16) * 257), "PNG", {}),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_page_hands_out_the_very_file_that_the_command_writes(
    kind: str, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stub: type[Stub]
) -> None:
    image, form, options = FILES[kind]
    given = tmp_path / f"room.{form.lower()}"
    image.save(given, form, **options)
    shown = start("seeing.pth").upload(given.read_bytes(), name=given.name)
    monkeypatch.setattr(
        sys, "argv", ["pixelrnn", "complete", str(given), "-o", str(tmp_path / "b.png"), "--weights", "seeing.pth"]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert shown.file("room_completed.png") == (tmp_path / "b.png").read_bytes()
    if kind == "16 bits":
        assert "16 bits a channel were reduced to 8" in shown.text()
    if kind == "a transparent part":
        assert "transparent, or found to be covered" in shown.text()


def test_work_is_done_in_turn_and_one_that_fails_stops_none() -> None:
    worker, order = Worker(), []
    gate = Event()
    jobs = [worker.submit(lambda job: gate.wait())]
    jobs += [worker.submit(lambda job, n=n: order.append(n) or 1 // n) for n in (2, 0, 1)]
    assert [job.ahead() for job in jobs] == [0, 1, 2, 3]
    gate.set()
    assert jobs[3].result() == 1
    with pytest.raises(ZeroDivisionError):
        jobs[2].result()
    assert order == [2, 0, 1]
    assert [job.ahead() for job in jobs] == [0, 0, 0, 0]


def test_two_visitors_share_the_network_and_never_their_pictures(start: Start, stub: type[Stub]) -> None:
    first, second = start("seeing.pth"), start("seeing.pth")
    first.upload(encode(OCCLUDED))
    assert not second.run().component("brush")
    second.upload(encode(OCCLUDED[:, ::-1]))
    one, other = (preview(shown.run().component("brush")["image"]) for shown in (first, second))
    assert np.abs(one.astype(int) - OCCLUDED).mean() < 4
    assert np.abs(other.astype(int) - OCCLUDED[:, ::-1]).mean() < 4


def test_uploads_are_never_written(start: Start, stub: type[Stub], tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    start("seeing.pth").upload(encode(OCCLUDED)).give_mask(encode(SQUARE)).mark(BOX).press("Complete")
    assert set(tmp_path.rglob("*")) == before
