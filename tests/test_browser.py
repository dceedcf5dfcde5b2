"""The page, driven in a real browser on rooms that our own code renders."""

import re

import numpy as np
import pytest
from PIL import Image

from browsing import Open, decode, encode, expect, unpack
from conftest import OCCLUDED as SQUARE

pytestmark = pytest.mark.slow


def test_a_photograph_is_marked_with_the_mouse_completed_and_downloaded(visit: Open, occluded: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(occluded[0])))
    me.wait_for_completion()
    found = me.tint()
    assert (found & SQUARE).sum() / (found | SQUARE).sum() > 0.9

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

    completed, files = decode(me.download("Download PNG")), unpack(me.download("All (ZIP)"))
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
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    me.wait_until("empty")
    assert not me.tint()[SQUARE].any()
    expect(button).to_have_attribute("aria-pressed", "false")
    me.drag((0.6, 0.9), (0.9, 0.9))  # strokes go on beside it
    button.focus()
    me.page.keyboard.press("Enter")
    tint = me.tint()
    assert (tint[SQUARE] == found[SQUARE]).all()
    assert tint[230, 170:220].all()
    me.press("Undo")
    assert not me.tint()[SQUARE].any()
    me.complete()
    assert not (unpack(me.download("All (ZIP)"))["room_mask.png"][SQUARE]).any()


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


def test_strokes_survive_a_rerun_but_not_a_new_photograph(visit: Open, occluded: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(occluded[0])))
    me.wait_for_completion()
    me.drag((0.6, 0.5), (0.9, 0.6))
    marked = me.tint()
    me.complete()
    me.page.get_by_role("button", name="Settings").click()
    me.page.get_by_role("slider", name="Number of samples").wait_for()
    me.page.keyboard.press("Escape")
    before = me.pixels()
    me.page.get_by_label("Fill", exact=True).select_option("expected")
    for _ in range(400):
        if (me.pixels() != before).any():
            break
        me.page.wait_for_timeout(50)
    assert (me.pixels() != before).any()
    me.wait_for_completion()
    assert np.array_equal(me.tint(), marked)
    before_it = me.page.locator(".editor").get_attribute("data-rev")
    me.page.get_by_text("Choose another photograph").click()
    me.page.get_by_role("button", name="Window").click()
    me.page.locator(f".editor:not([data-rev='{before_it}'])").wait_for()
    me.wait_for_completion()
    assert not me.tint()[128:154, 0:100].any()
    expect(me.page.get_by_role("button", name="Undo")).to_be_disabled()


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


def test_the_views_show_before_after_doubt_and_details(visit: Open, occluded: list[np.ndarray]) -> None:
    me = visit(color_scheme="dark")
    me.upload(("room.png", encode(occluded[3])))
    me.wait_for_completion()
    me.choose("Slider")
    border = me.page.get_by_label("Border between before and after")
    shown = []
    for share in ("0", "250", "1000"):
        border.fill(share)
        shown.append(me.pixels())
    result, both, photograph = shown
    quarter = result.shape[1] // 4
    assert np.array_equal(both[:, quarter + 2 :], result[:, quarter + 2 :])
    assert np.array_equal(both[:, : quarter - 2], photograph[:, : quarter - 2])
    assert (photograph != result).any()
    me.page.keyboard.down("c")
    assert np.array_equal(me.pixels(), photograph)
    me.page.keyboard.up("c")
    border.fill("0")
    assert np.array_equal(me.pixels(), result)
    me.choose("Result")
    result = me.pixels()
    me.press("Zoom in")
    expect(me.page.locator(".views output")).to_have_text("150%")
    me.press("The whole picture (0, or a double click)")
    me.choose("Uncertainty")
    expect(me.page.get_by_text("grey levels of 255")).to_be_visible()
    assert me.pixels().mean() < result.mean()  # what is sure is dark
    red, green, blue = me.page.evaluate(
        "getComputedStyle(document.querySelector('.stApp')).backgroundColor.match(/\\d+/g).map(Number)"
    )
    assert max(red, green, blue) < 60


def test_samples_differ_in_the_hole_and_the_chosen_one_is_downloaded(visit: Open, occluded: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(occluded[0])))
    me.wait_for_completion()
    me.page.get_by_role("button", name="Settings").click()
    me.page.get_by_role("slider", name="Number of samples").press("ArrowRight")
    me.page.keyboard.press("Escape")
    second_of = me.page.locator(".samples button", has_text="Sample 2")
    second_of.wait_for()
    me.wait_for_completion()
    files = unpack(me.download("All (ZIP)"))
    mask = files["room_mask.png"] > 0
    first, second = (files[f"room_completed{end}.png"] for end in ("", "_2"))
    assert (first[mask] != second[mask]).any()
    for one in (first, second):
        assert np.array_equal(one[~mask], occluded[0][~mask])
    expect(second_of).to_have_attribute("title", re.compile("nats per missing pixel"))
    second_of.click()
    assert np.array_equal(decode(me.download("Download PNG")), second)


def test_how_it_works_is_told_with_the_model_card(visit: Open) -> None:
    me = visit()
    me.press("How it works")
    me.wait_for("What it fills in is a guess")
    me.page.get_by_text("The model card").click()
    me.page.get_by_role("heading", name="Limits").wait_for()
    assert "license_name" not in me.page.content()


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
        sources = me.page.locator("img").evaluate_all("images => images.map((image) => image.src)")
        assert all(
            source.startswith(("data:", "blob:")) or not source for source in sources
        )  # no address that others could ask
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
    large = np.array(Image.fromarray(rooms[1]).resize((1600, 1600), Image.Resampling.BICUBIC))
    me = visit()
    me.upload(("large.png", encode(large)))
    me.wait_for("Nothing painted over was found")
    me.choose("Box")
    me.drag((0.25, 0.25), (0.5, 0.5))
    me.complete()
    files = unpack(me.download("All (ZIP)"))
    mask = files["large_mask.png"] == 255
    assert mask.shape == (1600, 1600)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert np.abs(np.array([rows[0], rows[-1], columns[0], columns[-1]]) - [400, 800, 400, 800]).max() <= 4
    assert np.array_equal(files["large_completed.png"][~mask], large[~mask])
