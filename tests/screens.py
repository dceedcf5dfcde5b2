"""Screenshots of all states of the page, at two widths and in both themes: python tests/screens.py FOLDER; needs Chromium.

For each width and theme there is a sheet of them all, too. To be looked at: no test sees what is ugly.
"""

import io
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from browser import Visit, encode, launch, serve
from pixelrnn.data.synthetic import render_bedroom

WIDTHS = {"wide": {"width": 1280, "height": 800}, "phone": {"width": 400, "height": 800, "has_touch": True, "is_mobile": True}}
COLUMNS, CAPTION = {"wide": 3, "phone": 6}, 24
Take = Callable[[str], None]


def room(seed: int, side: int = 512, square: bool = True) -> bytes:
    picture = render_bedroom(np.random.default_rng(seed), side)
    if square:
        picture[side * 4 // 10 : side * 6 // 10, side // 25 : side * 3 // 10] = 0
    return encode(picture)


def starting(me: Visit, take: Take) -> None:
    take("start")
    me.page.get_by_role("button", name="Settings").click()
    me.page.wait_for_timeout(500)
    take("settings")
    me.page.keyboard.press("Escape")
    me.upload(("notes.png", b"this is no picture"))
    me.wait_for("not a picture")
    take("no picture")


def asking(me: Visit, take: Take) -> None:
    me.upload(("room.png", room(310)))
    me.wait_for("outlined")
    take("asked")
    me.press("Clear")
    me.wait_until("empty")
    take("cleared")


def nothing(me: Visit, take: Take) -> None:
    me.upload(("room.png", room(301, 256, square=False)))
    me.wait_until("empty")
    take("nothing found")
    me.drag((0.3, 0.3), (0.5, 0.4))
    me.wait_until("marked")
    take("marked")
    me.press("Complete")
    take("busy")
    me.wait_for_completion()
    me.press("Keep")
    me.wait_until("empty")
    me.drag((0.6, 0.6), (0.8, 0.6))
    me.wait_until("marked")
    take("second step")


def filled(me: Visit, take: Take) -> None:
    me.upload(("room.png", room(308, 256)))
    me.wait_for_completion()
    take("filled")
    for view in ("Photograph", "Result", "Slider", "Uncertainty"):
        me.choose(view)
        take(view.lower())
    me.choose("Result")
    me.brush.focus()
    for _ in range(3):
        me.page.keyboard.press("+")
    me.page.wait_for_timeout(500)
    take("enlarged")
    me.press("Keys (?)")
    take("keys")
    me.page.keyboard.press("Escape")
    me.choose("Photograph")
    me.page.keyboard.press("0")
    me.drag((0.1, 0.1), (0.3, 0.12))
    me.wait_for("has changed since")
    take("stale")


def sampling(me: Visit, take: Take) -> None:
    me.upload(("room.png", room(301, 256)))
    me.wait_for_completion()
    me.page.get_by_role("button", name="Settings").click()
    me.page.get_by_role("slider", name="Number of samples").press("ArrowRight")
    me.page.keyboard.press("Escape")
    me.page.locator(".samples button", has_text="Sample 2").wait_for()
    me.wait_for_completion()
    take("samples")


def many(me: Visit, take: Take) -> None:
    me.upload(("one.png", room(308, 256)), ("two.png", room(301, 256, square=False)), ("broken.png", b"this is no picture"))
    me.wait_for("completed, 1 not.")
    me.wait_for_rest()
    take("many")
    me.page.get_by_test_id("stBaseButton-secondary").filter(has_text="Open").first.click()
    me.wait_for_completion()
    take("one of many")


def sheet(pictures: list[tuple[str, Image.Image]], columns: int) -> Image.Image:
    width, height = pictures[0][1].width, pictures[0][1].height + CAPTION
    whole = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height), "grey")
    pen = ImageDraw.Draw(whole)
    for number, (name, picture) in enumerate(pictures):
        left, top = number % columns * width, number // columns * height
        whole.paste(picture, (left, top + CAPTION))
        pen.text((left + 8, top + 5), name, fill="white")
    return whole


def photographs(visit: Visit, name: str, folder: Path) -> tuple[Take, list[tuple[str, Image.Image]]]:
    """What takes a picture of a state, and all that it took."""
    taken: list[tuple[str, Image.Image]] = []

    def take(state: str) -> None:
        visit.page.wait_for_timeout(300)  # what fades in has done so
        taken.append((state, Image.open(io.BytesIO(visit.page.screenshot())).convert("RGB")))
        taken[-1][1].save(folder / f"{name} {state}.png")

    return take, taken


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with serve() as (address, _), launch() as browser:
        for (name, size), scheme in product(WIDTHS.items(), ("light", "dark")):
            shots: list[tuple[str, Image.Image]] = []
            for state in (starting, asking, nothing, filled, sampling, many):
                me = Visit(browser, address, color_scheme=scheme, **size)
                take, taken = photographs(me, f"{name} {scheme}", folder)
                state(me, take)
                shots += taken
                me.close()
            sheet(shots, COLUMNS[name]).save(folder / f"sheet {name} {scheme}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
