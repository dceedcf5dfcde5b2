"""The editor in a real browser: what was found, zoom, steps, keys and fingers."""

import numpy as np
import pytest
from PIL import Image

from browsing import Open, decode, encode, expect, unpack
from conftest import OCCLUDED as SQUARE
from pixelrnn.data.synthetic import render_bedroom

pytestmark = pytest.mark.slow


def test_a_click_and_space_mark_a_dot_that_is_seen(visit: Open, rooms: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(rooms[1])))
    me.wait_until("empty")
    me.page.mouse.click(*me.point(0.3, 0.3))
    assert me.tint()[76, 76]
    me.wait_until("marked")
    me.press("Undo")
    me.wait_until("empty")
    me.page.mouse.move(2, 2)
    me.page.locator(".work .stage").focus()
    for key in ("ArrowLeft", "Space"):
        me.page.keyboard.press(key)
    assert 0 < me.tint().sum() < 2000


def test_the_keyboard_alone_marks_completes_and_views(visit: Open, occluded: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(occluded[0])))
    me.wait_for_completion()
    found = me.tint()
    me.page.locator("input[value=brush]").focus()
    for _ in range(30):
        if me.page.evaluate("document.activeElement.shadowRoot?.activeElement?.classList.contains('stage') ?? false"):
            break
        me.page.keyboard.press("Tab")
    for key in ("]", "]", "ArrowRight", "ArrowRight", "Space"):
        me.page.keyboard.press(key)
    assert me.tint().sum() > found.sum()
    me.wait_for("has changed since")
    me.page.keyboard.press("Control+z")
    assert np.array_equal(me.tint(), found)
    me.wait_until("fresh")  # what was filled in before is there again
    me.page.keyboard.press("r")
    for key in ("Space", "ArrowDown", "ArrowRight", "Space"):
        me.page.keyboard.press(key)
    assert me.tint().sum() > found.sum()
    me.page.keyboard.press("Enter")
    me.wait_for_completion()
    me.page.keyboard.press("3")
    expect(me.page.locator(".editor")).to_have_attribute("data-shown", "result")
    me.page.keyboard.press("k")
    me.wait_until("empty")
    assert not me.tint().any()
    me.page.keyboard.press("?")
    me.page.get_by_role("heading", name="Mouse, fingers and keys").wait_for()
    me.page.keyboard.press("Escape")
    me.page.get_by_role("heading", name="Mouse, fingers and keys").wait_for(state="hidden")


def test_what_may_be_a_false_find_is_asked_about_before_it_is_filled_in(visit: Open) -> None:
    room = (
        render_bedroom(np.random.default_rng(303), 256) * ~SQUARE[..., None]
    )  # in which something else is found, not for sure
    me = visit()
    me.upload(("room.png", encode(room)))
    me.wait_for("What may be painted over is outlined")
    expect(me.page.get_by_role("button", name="Download PNG")).to_be_disabled()
    offered = me.page.locator(".find button[aria-pressed=true]")
    expect(offered).to_have_count(2)
    doubted = next(one for one in offered.all() if "100%" not in str(one.get_attribute("title")))
    doubted.click()
    expect(offered).to_have_count(1)
    me.complete()
    mask = unpack(me.download("All (ZIP)"))["room_mask.png"] == 255
    assert (mask & SQUARE).sum() / (mask | SQUARE).sum() > 0.9


def test_where_nothing_is_found_the_brush_is_at_hand(visit: Open, rooms: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(rooms[1])))
    me.wait_for("Nothing painted over was found. Brush over what is in the way")
    expect(me.page.get_by_role("button", name="Complete", exact=True)).to_be_disabled()
    me.drag((0.4, 0.4), (0.6, 0.5))
    me.complete()
    expect(me.state).to_contain_text("marked as missing")


def test_after_clear_there_is_nothing_to_complete_and_nothing_to_download(visit: Open, occluded: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(occluded[0])))
    me.wait_for_completion()
    me.press("Clear")
    me.wait_until("empty")
    expect(me.state).to_have_text("Nothing is marked. Brush over what is in the way.")
    for name in ("Complete", "Keep", "Download PNG", "JPEG", "All (ZIP)"):
        expect(me.page.get_by_role("button", name=name, exact=True)).to_be_disabled()
    expect(me.page.get_by_text("The result will appear here.")).to_be_visible()
    me.drag((0.6, 0.5), (0.8, 0.5))
    me.wait_until("marked")
    expect(me.page.get_by_role("button", name="Download PNG")).to_be_disabled()
    me.press("Undo")
    me.press("Undo")
    me.wait_until("fresh")
    expect(me.page.get_by_role("button", name="Download PNG")).to_be_enabled()


def test_the_wheel_zooms_to_the_cursor_and_the_part_becomes_crisp(visit: Open, rooms: list[np.ndarray]) -> None:
    fine = np.random.default_rng(0).integers(60, 200, (750, 1000, 1), dtype=np.uint8).repeat(2, 0).repeat(2, 1).repeat(3, 2)
    fine[600:900, 800:1200] = np.array(Image.fromarray(rooms[1]).resize((400, 300)))
    me = visit()
    me.upload(("fine.png", encode(fine)))
    me.page.locator(".editor[data-state=empty], .editor[data-state=marked]").wait_for()
    me.choose("Photograph")
    place = me.point(0.25, 0.25)
    me.wheel(0.25, 0.25, -800)
    assert me.seen()["scale"] > 1
    assert me.point(0.25, 0.25) == pytest.approx(place, abs=4)  # a mouse is at whole pixels, which are enlarged as well
    me.page.mouse.move(2, 2)

    def shown() -> float:
        """How far what is shown is from the photograph's own pixels, in grey levels."""
        seen, pixels = me.seen(), me.pixels("work")
        rows = np.floor((np.arange(pixels.shape[0]) + 0.5 - seen["y"]) / seen["scale"]).astype(int)
        columns = np.floor((np.arange(pixels.shape[1]) + 0.5 - seen["x"]) / seen["scale"]).astype(int)
        own = fine[np.clip(rows, 0, 1499)[:, None], np.clip(columns, 0, 1999)]
        return float(np.abs(own.astype(int) - pixels).mean())

    for _ in range(100):
        if shown() < 15:
            break
        me.page.wait_for_timeout(50)
    assert shown() < 15  # enlarged from the preview it is 20 off
    me.page.mouse.dblclick(*place)
    expect(me.page.locator(".views output")).to_have_text("100%")
    expect(me.page.get_by_role("button", name="Undo", exact=True)).to_be_disabled()  # two clicks that fit are no marks


def test_the_space_key_and_the_middle_mouse_button_pan_the_photograph(visit: Open, rooms: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(rooms[1])))
    me.wait_until("empty")
    me.wheel(0.5, 0.5, -700)
    x, y = me.point(0.5, 0.5)
    me.page.mouse.move(x, y)
    me.page.mouse.down(button="middle")
    me.page.mouse.move(x + 60, y + 30, steps=4)
    me.page.mouse.up(button="middle")
    assert me.point(0.5, 0.5) == pytest.approx((x + 60, y + 30), abs=1)
    me.page.locator(".work .stage").focus()
    me.page.keyboard.down("Space")
    me.page.mouse.down()
    me.page.mouse.move(x + 20, y + 10, steps=4)
    me.page.mouse.up()
    me.page.keyboard.up("Space")
    assert me.point(0.5, 0.5) == pytest.approx((x + 20, y + 10), abs=1)
    assert not me.tint().any()
    me.drag((0.48, 0.5), (0.52, 0.5))
    tint = me.tint()
    assert tint[128, 125:131].all()
    assert not tint[110, 110:140].any()


def test_the_brush_is_sized_by_brackets_and_by_the_wheel_with_alt(visit: Open, rooms: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(rooms[1])))
    me.wait_until("empty")
    size = me.page.locator(".size output")
    before = size.inner_text()
    me.page.locator(".work .stage").focus()
    for _ in range(5):
        me.page.keyboard.press("]")
    expect(size).not_to_have_text(before)
    assert int(size.inner_text().split()[0]) > int(before.split()[0])
    me.page.keyboard.down("Alt")
    for _ in range(5):
        me.wheel(0.5, 0.5, 100)
    me.page.keyboard.up("Alt")
    expect(size).to_have_text(before)
    expect(me.page.locator(".views output")).to_have_text("100%")


def test_a_result_is_kept_gone_on_from_and_undone_over_fills(visit: Open, rooms: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(rooms[1])))
    me.wait_until("empty")
    for row in (0.3, 0.5, 0.7):
        me.drag((0.4, row), (0.6, row))
        me.wait_until("marked")
        me.complete()
        me.press("Keep")
        me.wait_until("empty")
    files = unpack(me.download("All (ZIP)"))
    mask, completed = files["room_mask.png"] == 255, files["room_completed.png"]
    assert all(mask[round(256 * row), 110:150].all() for row in (0.3, 0.5, 0.7))
    assert np.array_equal(completed[~mask], rooms[1][~mask])
    assert (completed[mask] != rooms[1][mask]).any()
    steps = me.page.locator(".steps button")
    expect(steps).to_have_text(["Photograph", "Step 1", "Step 2", "Step 3"])
    after = me.pixels("work")
    steps.nth(1).click()
    me.wait_until("fresh")  # the second step, with its marks and its result
    assert me.tint()[128, 110:150].all()
    me.press("Undo")
    assert np.array_equal(me.pixels("work"), after)
    me.press("Undo")
    me.wait_until("fresh")  # the third step before it was kept
    me.press("Undo")
    me.wait_until("empty")  # and before its stroke
    for _ in range(4):
        me.press("Undo")
    expect(me.page.get_by_role("button", name="Undo", exact=True)).to_be_disabled()
    assert not me.tint().any()
    for _ in range(6):
        me.press("Redo")
    assert np.array_equal(me.pixels("work"), after)


def test_three_things_are_removed_in_nine_clicks_and_strokes(visit: Open, rooms: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(rooms[1])))
    me.wait_until("empty")
    me.choose("Photograph")  # one picture, in which a stroke on a result goes on from it
    for row in (0.3, 0.5, 0.7):
        me.drag((0.4, row), (0.6, row))
        me.wait_until("marked")
        me.press("Complete")
        me.wait_for_completion()
    files = unpack(me.download("All (ZIP)"))
    mask = files["room_mask.png"] == 255
    assert all(mask[round(256 * row), 110:150].all() for row in (0.3, 0.5, 0.7))
    assert np.array_equal(files["room_completed.png"][~mask], rooms[1][~mask])


def test_each_stroke_is_filled_in_by_itself_where_that_is_chosen(visit: Open, rooms: list[np.ndarray]) -> None:
    me = visit()
    me.upload(("room.png", encode(rooms[1])))
    me.wait_until("empty")
    me.page.get_by_label("Fill each stroke").check()
    for row in (0.3, 0.5):
        me.drag((0.4, row), (0.6, row))
        me.wait_for_completion()
    mask = unpack(me.download("All (ZIP)"))["room_mask.png"] == 255
    assert all(mask[round(256 * row), 110:150].all() for row in (0.3, 0.5))


def test_jpeg_webp_and_the_clipboard_get_the_result(visit: Open, occluded: list[np.ndarray]) -> None:
    me = visit(permissions=["clipboard-read", "clipboard-write"])
    me.upload(("room.png", encode(occluded[0])))
    me.wait_for_completion()
    exact, small, webp = (decode(me.download(name)) for name in ("Download PNG", "JPEG", "WebP"))
    assert np.array_equal(webp, exact)
    assert 0 < np.abs(small.astype(int) - exact).mean() < 3
    me.press("Copy")
    me.wait_for("Copied.")
    copied = me.page.evaluate("""async () => {
        const [item] = await navigator.clipboard.read(), blob = await item.getType("image/png");
        return [...new Uint8Array(await blob.arrayBuffer())];
    }""")
    assert np.array_equal(decode(bytes(copied))[..., :3], exact)


def test_two_fingers_zoom_and_mark_nothing(visit: Open, rooms: list[np.ndarray]) -> None:
    me = visit(width=400, height=800, has_touch=True, is_mobile=True, device_scale_factor=2)
    me.upload(("room.png", encode(rooms[1])))
    me.wait_until("empty")
    x, y = me.point(0.5, 0.5)
    me.pinch([(x - 20, y), (x + 20, y)], [(x - 80, y), (x + 80, y)])
    assert me.seen()["scale"] > 3
    assert not me.tint().any()
    me.swipe((0.48, 0.5), (0.5, 0.5), (0.52, 0.5))
    assert me.tint()[128, 124:132].all()


def test_a_finger_marks_on_a_phone_and_nothing_is_cut_off(visit: Open, occluded: list[np.ndarray]) -> None:
    me = visit(width=400, height=800, has_touch=True, is_mobile=True, device_scale_factor=2)
    me.upload(("room.png", encode(occluded[2])))
    me.wait_for_completion()
    me.swipe((0.6, 0.6), (0.7, 0.6), (0.8, 0.62), (0.9, 0.6))
    assert me.tint()[154:158, 160:225].all()
    me.complete()
    assert me.page.evaluate("document.documentElement.scrollWidth") <= 400
    expect(me.page.locator(".editor")).to_have_attribute("data-shown", "result")  # what was asked for is in sight
    assert me.brush.bounding_box()["y"] >= 0
    complete = me.page.get_by_role("button", name="Complete", exact=True).bounding_box()
    assert complete["y"] + complete["height"] <= 800  # and the tools within reach
    mask = unpack(me.download("All (ZIP)"))["room_mask.png"] == 255
    assert mask[155, 165:220].all()
