"""The page, driven without a browser."""

import io
import json
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import streamlit as st
from PIL import Image, ImageCms
from streamlit.testing.v1 import AppTest

from conftest import draw_room
from pixelrnn import decode as decoding
from pixelrnn.app import page, uploads
from pixelrnn.app.marks import MAX_MARKS, draw_marks
from pixelrnn.checkpoint import save
from pixelrnn.cli import main
from pixelrnn.inference import completer as completion
from pixelrnn.inference import detection
from pixelrnn.inference.backends import Output
from pixelrnn.models import create_model
from pixelrnn.queue import Worker
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
    """The running page, what the editor is told, and what it and the download buttons hand out."""

    def __init__(self, app: AppTest, files: dict[str, Callable[[], bytes]]) -> None:
        self.app, self._files = app, files
        self.document: dict[str, Any] = {}

    def run(self) -> "Page":
        """Until nothing is being done any more, as the editor asks again and again."""
        for _ in range(200):
            self.app.run()
            assert not self.app.exception
            if not self.told.get("busy"):
                return self
        raise AssertionError("it is busy for ever")

    def upload(self, *pictures: bytes, name: str = "room.png") -> "Page":
        self.app.file_uploader[0].set_value([(name, data, "image/png") for data in pictures])
        return self.run()

    def give_mask(self, data: bytes) -> "Page":
        self.app.file_uploader[1].set_value(("mask.png", data, "image/png"))
        return self.run()

    @property
    def told(self) -> dict[str, Any]:
        """What the editor is told; nothing where it is not shown."""
        return self._answer()[0]

    @property
    def pictures(self) -> dict[str, np.ndarray]:
        return {name: decode(data) for name, data in self._answer()[1].items()}

    def _answer(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        for element in self.app.get("bidi_component"):
            if element.proto.component_name == "pixelrnn_editor":
                data = element.proto.bytes
                start = 4 + int.from_bytes(data[:4], "big")
                told, pictures = json.loads(data[4:start]), {}
                for name, size in told["blobs"]:
                    pictures[name] = data[start : start + size]
                    start += size
                return told, pictures
        return {}, {}

    def send(self, *acts: dict[str, Any], **more: Any) -> "Page":
        """Send what the editor sends: its document, and these acts."""
        self._send(acts, more)
        return self.run()

    def _send(self, acts: Sequence[dict[str, Any]], more: dict[str, Any]) -> None:
        told = self.told
        numbered = [{"id": told["confirmed"] + number, **act} for number, act in enumerate(acts, 1)]
        doc = self.document or told["doc"]
        self.app.session_state["editor"] = {"sent": {"rev": told["rev"], "doc": doc, "acts": numbered, **more}}

    def mark(self, *marks: dict[str, Any]) -> "Page":
        """Make these marks in the step that is worked on, in place of what was marked before."""
        step = {"marks": list(marks), "key": str(crc32(repr(marks).encode())) if marks else "", "result": None, "sample": 0}
        doc = self.document or self.told["doc"]
        self.document = doc | {"steps": [*doc["steps"][: doc["at"]], step]}
        return self.send()

    def complete(self) -> "Page":
        return self.send({"kind": "complete"})

    def keep(self) -> "Page":
        """The result becomes what is worked on."""
        doc = self.document or self.told["doc"]
        step = doc["steps"][doc["at"]] | {"result": self.result["name"]}
        empty = {"marks": [], "key": "", "result": None, "sample": 0}
        self.document = {"steps": [*doc["steps"][: doc["at"]], step, empty], "at": doc["at"] + 1}
        return self.send()

    @property
    def chain(self) -> list[list[Any]]:
        """The steps that were kept."""
        doc = self.document or self.told["doc"]
        return [[step["result"], step["sample"]] for step in doc["steps"][: doc["at"]]]

    @property
    def result(self) -> dict[str, Any]:
        """That of what is marked, by the settings that are chosen; nothing where there is none."""
        doc = self.document or self.told.get("doc", {"steps": [{"key": ""}], "at": 0})
        key, chain = doc["steps"][doc["at"]]["key"], self.chain if doc["at"] else []
        fresh = [one for one in self.told.get("results", []) if one["own"] and one["key"] == key and one["chain"] == chain]
        return fresh[0] if fresh else {}

    def choose(self, example: str, time: int = 1) -> "Page":
        self.document = {}
        self.app.session_state["gallery"] = {"chosen": {"name": example, "time": time}}
        return self.run()

    def choose_weights(self, name: str) -> "Page":
        return self.send(weights=name)

    def component(self, name: str) -> dict[str, Any]:
        """What the gallery was given; empty where it is not shown."""
        for element in self.app.get("bidi_component"):
            if element.proto.component_name == f"pixelrnn_{name}":
                return dict(json.loads(element.proto.json))
        return {}

    def download(self, name: str) -> bytes:
        """What a download button of the page hands out."""
        return self._files[name]()

    def file(self, kind: str = "png", sample: int = 0) -> bytes:
        """What the editor hands out, in its parts; `name` of it is kept."""
        chain = [*self.chain, *([[self.result["name"], sample]] if self.result else [])]
        self.send({"kind": "file", "format": kind, "chain": chain})
        whole, told = b"", self.told["file"]
        while told is not None:
            whole += self._answer()[1]["file"]
            self.name = told["name"]
            self._send((), {"part": {"id": told["id"], "part": told["part"] + 1}})
            told = self.run().told["file"]
        return whole

    def archive(self, data: bytes | None = None) -> dict[str, np.ndarray]:
        with zipfile.ZipFile(io.BytesIO(self.file("zip") if data is None else data)) as archive:
            return {entry: decode(archive.read(entry)) for entry in archive.namelist()}

    def text(self) -> str:
        parts = [*self.app.markdown, *self.app.caption, *self.app.error, *self.app.info, *self.app.warning]
        words = [part.value.replace("\\", "") for part in parts] + [part.proto.body for part in self.app.get("html")]
        return "\n".join([*words, self.told.get("error", ""), self.result.get("told", "")])


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


def test_an_occluded_picture_is_completed_and_can_be_downloaded(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    assert "found to be covered" in shown.text()
    assert "80 × 60 pixels, completed in" in shown.text()
    completed, files = decode(shown.file()), shown.archive()
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


def test_the_views_show_the_detected_mask_the_completion_and_uncertainty(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    pictures, name = shown.pictures, shown.result["name"]
    tint = pictures["found"][..., 1] > 0
    assert np.array_equal(tint, shown.archive()["room_mask.png"] > 0)
    assert np.abs(pictures["photo"].astype(int) - OCCLUDED).mean() < 4
    assert np.abs(pictures[f"{name}.0"][SQUARE].astype(int) - 60).mean() < 4
    heat = pictures[f"{name}.doubt"].mean(2)
    assert heat[SQUARE].min() > heat[~grown(tint)].max()
    assert shown.result["largest"] == 51


def grown(mask: np.ndarray) -> np.ndarray:
    """With the blocks of 8 pixels that JPEG smears it over."""
    blocks = mask[:56].reshape(7, 8, 10, 8).any((1, 3)).repeat(8, 0).repeat(8, 1)
    return np.pad(blocks, ((0, 4), (0, 0)), constant_values=True)


def test_a_real_network_completes_what_a_mask_marks(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "outputs" / "first" / "optimized_pixelrnn.safetensors", create_model("optimized_pixelrnn"), {})
    shown = start().upload(encode(OCCLUDED, "TIFF"), name="room.tif").give_mask(encode(SQUARE.astype(np.uint8) * 255))
    assert "marked as missing" in shown.text()
    files = shown.archive()
    assert np.array_equal(files["room_completed.png"][~SQUARE], OCCLUDED[~SQUARE])
    assert np.array_equal(files["room_mask.png"] == 255, SQUARE)


def test_marks_are_completed_when_asked_for_and_what_was_found_stays(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    found = shown.archive()["room_mask.png"] == 255
    shown.mark(BOX)
    assert stub.runs == 1
    assert not shown.result
    shown.complete()
    assert stub.runs == 2
    assert "marked as missing" in shown.text()
    marked = shown.archive()["room_mask.png"] == 255
    assert np.all(marked[3:9, 2:12])
    assert np.array_equal(marked & ~found, draw_marks(np.zeros_like(found), [BOX]))
    assert np.all(decode(shown.file())[3:9, 2:12] == 60)
    assert shown.mark().result  # what was filled in for what is marked now is there at once
    assert stub.runs == 2


def test_marks_survive_a_rerun_and_new_weights_but_not_a_new_photograph(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth", "other one.pth").upload(encode(OCCLUDED)).mark(BOX).run()
    assert shown.told["doc"]["steps"][0]["marks"] == [BOX]
    shown.complete().choose_weights("other one.pth")
    assert shown.told["chosen"] == "other one.pth"
    assert shown.told["doc"]["steps"][0]["marks"] == [BOX]
    assert np.all(decode(shown.file())[3:9, 2:12] == 90)
    shown.document = {}
    shown.upload(encode(OCCLUDED[:, ::-1]))
    assert shown.told["doc"]["steps"] == [{"marks": [], "key": "", "result": None, "sample": 0}]
    assert "found to be covered" in shown.text()


def test_keeping_a_result_lets_the_next_fill_start_from_it(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    found = shown.archive()["room_mask.png"] == 255
    shown.keep()
    assert not shown.result
    np.testing.assert_array_equal(decode(shown.file())[~found], OCCLUDED[~found])  # what was kept is handed out
    other = {"tool": "box", "points": [60, 40, 76, 55]}
    shown.mark(BOX).complete().keep().mark(other).complete()
    assert stub.runs == 3
    files = shown.archive()
    boxes = draw_marks(np.zeros_like(found), [BOX, other])
    np.testing.assert_array_equal(files["room_mask.png"] == 255, found | boxes)
    np.testing.assert_array_equal(files["room_completed.png"][~(found | boxes)], OCCLUDED[~(found | boxes)])
    assert np.all(files["room_completed.png"][found | boxes] == 60)
    shown.document = shown.document | {"at": 1}  # undo, over two fills
    assert shown.send().result
    np.testing.assert_array_equal(shown.archive()["room_mask.png"] == 255, found | draw_marks(np.zeros_like(found), [BOX]))
    assert stub.runs == 3


@pytest.mark.parametrize(
    "doc",
    [
        None,
        {"steps": [], "at": 0},
        {"steps": [{"marks": [], "key": "", "sample": 0}], "at": 3},
        {"steps": [{"marks": [], "key": 5, "sample": 0}], "at": 0},
        {"steps": [{"marks": [], "key": "", "result": "r77", "sample": 0}] * 2, "at": 1},
    ],
)
def test_a_document_that_no_editor_makes_is_refused_in_a_sentence(doc: Any, start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    shown.document = {"steps": [{}], "at": 0}
    assert "cannot be read. Load the page again." in shown.send(doc=doc).told["error"]


@pytest.mark.parametrize(
    "more",
    [
        {"acts": [{"id": 9, "kind": "file", "format": "exe", "chain": [["r1", 0]]}]},
        {"acts": [{"id": 9, "kind": "file", "format": "png", "chain": [["r9", 0]]}]},
        {"acts": [{"id": 9, "kind": "file", "format": "png", "chain": [["r1", 5]]}]},
        {"acts": [{"id": 9, "kind": "file", "format": "png", "chain": [1]}]},
        {"acts": [7]},
        {"wants": [{"name": "a", "chain": [], "box": [1, 2], "width": 3}]},
        {"wants": [{"name": "a", "chain": [], "box": [1, 2, 3, float("inf")], "width": 3}]},
    ],
)
def test_what_no_editor_asks_for_is_refused_in_a_sentence(more: dict[str, Any], start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    assert "cannot be read. Load the page again." in shown.send(**more).told["error"]
    assert shown.send().result  # what there is stays


def test_a_part_is_cut_out_as_sharp_as_it_is_shown(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    name = shown.result["name"]
    cut = {"box": [20, 10, 40, 30], "width": 40}
    shown.send(wants=[{"name": "a", "chain": [], **cut}, {"name": "b", "chain": [[name, 0]], "box": cut["box"], "width": 20}])
    assert np.abs(shown.pictures["a"].astype(int) - OCCLUDED[10:40, 20:60]).mean() < 6
    assert shown.pictures["b"].shape == (15, 20, 3)
    assert shown.pictures["b"][8:12, 8:14].mean() == pytest.approx(60, abs=6)
    beyond = shown.send(wants=[{"name": "c", "chain": [], "box": [70, 50, 400, 300], "width": 9999}]).pictures["c"]
    assert beyond.shape == (10, 10, 3)


def test_a_find_in_doubt_is_not_filled_in_but_offered_and_taken_with_a_tap(
    start: Start, stub: type[Stub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection.Region, "confidence", 0.4)
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    assert not shown.result
    assert stub.runs == 0
    (find,) = shown.told["finds"]
    assert not find["taken"]
    assert find["sure"] == 40
    x, y, width, height = find["box"]
    rows, columns = np.nonzero(SQUARE)
    assert (x, y, x + width, y + height) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    shown.mark({"tool": "find", "number": 0}).complete()
    assert stub.runs == 1
    np.testing.assert_array_equal(shown.archive()["room_mask.png"] == 255, SQUARE)


def test_a_find_that_is_likely_but_not_sure_waits_to_be_accepted(
    start: Start, stub: type[Stub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection.Region, "confidence", 0.7)
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    assert stub.runs == 0
    assert [find["taken"] for find in shown.told["finds"]] == [True]
    shown.complete()
    assert stub.runs == 1
    assert "found to be covered" in shown.text()


def test_a_sure_find_is_left_with_a_tap_and_taken_again_with_another(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    (find,) = shown.told["finds"]
    assert find["taken"]
    shown.mark({"tool": "find", "number": 0}, BOX).complete()
    left = shown.archive()["room_mask.png"] == 255
    np.testing.assert_array_equal(left, draw_marks(np.zeros_like(SQUARE), [BOX]))
    shown.mark({"tool": "find", "number": 0}, BOX, {"tool": "find", "number": 0}).complete()
    np.testing.assert_array_equal(shown.archive()["room_mask.png"] == 255, left | SQUARE)
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
    shown.choose_weights("other one.pth")
    assert stub.runs == 3
    assert np.all(decode(shown.file())[SQUARE] == 90)
    assert "marked as missing" in shown.text()  # other weights keep the mask
    shown.upload(encode(OCCLUDED[:, ::-1]))
    assert stub.runs == 4
    assert "found to be covered" in shown.text()  # another picture does not


def test_samples_and_likelihoods_are_offered_if_the_network_can_sample(
    start: Start, stub: type[Stub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion.Completer, "can_sample", False)
    assert not start("seeing.pth").app.slider
    monkeypatch.setattr(completion.Completer, "can_sample", True)
    one = completion.Completer.__call__

    def several(self: completion.Completer, image: Any, mask: Any = None, samples: int = 1, seed: int = 0, **how: Any) -> Any:
        result = one(self, image, mask)
        shades = [np.where(result.mask[..., None], np.uint8(50 * n + seed), result.image) for n in range(1, samples + 1)]
        return replace(result, image=shades[0], samples=shades, log_likelihood=[-float(n) for n in range(1, samples + 1)])

    monkeypatch.setattr(completion.Completer, "__call__", several)
    st.cache_resource.clear()
    shown = start("seeing.pth")
    shown.app.slider[0].set_value(3).run()
    shown.app.number_input[0].set_value(5).run()
    shown.upload(encode(OCCLUDED))
    assert shown.result["likelihoods"] == [-1, -2, -3]
    assert {f"{shown.result['name']}.{sample}" for sample in range(3)} <= set(shown.pictures)
    assert np.all(decode(shown.file())[SQUARE] == 55)
    assert np.all(decode(shown.file(sample=1))[SQUARE] == 105)
    assert "room_completed_3.png" in shown.archive()
    st.cache_resource.clear()


def test_many_files_are_completed_and_one_that_is_broken_stops_none(start: Start, stub: type[Stub]) -> None:
    pictures = [OCCLUDED, OCCLUDED[:, ::-1], ROOM, OCCLUDED[::-1]]
    files = [encode(picture) for picture in pictures]
    shown = start("seeing.pth").upload(*files[:2], b"this is no picture", *files[2:])
    assert "**3 of 5** completed, 1 not." in shown.text()
    assert "not a picture" in shown.text()
    assert "left as it is" in shown.text()
    assert shown.text().count("filled in") == 3
    done = shown.archive(shown.download("completed.zip"))
    assert list(done) == ["room_completed.png", "room_completed_2.png", "room_completed_3.png"]
    for picture, completed in zip([pictures[0], pictures[1], pictures[3]], done.values(), strict=True):
        changed = (completed != picture).any(2)
        assert np.all(completed[changed] == 60)
        assert changed.sum() >= SQUARE.sum()
    assert stub.runs == 3
    shown.run()
    assert stub.runs == 3


def test_trained_weights_are_listed_before_the_named_ones(start: Start, stub: type[Stub]) -> None:
    trained = [
        "outputs/b/a/optimized_pixelrnn.pth",
        "outputs/a/optimized_pixelrnn.pth",
        "outputs/optimized_pixelrnn.safetensors",
    ]
    for name in (*trained, "outputs/a/epoch.ckpt", "outputs/optimized_pixelrnn.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    shown = start("seeing.pth", trained[0]).upload(encode(OCCLUDED))
    assert shown.told["chosen"] == "seeing.pth"
    # a short label, but the whole path where two would look alike
    assert [label for _, label in shown.told["weights"]] == [trained[1], trained[0], "outputs (safetensors)", "seeing.pth"]
    assert shown.choose_weights(trained[2]).told["chosen"] == trained[2]


def test_bundled_weights_have_the_names_of_the_command(start: Start, stub: type[Stub], monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["bedrooms-expected", "bedrooms-sharp"]
    monkeypatch.setattr(page, "bundled_weights", lambda: dict.fromkeys(names, Path("seeing.pth")))
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    assert shown.told["weights"] == [[names[0], "expected"], [names[1], "sharp"], ["seeing.pth", "seeing.pth"]]


def test_weights_without_a_detector_name_the_weights_that_found_the_mask(start: Start, stub: type[Stub]) -> None:
    shown = start("plain.pth").upload(encode(OCCLUDED))
    assert f"These weights cannot find what is missing; the weights “{DEFAULT}” found it" in shown.text()
    assert not shown.result["doubt"]


def test_where_nothing_is_found_the_brush_is_all_there_is(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(ROOM))
    assert (shown.told["finds"], shown.told["results"], shown.told["source"]) == ([], [], "detected")
    assert "Nothing is marked, so there is nothing to fill in" in shown.complete().told["error"]
    shown.give_mask(encode(np.zeros((60, 80), np.uint8)))
    assert (shown.told["results"], shown.told["source"]) == ([], "given")
    assert stub.runs == 0
    assert "marked as missing" in shown.mark(BOX).complete().text()


def test_a_file_that_is_no_picture_is_named_in_a_sentence(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(b"this is no picture", name="![x](y) *notes*.jpg")
    assert shown.told["error"].startswith("![x](y) *notes*.jpg: not a picture. Expected a readable JPEG")
    assert "![x](y)" not in "".join(part.value for part in shown.app.markdown)  # text in the editor, never Markdown


def test_a_mask_of_another_size_is_refused_with_both_sizes(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth").upload(encode(OCCLUDED)).give_mask(encode(SQUARE[:30]))
    assert "the mask is 80 x 30, the picture 80 x 60" in shown.text()
    assert shown.told["rev"] is None


def test_weights_that_cannot_be_read_are_named_in_a_sentence(start: Start, tmp_path: Path) -> None:
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    shown = start("broken.pth", "nowhere.pth").upload(encode(OCCLUDED))
    assert "broken.pth: not a plain state dict" in shown.text()
    next(box for box in shown.app.selectbox if box.label == "Fill").select("nowhere.pth").run()
    assert not shown.app.exception
    assert "nowhere.pth: no such weights" in shown.text()


def test_without_weights_the_page_says_how_to_train(start: Start) -> None:
    shown = start()
    assert "There are no weights yet" in shown.text()
    assert "python train.py" in shown.text()
    assert not shown.upload(encode(OCCLUDED)).told


def test_an_example_is_one_click_and_gives_way_to_an_upload(start: Start, stub: type[Stub]) -> None:
    shown = start("seeing.pth")
    names = [picture["name"] for picture in shown.component("gallery")["pictures"]]
    assert names == sorted(path.name for path in (APP.parent / "examples").glob("*.jpg"))
    shown.choose("window.jpg")
    assert "256 × 256 pixels" in shown.text()
    before, files = np.array(Image.open(APP.parent / "examples" / "window.jpg")), shown.archive()
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
    assert decode(shown.file()).shape == long.shape
    assert shown.name == "long_completed.png"
    assert shown.pictures[f"{shown.result['name']}.0"].shape == (1, 1280, 3)
    assert not shown.upload(encode(long[:1, :1]), name="dot.png").result
    assert shown.told["size"] == [1, 1]


def test_too_large_a_picture_is_refused_before_it_is_decoded(
    start: Start, stub: type[Stub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MAX_PIXELS", 4000)
    monkeypatch.setattr(decoding, "as_rgb", lambda picture: pytest.fail("decoded"))
    shown = start("seeing.pth").upload(encode(OCCLUDED))
    assert "room.png: 80 x 60 pixels, at most 0.004 megapixels are read" in shown.text()
    monkeypatch.setattr(uploads, "MAX_BYTES", 1000)
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
    assert shown.file() == (tmp_path / "b.png").read_bytes()
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
    assert not second.run().told
    second.upload(encode(OCCLUDED[:, ::-1]))
    one, other = (shown.run().pictures["photo"] for shown in (first, second))
    assert np.abs(one.astype(int) - OCCLUDED).mean() < 4
    assert np.abs(other.astype(int) - OCCLUDED[:, ::-1]).mean() < 4


def test_uploads_are_never_written(start: Start, stub: type[Stub], tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    start("seeing.pth").upload(encode(OCCLUDED)).give_mask(encode(SQUARE)).mark(BOX).complete()
    assert set(tmp_path.rglob("*")) == before
