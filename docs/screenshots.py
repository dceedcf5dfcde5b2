"""Take the pictures of the page that the documentation shows: python docs/screenshots.py; needs Chromium on the path.

Every photograph on them is a room that pixelrnn.data.synthetic renders.
"""

import sys
from pathlib import Path

import numpy as np

from pixelrnn.data.synthetic import render_bedroom

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from browser import Visit, encode, launch, serve

HERE = Path(__file__).parent


def main() -> None:
    room = render_bedroom(np.random.default_rng(301), 512)
    room[210:300, 20:150] = 0
    with serve() as (address, _), launch() as browser:
        for name, scheme in (("page", "light"), ("page_dark", "dark")):
            me = Visit(browser, address, width=1240, height=840, color_scheme=scheme)
            me.upload(("room.png", encode(room)))
            me.page.locator(".editor[data-state=fresh], .editor[data-state=marked]").wait_for()
            if me.page.locator(".editor").get_attribute("data-state") == "marked":
                me.complete()
            me.press("Keep")
            me.wait_until("empty")
            me.drag((0.42, 0.66), (0.52, 0.63), (0.5, 0.7))
            me.wait_until("marked")
            me.complete()
            me.page.mouse.move(5, 5)
            if scheme == "dark":
                me.choose("Uncertainty")
            me.page.wait_for_timeout(1000)  # pictures fade in
            me.page.screenshot(path=HERE / f"{name}.jpg", type="jpeg", quality=85)
            me.close()


if __name__ == "__main__":
    main()
