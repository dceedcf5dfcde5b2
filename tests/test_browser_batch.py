"""Many files in a real browser."""

import numpy as np
import pytest

from browsing import Open, decode, encode, expect, unpack
from conftest import OCCLUDED as SQUARE

pytestmark = pytest.mark.slow


def test_a_batch_with_a_broken_file_completes_the_others(visit: Open, occluded: list[np.ndarray]) -> None:
    me = visit()
    files = [(f"room {n}.png", encode(picture)) for n, picture in enumerate(occluded)]
    me.upload(*files[:2], ("broken.png", b"this is no picture"), *files[2:])
    me.wait_for("completed, 1 not.")
    expect(me.page.get_by_text("broken.png: not a picture")).to_be_visible()
    done = unpack(me.download("Download all (ZIP)"))
    assert sorted(done) == [f"room {n}_completed.png" for n in range(4)]
    for n, picture in enumerate(occluded):
        changed = (done[f"room {n}_completed.png"] != picture).any(2)
        assert changed[SQUARE].mean() > 0.9
        assert not changed[200:].any()


def test_one_of_many_is_opened_done_by_hand_and_taken_back(
    visit: Open, occluded: list[np.ndarray], rooms: list[np.ndarray]
) -> None:
    me = visit()
    me.upload(("one.png", encode(occluded[0])), ("two.png", encode(rooms[1])), ("broken.png", b"this is no picture"))
    me.wait_for("1 of 3 completed, 1 not.")
    me.wait_for_rest()
    pictures = me.page.locator(".pixelrnn-row img")
    pictures.first.wait_for()
    for picture in pictures.all():
        picture.wait_for()
        assert picture.bounding_box()["width"] >= 160
    me.page.get_by_role("radio", name="Nothing found").click()
    me.page.locator(".pixelrnn-row", has_text="one.png").wait_for(state="hidden")
    me.wait_for_rest()
    expect(me.page.locator(".pixelrnn-row", has_text="two.png")).to_be_visible()
    me.wait_for_rest()
    me.page.get_by_test_id("stBaseButton-secondary").filter(has_text="Open").click()
    me.wait_until("empty")
    me.drag((0.4, 0.5), (0.6, 0.5))
    me.complete()
    me.press("Use this result")
    me.wait_for("2 of 3 completed, 1 not.")
    me.page.get_by_role("radio", name="All", exact=True).click()
    me.wait_for("in the editor")
    done = unpack(me.download("Download all (ZIP)"))
    changed = (done["two_completed.png"] != rooms[1]).any(2)
    assert changed[128, 110:150].mean() > 0.9
    assert not changed[200:].any()
    me.page.get_by_role("radio", name="Something found").click()
    me.page.locator(".pixelrnn-row", has_text="broken.png").wait_for(state="hidden")
    assert np.array_equal(decode(me.download("Download")), done["one_completed.png"])
    me.press("Redo")
    me.page.get_by_text("in the editor").wait_for(state="hidden")
    me.page.get_by_role("radio", name="Failed").click()
    me.wait_for("broken.png: not a picture")
