"""Reading and writing photographs apart from completing them: a rendered room of 24 megapixels, grainy as from a sensor, as
JPEG and PNG, and as PNG at several levels of compression.

python benchmarks/files.py [MEGAPIXELS] [ROUNDS]; 24 and 2 by default. The last line is one JSON object: median seconds, size in
MB. "run lengths" is zlib's Z_RLE, which looks for repetitions of one byte alone.
"""

import json
import sys
import tempfile
from pathlib import Path

from completion import in_turns, photograph
from PIL import Image

from pixelrnn.decode import read_picture
from pixelrnn.encode import WRITERS, write_image

OPTIONS: dict[str, dict[str, int]] = {
    "level 1": {"compress_level": 1},
    "level 3": {"compress_level": 3},
    "level 6": {"compress_level": 6},
    "level 1, run lengths": {"compress_level": 1, "compress_type": 3},
}


def main(megapixels: float, rounds: int) -> None:
    pixels = photograph(megapixels)
    picture = Image.fromarray(pixels)
    figures: dict[str, object] = {"megapixels": megapixels, "rounds": rounds, "ours": str(WRITERS[".png"][1])}

    def tell(name: str, seconds: float, path: Path) -> None:
        figures[name] = {"seconds": seconds, "megabytes": round(path.stat().st_size / 1e6, 1)}
        print(f"{name:28s}", figures[name], flush=True)

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "a.png", Path(folder) / "a.jpg"]
        writing = in_turns(rounds, *(lambda path=path: write_image(path, pixels) for path in paths))
        reading = in_turns(rounds, *(lambda path=path: read_picture(path) for path in paths))
        for path, written, read in zip(paths, writing, reading, strict=True):
            tell(f"write {path.suffix}", written, path)
            tell(f"read {path.suffix}", read, path)
        files = [Path(folder) / f"{i}.png" for i in range(len(OPTIONS))]
        levels = in_turns(
            rounds, *(lambda f=f, o=o: picture.save(f, "PNG", **o) for f, o in zip(files, OPTIONS.values(), strict=True))
        )
        for name, seconds, path in zip(OPTIONS, levels, files, strict=True):
            tell(f"PNG {name}", seconds, path)
    print(json.dumps(figures))


if __name__ == "__main__":
    given = sys.argv[1:]
    main(float(given[0]) if given else 24, int(given[1]) if len(given) > 1 else 2)
