"""Take the pictures of the page that the README shows: python docs/screenshots.py; needs Chromium on the path.

Every photograph on them is a room that pixelrnn.rooms renders.
"""

import sys
from pathlib import Path

import numpy as np

from pixelrnn.rooms import render_bedroom

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from browser import Visit, encode, launch, serve

HERE = Path(__file__).parent


def main() -> None:
    room = render_bedroom(np.random.default_rng(310), 512)
    room[210:300, 20:150] = 0
    with serve() as (address, _), launch() as browser:
        for name, scheme in (("page", "light"), ("page_dark", "dark")):
            me = Visit(browser, address, width=1240, height=840, color_scheme=scheme)
            me.upload(("room.png", encode(room)))
            me.wait_for_completion()
            me.drag((0.24, 0.62), (0.33, 0.6), (0.3, 0.68))
            me.complete()
            me.choose("Slider" if scheme == "light" else "Uncertainty")
            if scheme == "light":
                me.page.get_by_label("Border between before and after").fill("230")
            me.page.wait_for_timeout(1000)  # pictures fade in
            me.page.screenshot(path=HERE / f"{name}.jpg", type="jpeg", quality=85)
            me.close()


if __name__ == "__main__":
    main()
