"""Print the constants that the page's modules take from pixelrnn, as JSON: python web/constants.py."""

import json

from pixelrnn.inference import detection, paint, tiling

REGIONS = (
    "WEIGHTS LARGE FLAT ROUGH CELL MAX_REGIONS MOST_COVERED MOST_FLAT MARGIN POSSIBLE GROWTH DETECT_SIDE CONTEXT MAX_REFINED"
)
OUTLINES = "BAND REACH FLAT DISTINCT SMOOTH ALIKE ROUGHER COLOURED SQUARE TINT"
PARTS = "GRAIN MARGIN WIDTH MAX_GROUPS"


def constants(module: object, names: str) -> dict[str, object]:
    return {name: getattr(module, name) for name in names.split()}


regions = {**constants(detection, REGIONS), "LEVEL": detection.LEVELS["normal"]}
print(json.dumps({**regions, "paint": constants(paint, OUTLINES), "tiling": constants(tiling, PARTS)}))
