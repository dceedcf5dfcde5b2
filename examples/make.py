"""Render the example pictures, and the sheet that the README shows: python examples/make.py.

Everything here is drawn by our own code: rooms by pixelrnn.rooms, occlusions by pixelrnn.occluders.
"""

from pathlib import Path

import numpy as np
from pixelrnn.occluders import boxes, described_square, ellipses, paint, strokes
from pixelrnn.report import sheet
from pixelrnn.rooms import render_bedroom

from pixelrnn import Completer
from pixelrnn.decode import read_image
from pixelrnn.encode import write_image

HERE = Path(__file__).parent
# name: (seed of the room, shape of the occlusion, seed of shape and paint)
EXAMPLES = {
    "occluded_bedroom": (310, described_square, None),
    "boxes": (317, boxes, 3),
    "ellipse": (308, ellipses, 5),
    "strokes": (302, strokes, 8),
    "evening": (301, boxes, 11),
    "window": (314, described_square, None),
}


def main() -> None:
    for name, (room_seed, shape, paint_seed) in EXAMPLES.items():
        room = render_bedroom(np.random.default_rng(room_seed), 256)
        rng = np.random.default_rng(room_seed if paint_seed is None else paint_seed)
        mask = shape(rng, 256, 256)
        # a black square, as in the described dataset, or whatever the rng paints
        occluded = np.where(mask[..., None], np.uint8(0), room) if paint_seed is None else paint(rng, room, mask)
        write_image(HERE / f"{name}.jpg", occluded)
    completer = Completer.from_pretrained()
    pictures = [read_image(HERE / f"{name}.jpg") for name in EXAMPLES]
    sheet(
        ((picture, completer(picture).image) for picture in pictures), HERE.parent / "docs" / "sheet.jpg", columns=2, cell=224
    )


if __name__ == "__main__":
    main()
