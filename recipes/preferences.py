"""Compare methods blindly: the same holes filled by each, side by side, in an order that is shuffled for each case.

python recipes/preferences.py sheet CASES/SET ... --method METHOD --method ... --count 40 [--truth] -o OUT
python recipes/preferences.py count OUT ANSWERS.txt

sheet writes OUT/page_N.png with ROWS cases a page. A row shows the image with its hole, then A, B, ..., cropped around the hole
and enlarged; METHOD is WEIGHTS, WEIGHTS,no-detail, or WEIGHTS:SAMPLER[:TEMPERATURE], which shows four samples, the most likely
first. With --truth the last column is the truth. OUT/key.json says which letter is which method, to be read after the choice.

count counts the preferences. ANSWERS.txt has a line for each case, such as "3 B", or "3 =" for none.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from pixelrnn import Completer
from pixelrnn.encode import write_image
from pixelrnn.evaluation.cases import read_cases
from pixelrnn.inference.sampling import Sampler
from pixelrnn.inference.tiling import bounds
from pixelrnn.weights import TEMPERATURE

ROWS, SHOWN, SIDE = 8, 160, 240  # cases a page; pixels of the image around a hole, and their size on the page


def around(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The SHOWN pixels around the hole, or a square of the whole image if the hole is larger, at SIDE pixels a side."""
    box = bounds(mask)
    side = SHOWN if max(box.size) < SHOWN - 16 else min(mask.shape)
    starts = [
        min(max((low + high - side) // 2, 0), full - side)
        for low, high, full in ((box.top, box.bottom, mask.shape[0]), (box.left, box.right, mask.shape[1]))
    ]
    crop = image[starts[0] : starts[0] + side, starts[1] : starts[1] + side]
    return np.asarray(Image.fromarray(crop).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


class Method(NamedTuple):
    """What fills the holes; see above."""

    complete: Completer
    temperature: float
    detail: bool | None


def read_method(words: str) -> Method:
    """The method that `words` name."""
    named, sampler, temperature = [*words.split(":"), "", ""][:3]
    weights, _, plain = named.partition(",")
    complete = Completer.from_pretrained(weights)
    complete.sampler = Sampler(sampler) if sampler else None
    return Method(complete, float(temperature or TEMPERATURE), False if plain == "no-detail" else None)


def row(given: np.ndarray, mask: np.ndarray, methods: list[Method], seed: int) -> np.ndarray:
    """One case: the given image, and each method's completion or four samples in a square."""
    cells = [around(given, mask)]
    for complete, temperature, detail in methods:
        if complete.sampler is None:
            cells.append(around(complete(given, mask, detail=detail).image, mask))
            continue
        result = complete(given, mask, samples=4, seed=seed, temperature=temperature, detail=detail)
        samples = [around(sample, mask) for sample in result.samples]
        cells.append(np.vstack([np.hstack(samples[:2]), np.hstack(samples[2:])]))
    height = max(len(cell) for cell in cells)
    return np.hstack([np.pad(cell, ((0, height - len(cell)), (0, 8), (0, 0)), constant_values=255) for cell in cells])


def sheet(sets: list[Path], methods: list[str], count: int, seed: int, truth: bool, out: Path) -> None:
    """Write the pages and the key."""
    out.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    cases = [case for folder in sets for case in read_cases(folder)]
    chosen = sorted(rng.choice(len(cases), min(count, len(cases)), replace=False).tolist())
    opened, key, rows = {method: read_method(method) for method in methods}, {}, []
    for number, place in enumerate(chosen, start=1):
        given, mask, target = cases[place].read()
        order = [methods[i] for i in rng.permutation(len(methods))]
        key[str(number)] = {"case": cases[place].id, **dict(zip("ABCDEF", order, strict=False))}
        cells = row(given, mask, [opened[method] for method in order], seed)
        if truth:
            last = around(target, mask)
            cells = np.hstack([cells, np.pad(last, ((0, len(cells) - SIDE), (0, 0), (0, 0)), constant_values=255)])
        image = Image.fromarray(cells)
        ImageDraw.Draw(image).text((6, 6), str(number), fill=(255, 0, 0), font_size=28)
        rows.append(np.asarray(image))
    for start in range(0, len(rows), ROWS):
        write_image(out / f"page_{start // ROWS + 1}.png", np.vstack(rows[start : start + ROWS]))
    (out / "key.json").write_text(json.dumps(key, indent=1))


def counted(out: Path, answers: Path) -> Counter[str]:
    """The number of preferences by method."""
    key = json.loads((out / "key.json").read_text())
    lines = [line.split() for line in answers.read_text().splitlines() if line.strip()]
    return Counter(key[number].get(letter, "no preference") for number, letter in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("sheet")
    making.add_argument("sets", type=Path, nargs="+")
    making.add_argument("--method", action="append", required=True)
    making.add_argument("--count", type=int, default=40)
    making.add_argument("--seed", type=int, default=1)
    making.add_argument("--truth", action="store_true")
    making.add_argument("-o", "--out", type=Path, required=True)
    counting = commands.add_parser("count")
    counting.add_argument("out", type=Path)
    counting.add_argument("answers", type=Path)
    args = parser.parse_args()
    if args.command == "sheet":
        sheet(args.sets, args.method, args.count, args.seed, args.truth, args.out)
        return
    for method, times in counted(args.out, args.answers).most_common():
        print(f"{times:4d}  {method}")


if __name__ == "__main__":
    main()
