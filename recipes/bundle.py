"""Joins the parts of the bundled weights, each trained alone, into the file that ships, with the recipe of every stage.

python recipes/bundle.py runs/bedrooms-128 runs/bedrooms-256 runs/bedrooms-detector OUT.safetensors
"""

import sys
from pathlib import Path

from pixelrnn import checkpoint

DATA = (
    "photographs, research use: the originals of 962 pairs of the Kaggle 'bedroom-occluded-images' derivative of 'House Rooms "
    "Image Dataset' (numbers below 1100) and 4,515 bedrooms of Places365; the detector also 2,600 other rooms of Places365"
)


def main(stages: list[Path], out: Path) -> None:
    """The network of the last stage but one, the filler's, with the detector of the last."""
    loaded = [checkpoint.load(stage / "optimized_pixelrnn.safetensors") for stage in stages]
    model = loaded[-2].model
    model.detector.load_state_dict(loaded[-1].model.detector.state_dict())  # type: ignore[union-attr]
    made = [{"recipe": each.about["recipe"], "history": each.about["history"]} for each in loaded]
    about = {**made[-2], "stages": made, "data": DATA, "card": "MODEL_CARD.md", "torch": loaded[-1].about["torch"]}
    checkpoint.save(out, model, about)


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:-1]], Path(sys.argv[-1]))
