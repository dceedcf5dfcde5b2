"""The bundled checkpoints: the same network twice, once for the lowest error and once with texture."""

from pathlib import Path

EXPECTED, SHARP = "bedrooms-expected", "bedrooms-sharp"
DEFAULT = EXPECTED  # what people would choose by eye: misplaced strokes stand out more than a soft patch does


def bundled_weights() -> dict[str, Path]:
    """Their files by name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.safetensors"))}
