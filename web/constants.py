"""What the page's modules take from pixelrnn, as JSON: python web/constants.py"""

import json

from pixelrnn import detection, paint, tiling


def constants(module: object, names: str) -> dict[str, object]:
    return {name: getattr(module, name) for name in names.split()}


found = constants(
    detection, "WEIGHTS LARGE FLAT ROUGH CELL MOST MOST_COVERED MOST_FLAT MARGIN POSSIBLE GROWTH DETECT_SIDE LOOKS TRACED"
) | {
    "tiling": constants(tiling, "GRAIN MARGIN WIDTH FEW"),
    "LEVEL": detection.LEVELS["normal"],
    "paint": constants(paint, "BAND REACH FLAT DISTINCT SMOOTH ALIKE ROUGHER COLOURED SQUARE TINT"),
}
print(json.dumps(found))
