"""The page of `web/`: a folder of files that completes pictures in the browser as the command does, and asks nobody else."""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from browsing import encode, expect
from conftest import OCCLUDED
from pixelrnn.cli import main
from pixelrnn.decode import read_picture
from pixelrnn.inference.completer import Completer
from web_page import Guest, build, hand_out

if shutil.which("npm") is None and not os.environ.get("CI"):
    pytest.skip("no npm on the path: apt-get install npm", allow_module_level=True)
pytestmark = pytest.mark.slow
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.jpg"))
Come = Callable[..., Guest]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("web") / "page")


@pytest.fixture(scope="module")
def home(folder: Path) -> Iterator[str]:
    with hand_out(folder) as address:
        yield address


@pytest.fixture
def come(chromium: Any, home: str) -> Iterator[Come]:
    """Opens the page for one person more; nobody's may ask another host, or complain."""
    guests: list[Guest] = []

    def opened(address: str = home, **options: Any) -> Guest:
        guests.append(Guest(chromium, address, **options))
        return guests[-1].come()

    yield opened
    for guest in guests:
        guest.context.close()
    assert [complaint for guest in guests for complaint in guest.complaints] == []


def jpeg(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92, **options)
    return buffer.getvalue()


BOX = np.zeros((256, 256), bool)
BOX[90:167, 80:157] = True


def test_a_mask_is_filled_as_the_command_fills_it(come: Come, rooms: list[np.ndarray], tmp_path: Path) -> None:
    picture, mask, done = tmp_path / "room.png", tmp_path / "mask.png", tmp_path / "done.png"
    picture.write_bytes(encode(rooms[1]))
    mask.write_bytes(encode(BOX.astype(np.uint8) * 255))
    with pytest.raises(SystemExit) as ended:
        main(["complete", str(picture), "--mask", str(mask), "--no-detail", "-o", str(done)])
    assert not ended.value.code
    guest = come()
    assert guest.give("file", "room.png", picture.read_bytes()).startswith("Nothing that is painted over was found.")
    assert guest.give("mask", "mask.png", mask.read_bytes()) == "The mask is read. Press Complete."
    assert np.array_equal(guest.marked(), BOX)
    assert guest.press("Complete").startswith("Done: 9.0% of the photograph was filled in")
    expected, found = read_picture(done).pixels.astype(int), guest.download()
    assert np.array_equal(found[~BOX][:, :3], rooms[1][~BOX])
    assert (found[..., 3] == 255).all()
    assert np.abs(found[..., :3] - expected).max() <= 2
    assert np.abs(found[BOX][:, :3].astype(int) - rooms[1][BOX]).max() > 2


def test_what_is_painted_over_is_found_as_the_command_finds_it(come: Come) -> None:
    guest, completer, kept = come(), Completer.from_pretrained(), 0
    for path in EXAMPLES:
        picture = read_picture(path).pixels
        expected = completer(picture, detail=False)
        said = guest.give("file", path.name, path.read_bytes())
        assert said.startswith("Done: " if expected.mask.any() else "Nothing that is painted over was found."), path.name
        either = guest.marked() | expected.mask
        assert (guest.marked() & expected.mask).sum() >= 0.999 * either.sum()
        if either.any():
            found, kept = guest.download()[..., :3], kept + 1
            assert np.array_equal(found[~guest.marked()], picture[~guest.marked()])
            assert np.abs(found.astype(int) - expected.image).mean() < 0.2
    assert kept >= 5


def test_in_a_large_photograph_paint_is_found_and_nothing_else_changes(come: Come, rooms: list[np.ndarray]) -> None:
    picture = np.array(Image.fromarray(rooms[0]).resize((1600, 1200), Image.Resampling.BICUBIC))
    picture = np.clip(picture + np.random.default_rng(0).normal(0, 5, (1200, 1600, 1)), 0, 255).astype(np.uint8)
    picture[300:620, 400:800] = (200, 30, 40)
    expected = Completer.from_pretrained().detect(picture).tinted
    guest = come()
    assert guest.give("file", "large.png", encode(picture)).startswith("Done: ")
    mask = guest.marked()
    assert mask[300:620, 400:800].all()
    assert (mask & expected).sum() >= 0.99 * (mask | expected).sum()
    assert np.array_equal(guest.download()[..., :3][~mask], picture[~mask])


def test_two_holes_are_each_filled_from_what_lies_around(come: Come, rooms: list[np.ndarray]) -> None:
    mask = np.zeros((256, 256), bool)
    mask[20:50, 30:60] = mask[190:230, 180:240] = True
    guest = come()
    guest.give("file", "room.png", encode(rooms[1]))
    guest.give("mask", "mask.png", encode(mask.astype(np.uint8) * 255))
    assert guest.press("Complete").startswith("Done: ")
    expected = Completer.from_pretrained()(rooms[1], mask, detail=False).image
    assert np.abs(guest.download()[..., :3].astype(int) - expected).max() <= 2


def test_brush_eraser_undo_and_clear_mark_as_they_say(come: Come, rooms: list[np.ndarray]) -> None:
    guest = come()
    guest.give("file", "room.png", encode(rooms[1]))
    guest.drag((0.3, 0.5), (0.7, 0.5))
    stroke = guest.marked()
    rows, columns = np.nonzero(stroke)
    assert abs(rows.mean() - 128) < 3
    assert columns.min() < 77 < 179 < columns.max()
    guest.page.locator("[name=tool][value=eraser]").check(force=True)
    guest.drag((0.5, 0.3), (0.5, 0.7))
    assert not guest.marked()[128, 128]
    guest.page.get_by_role("button", name="Undo").click()
    assert np.array_equal(guest.marked(), stroke)
    guest.page.get_by_role("button", name="Clear").click()
    assert not guest.marked().any()
    guest.page.get_by_role("button", name="Undo").click()
    assert guest.press("Complete").startswith("Done: ")
    found = guest.download()[..., :3]
    assert np.array_equal(found[~stroke], rooms[1][~stroke])
    assert (found[stroke] != rooms[1][stroke]).any()


def test_keys_alone_mark_and_complete(come: Come, rooms: list[np.ndarray]) -> None:
    guest = come()
    guest.give("file", "room.png", encode(rooms[1]))
    guest.page.locator("#stage").focus()
    for key in ("ArrowRight", "Shift+ArrowDown", " "):
        guest.page.keyboard.press(key)
    rows, columns = np.nonzero(guest.marked())
    assert (round(rows.mean() / 256, 1), round(columns.mean() / 256, 2)) == (0.6, 0.52)
    guest.page.locator("#complete").focus()
    guest.page.keyboard.press("Enter")
    assert guest.wait().startswith("Done: ")


def test_on_a_phone_a_finger_marks_and_nothing_is_wider_than_the_screen(come: Come, rooms: list[np.ndarray]) -> None:
    guest = come(width=400, height=800, has_touch=True, is_mobile=True, device_scale_factor=2)
    guest.give("file", "room.png", encode(rooms[1]))
    guest.swipe((0.3, 0.4), (0.4, 0.4), (0.6, 0.4))
    marked = guest.marked()
    assert marked[102, 80:150].all()
    assert guest.press("Complete").startswith("Done: ")
    assert np.array_equal(guest.download()[..., :3][~marked], rooms[1][~marked])
    assert guest.page.evaluate("document.documentElement.scrollWidth") <= 400


def test_orientation_and_transparency_are_taken_as_the_command_takes_them(come: Come, rooms: list[np.ndarray]) -> None:
    exif = Image.Exif()
    exif[274] = 6
    wide = jpeg(rooms[1][:200], exif=exif)
    clear = np.dstack([rooms[3], np.where(OCCLUDED, 0, 255).astype(np.uint8)])
    guest = come()
    guest.give("file", "turned.jpg", wide)
    guest.drag((0.5, 0.5), (0.6, 0.5))
    guest.press("Complete")
    upright, mask = read_picture(io.BytesIO(wide)).pixels, guest.marked()
    assert upright.shape[:2] == mask.shape == (256, 200)
    assert np.array_equal(guest.download()[..., :3][~mask], upright[~mask])
    assert guest.give("file", "clear.png", encode(clear)).startswith("Done: ")
    assert np.array_equal(guest.marked(), OCCLUDED)
    assert np.array_equal(guest.download()[..., :3][~OCCLUDED], rooms[3][~OCCLUDED])


def test_a_picture_that_says_it_is_srgb_keeps_its_pixels(come: Come, occluded: list[np.ndarray]) -> None:
    data = jpeg(occluded[0], icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    guest = come()
    assert guest.give("file", "room.jpg", data).startswith("Done: ")
    mask = guest.marked()
    assert np.array_equal(guest.download()[..., :3][~mask], read_picture(io.BytesIO(data)).pixels[~mask])


def test_what_cannot_be_read_is_told_in_one_line_and_what_was_open_stays(
    come: Come, rooms: list[np.ndarray], tmp_path: Path
) -> None:
    guest = come()
    guest.give("file", "room.png", encode(rooms[1]))
    buffer = io.BytesIO()
    Image.new("L", (6000, 5000)).save(buffer, "PNG")
    broken = "note.png is not a picture that this browser can read. Give a JPEG, PNG or WebP."
    large = "huge.png has 6000 x 5000 pixels; at most 24 megapixels are completed here. Give a smaller one."
    assert guest.give("file", "note.png", b"no picture") == broken
    assert guest.give("file", "huge.png", buffer.getvalue()) == large
    (tmp_path / "long.jpg").write_bytes(bytes(51 * 2**20))
    guest.page.locator("#file").set_input_files(tmp_path / "long.jpg")
    assert guest.wait() == "long.jpg has 51 MB; at most 50 are read. Give a smaller file."
    said = guest.give("mask", "mask.png", encode(np.full((9, 7), 255, np.uint8)))
    assert said == "the mask is 7 x 9, the picture 256 x 256. Give a mask of that size."
    assert guest.give("mask", "mask.png", encode(np.zeros((256, 256), np.uint8))).startswith("mask.png marks nothing.")
    guest.drag((0.3, 0.5), (0.4, 0.5))
    assert guest.press("Complete").startswith("Done: ")


def test_dropped_pasted_and_the_example_are_opened(come: Come, occluded: list[np.ndarray]) -> None:
    guest = come()
    assert guest.press("Try an example").startswith("Done: ")
    script = """([kind, bytes]) => {
        const files = new DataTransfer(), event = { bubbles: true, cancelable: true };
        files.items.add(new File([new Uint8Array(bytes)], `${kind}.png`, { type: "image/png" }));
        const given = kind === "paste" ? { clipboardData: files } : { dataTransfer: files };
        document.body.dispatchEvent(new (kind === "paste" ? ClipboardEvent : DragEvent)(kind, { ...event, ...given }));
    }"""
    for kind in ("paste", "drop"):
        guest.page.evaluate(script, [kind, list(encode(occluded[0]))])
        assert guest.wait().startswith("Done: ")
        assert np.array_equal(guest.marked(), OCCLUDED)


def test_a_browser_without_webassembly_is_told_so(chromium: Any, home: str) -> None:
    guest = Guest(chromium, home)
    guest.page.add_init_script("delete window.WebAssembly")
    guest.page.goto(home)
    expect(guest.page.locator("#status")).to_contain_text("has no WebAssembly")
    guest.context.close()


def test_with_a_file_missing_the_page_says_which(chromium: Any, folder: Path, tmp_path: Path) -> None:
    partly = tmp_path / "partly"
    shutil.copytree(folder, partly, ignore=shutil.ignore_patterns("pipeline.onnx"))
    with hand_out(partly) as address:
        guest = Guest(chromium, address)
        guest.page.goto(address)
        assert guest.wait().startswith("pipeline.onnx could not be loaded.")
        guest.context.close()


def test_threads_where_the_server_allows_them_change_no_pixel(come: Come, folder: Path, occluded: list[np.ndarray]) -> None:
    pictures = []
    with hand_out(folder, isolated=True) as isolated:
        for guest in (come(), come(address=isolated)):
            guest.give("file", "room.png", encode(occluded[0]))
            pictures.append(guest.download().astype(int))
        assert guest.page.evaluate("crossOriginIsolated")
        guest.page.close()
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_the_folder_names_no_other_host(folder: Path) -> None:
    own = [path for path in folder.iterdir() if path.suffix in {".html", ".css", ".js", ".json"}]
    assert len(own) >= 8
    assert not [path.name for path in own if "://" in path.read_text(encoding="utf-8")]
