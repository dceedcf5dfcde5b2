"""The page, driven in a real browser on rooms that our own code renders."""

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixelrnn.rooms import render_bedroom

pytestmark = pytest.mark.slow

try:
    from browser import Visit, decode, encode, find_browser, launch, serve
except ModuleNotFoundError as missing:  # playwright
    if os.environ.get("CI"):
        raise
    pytest.skip(f"{missing}: pip install -r requirements.txt", allow_module_level=True)
if find_browser() is None and not os.environ.get("CI"):
    pytest.skip("no Chromium on the path: apt-get install chromium", allow_module_level=True)

SQUARE = np.zeros((256, 256), bool)
SQUARE[60:130, 40:110] = True
Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def rooms() -> list[np.ndarray]:
    """Bedrooms without anything in the way."""
    return [render_bedroom(np.random.default_rng(seed), 256) for seed in (310, 301, 314, 308)]


@pytest.fixture(scope="module")
def occluded(rooms: list[np.ndarray]) -> list[np.ndarray]:
    """The same, with a black square."""
    return [room * ~SQUARE[..., None] for room in rooms]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serve() as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    if find_browser() is None:
        pytest.fail("no Chromium on the path, and this is CI: apt-get install chromium")
    with launch() as browser:
        yield browser


@pytest.fixture
def visit(browser: object, address: str) -> Iterator[Open]:
    """Opens the page for one person more; at the end nobody's console may hold an error or a request to another host."""
    visits: list[Visit] = []

    def come(**options: object) -> Visit:
        visits.append(Visit(browser, address, **options))
        return visits[-1]

    yield come
    for one in visits:
        one.close()
    assert [complaint for one in visits for complaint in one.complaints] == []


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of the main states go: PIXELRNN_SCREENSHOTS, or pytest's own folder for temporary files."""
    folder = os.environ.get("PIXELRNN_SCREENSHOTS")
    return Path(folder) if folder else tmp_path_factory.mktemp("page")


def unpack(archive: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        return {name: decode(files.read(name)) for name in files.namelist()}


def test_a_photograph_is_marked_with_the_mouse_completed_and_downloaded(
    visit: Open, occluded: list[np.ndarray], screenshots: Path
) -> None:
    me = visit()
    me.page.screenshot(path=screenshots / "start.png")
    me.upload(("room.png", encode(occluded[0])))
    me.wait_for_completion()
    found = me.tint()
    assert (found & SQUARE).sum() / (found | SQUARE).sum() > 0.9
    me.page.screenshot(path=screenshots / "completed.png")

    me.drag((0.6, 0.5), (0.9, 0.5))
    with_stroke = me.tint()
    assert with_stroke[128, 160:225].all()
    assert not with_stroke[100, 160:225].any()
    assert np.array_equal(with_stroke & SQUARE, found & SQUARE)
    me.wait_for("has changed since")
    me.choose("Eraser")
    me.drag((0.8, 0.3), (0.8, 0.7))
    assert not me.tint()[128, 203:207].any()
    me.press("Undo")
    assert np.array_equal(me.tint(), with_stroke)
    me.press("Redo")
    erased = me.tint()
    assert not erased[128, 203:207].any()
    me.complete()

    completed, files = decode(me.download("Download PNG")), unpack(me.download("Download all (ZIP)"))
    mask = files["room_mask.png"] == 255
    assert np.array_equal(completed, files["room_completed.png"])
    assert np.array_equal(completed[~mask], occluded[0][~mask])
    assert completed[mask].min() > 0
    assert (occluded[0][mask] != completed[mask]).any(axis=1).mean() > 0.9
    assert (mask & erased).sum() / (mask | erased).sum() > 0.97  # the canvas draws soft edges
    assert set(files) == {"room_completed.png", "room_mask.png", "room_uncertainty.png"}
    assert not files["room_uncertainty.png"][~mask].any()


def test_what_was_found_is_left_and_taken_again_with_its_button(visit: Open, occluded: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(occluded[0])))
    me.wait_for_completion()
    found = me.tint()
    button = me.page.locator(".find button").first
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    me.wait_for("has changed since")
    assert not me.tint()[SQUARE].any()
    assert button.get_attribute("aria-pressed") == "false"
    me.drag((0.6, 0.9), (0.9, 0.9))  # strokes go on beside it
    button.focus()
    me.page.keyboard.press("Enter")
    tint = me.tint()
    assert (tint[SQUARE] == found[SQUARE]).all()
    assert tint[230, 170:220].all()
    me.press("Undo")
    assert not me.tint()[SQUARE].any()
    me.complete()
    assert not (unpack(me.download("Download all (ZIP)"))["room_mask.png"][SQUARE]).any()


def test_box_clear_and_detect_again_do_what_they_say(visit: Open, occluded: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(occluded[1])))
    me.wait_for_completion()
    found = me.tint()
    me.press("Clear")
    assert not me.tint().any()
    me.wait_for("Nothing is marked")
    me.choose("Box")
    me.drag((0.5, 0.5), (0.75, 0.625))
    box = me.tint()
    assert box[130:158, 130:190].all()
    assert abs(int(box.sum()) - 64 * 32) < 200
    me.press("Undo")
    me.press("Undo")
    assert np.array_equal(me.tint(), found)
    me.press("Redo")
    me.press("Detect again")
    assert np.array_equal(me.tint(), found)


def test_strokes_survive_a_rerun_and_a_new_photograph_does_not_inherit_them(visit: Open, occluded: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(occluded[0])))
    me.wait_for_completion()
    me.drag((0.6, 0.5), (0.9, 0.6))
    marked = me.tint()
    me.complete()
    me.press("Settings")
    me.page.get_by_role("combobox", name="How to fill").click()
    me.page.get_by_role("option", name="Expected").click()
    me.page.keyboard.press("Escape")
    me.wait_for_completion()
    assert np.array_equal(me.tint(), marked)
    me.page.get_by_text("Choose another photograph").click()
    me.page.get_by_role("button", name="Window").click()
    me.wait_for("found to be covered")
    assert not me.tint()[128:154, 0:100].any()
    assert me.page.get_by_role("button", name="Undo").is_disabled()


def test_a_finger_marks_on_a_phone_and_nothing_is_cut_off(visit: Open, occluded: list[np.ndarray], screenshots: Path) -> None:
    me = visit(width=400, height=800, has_touch=True, is_mobile=True, device_scale_factor=2)
    me.page.screenshot(path=screenshots / "phone_start.png")
    me.upload(("room.png", encode(occluded[2])))
    me.wait_for_completion()
    me.swipe((0.6, 0.6), (0.7, 0.6), (0.8, 0.62), (0.9, 0.6))
    assert me.tint()[154:158, 160:225].all()
    me.complete()
    assert me.page.evaluate("document.documentElement.scrollWidth") <= 400
    me.page.screenshot(path=screenshots / "phone.png", full_page=True)
    mask = unpack(me.download("Download all (ZIP)"))["room_mask.png"] == 255
    assert mask[155, 165:220].all()


def test_the_keyboard_alone_marks_and_views(visit: Open, occluded: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(occluded[0])))
    me.wait_for_completion()
    found = me.tint()
    me.page.locator("input[value=brush]").focus()
    for _ in range(20):
        if me.page.evaluate("document.activeElement.shadowRoot?.activeElement?.classList.contains('stage') ?? false"):
            break
        me.page.keyboard.press("Tab")
    for key in ("]", "]", "ArrowRight", "ArrowRight", "Space"):
        me.page.keyboard.press(key)
    assert me.tint().sum() > found.sum()
    me.wait_for("has changed since")
    me.page.keyboard.press("Control+z")
    assert np.array_equal(me.tint(), found)
    me.page.keyboard.press("r")
    for key in ("Space", "ArrowDown", "ArrowRight", "Space"):
        me.page.keyboard.press(key)
    assert me.tint().sum() > found.sum()


def test_every_control_has_a_name(visit: Open, occluded: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(occluded[0])))
    me.wait_for_completion()
    nameless = me.page.evaluate("""() => {
        const all = [], visit = (root) => root.querySelectorAll("*").forEach((element) => {
            if (element.matches("button, input, select, textarea, [role=button]")) all.push(element);
            if (element.shadowRoot) visit(element.shadowRoot);
        });
        visit(document);
        const label = (element) => element.ariaLabel || element.title || element.textContent.trim()
            || [...(element.labels ?? [])].map((each) => each.textContent.trim()).join("");
        return all.filter((element) => element.checkVisibility() && !label(element)).map((element) => element.outerHTML);
    }""")
    assert nameless == []


def test_the_views_show_before_after_doubt_and_details(visit: Open, occluded: list[np.ndarray], screenshots: Path) -> None:
    me = visit(color_scheme="dark")
    me.upload(("room.png", encode(occluded[3])))
    me.wait_for_completion()
    me.choose("Slider")
    me.page.get_by_label("Border between before and after").fill("250")
    assert me.page.locator(".layer.top").evaluate("layer => layer.style.clipPath").startswith("inset(0px 0px 0px 25%")
    me.page.screenshot(path=screenshots / "slider_dark.png")
    me.press("Zoom in")
    assert "scale(1.5)" in str(me.page.locator("img.after").get_attribute("style"))
    me.choose("Uncertainty")
    heat = me.page.locator("img.doubt")
    assert heat.is_visible()
    assert me.page.get_by_text("grey levels").is_visible()
    me.page.screenshot(path=screenshots / "uncertainty_dark.png")
    red, green, blue = me.page.evaluate(
        "getComputedStyle(document.querySelector('.stApp')).backgroundColor.match(/\\d+/g).map(Number)"
    )
    assert max(red, green, blue) < 60


def test_candidates_differ_in_the_hole_and_the_chosen_one_is_downloaded(
    visit: Open, occluded: list[np.ndarray], screenshots: Path
) -> None:
    me = visit()
    me.upload(("room.png", encode(occluded[0])))
    me.wait_for_completion()
    me.page.get_by_role("button", name="Settings").click()
    number = me.page.get_by_role("slider", name="Number of candidates")
    number.press("ArrowRight")
    me.page.keyboard.press("Escape")
    me.page.get_by_text("Candidate", exact=True).wait_for()
    me.wait_for_rest()
    me.page.screenshot(path=screenshots / "candidates.png")
    files = unpack(me.download("Download all (ZIP)"))
    mask = files["room_mask.png"] > 0
    first, second = (files[f"room_completed{end}.png"] for end in ("", "_2"))
    assert (first[mask] != second[mask]).any()
    for one in (first, second):
        assert np.array_equal(one[~mask], occluded[0][~mask])
    me.page.get_by_role("radio", name="2 (").click()
    me.wait_for_rest()
    assert np.array_equal(decode(me.download("Download PNG")), second)


def test_a_batch_with_a_broken_file_completes_the_others(visit: Open, occluded: list[np.ndarray], screenshots: Path) -> None:
    me = visit()
    files = [(f"room {n}.png", encode(picture)) for n, picture in enumerate(occluded)]
    me.upload(*files[:2], ("broken.png", b"this is no picture"), *files[2:])
    me.wait_for("completed, 1 not.")
    me.page.screenshot(path=screenshots / "batch.png", full_page=True)
    assert me.page.get_by_text("broken.png: not a picture").is_visible()
    done = unpack(me.download("Download all (ZIP)"))
    assert sorted(done) == [f"room {n}_completed.png" for n in range(4)]
    for n, picture in enumerate(occluded):
        changed = (done[f"room {n}_completed.png"] != picture).any(2)
        assert changed[SQUARE].mean() > 0.9
        assert not changed[200:].any()


def test_how_it_works_is_told_with_the_model_card(visit: Open) -> None:
    me = visit()
    me.press("How it works")
    me.wait_for("What it fills in is a guess")
    me.page.get_by_text("The model card").click()
    me.page.get_by_role("heading", name="Limits").wait_for()


def test_a_file_that_is_no_picture_gets_a_sentence(visit: Open) -> None:
    me = visit()
    me.upload(("notes.png", b"this is no picture"))
    me.wait_for("notes.png: not a picture. Expected a readable JPEG")
    assert "Traceback" not in me.page.content()


def test_two_people_at_once_never_see_each_others_pictures(visit: Open, occluded: list[np.ndarray]) -> None:
    both = [visit(), visit()]
    for me, picture in zip(both, occluded, strict=False):
        me.upload(("room.png", encode(picture)))
    for me in both:
        me.wait_for_completion()
    both[0].drag((0.6, 0.5), (0.9, 0.5))
    both[0].complete()
    for me, own, other in zip(both, occluded, occluded[1::-1], strict=False):
        completed = decode(me.download("Download PNG"))[:50]
        assert np.array_equal(completed, own[:50])
        assert not np.array_equal(completed, other[:50])
        sources = me.page.locator(".stage img").evaluate_all("images => images.map((image) => image.src)")
        assert all(source.startswith("data:") or not source for source in sources)
    assert not both[1].tint()[128, 160:225].any()


def test_a_pasted_picture_is_uploaded(visit: Open, occluded: list[np.ndarray]) -> None:
    me = visit()
    me.page.get_by_role("button", name="Window").wait_for()
    me.page.evaluate(
        """bytes => {
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([new Uint8Array(bytes)], "image.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
        }""",
        list(encode(occluded[0])),
    )
    me.wait_for_completion()
    assert np.array_equal(decode(me.download("Download PNG"))[200:], occluded[0][200:])


def test_marks_on_a_large_photograph_are_made_at_its_own_resolution(visit: Open, rooms: list[np.ndarray]) -> None:
    large = np.array(Image.fromarray(rooms[0]).resize((1600, 1600), Image.Resampling.BICUBIC))
    me = visit()
    me.upload(("large.png", encode(large)))
    me.wait_for("nothing was changed")
    me.choose("Box")
    me.drag((0.25, 0.25), (0.5, 0.5))
    me.complete()
    files = unpack(me.download("Download all (ZIP)"))
    mask = files["large_mask.png"] == 255
    assert mask.shape == (1600, 1600)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert np.abs(np.array([rows[0], rows[-1], columns[0], columns[-1]]) - [400, 800, 400, 800]).max() <= 4
    assert np.array_equal(files["large_completed.png"][~mask], large[~mask])
