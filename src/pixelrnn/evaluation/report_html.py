"""Results as one self-contained HTML page: the tables, and images of the best, median and worst cases.

The page loads nothing, runs no script, and follows the reader's light or dark mode. Images are RGB uint8 (H, W, 3).
"""

import base64
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ..inference.completer import Completion
from .cases import Case
from .environment import facts
from .grids import Alarms, Cell, Grid, Results, grids
from .scores import Method, Score, score_case
from .sheet import fit
from .summaries import by_set

SIDE = 320  # pixels, of the images in the page
DEEP = 0.25  # the standard deviation, in units of [0, 1], from which on the last colour of the ramp is used
# five colours of matplotlib's inferno
RAMP = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]])


class Picture(NamedTuple):
    """One captioned image of the page: its name, uint8 (H, W, 3), and its figures in a line."""

    name: str
    image: np.ndarray
    note: str = ""


Example = tuple[str, list[Picture]]  # a heading and its pictures


def examples(
    methods: Mapping[str, Method],
    results: Results,
    cases: Iterable[Case],
    sampler: Callable[[np.ndarray, np.ndarray], Completion] | None = None,
) -> list[Example]:
    """Complete the best, median and worst case of each set again with every method.

    Args:
        methods: By name; the first one's hole PSNR ranks the cases. A method that is to work blind must ignore the mask that
            it is given.
        results: Each method's records, which rank the cases and give the captions' figures.
        cases: Those that were evaluated.
        sampler: Completes (image, mask) with several samples; None shows none.

    Returns:
        One example per case: the input, the mask, each method with its figures, the samples, the truth, and the first
        uncertainty that a method predicts.
    """
    by_name = {(case.set, case.id): case for case in cases}
    scores = {(method, record.set, record.id): record.score for method, records in results.items() for record in records}
    made: list[Example] = []
    for name, group in by_set(results[next(iter(results))] if results else ()).items():
        counted = [record for record in group if not math.isnan(record.score.hole_psnr)]
        ranked = sorted(counted, key=lambda record: record.score.hole_psnr, reverse=True)
        # where there are few, one case may have several of these ranks; it is shown once, under the last one here
        labels = {len(ranked) // 2: "median", len(ranked) - 1: "worst", 0: "best"}
        for rank in sorted(labels) if ranked else ():
            case = by_name[name, ranked[rank].id]
            own = {method: scores[method, name, case.id] for method in methods}
            made.append((f"{name} / {case.id}: {labels[rank]} of {len(ranked)}", _pictures(case, methods, own, sampler)))
    return made


def _pictures(
    case: Case,
    methods: Mapping[str, Method],
    scores: Mapping[str, Score],
    sampler: Callable[[np.ndarray, np.ndarray], Completion] | None,
) -> list[Picture]:
    given, mask, target = case.read()
    grey = np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=2)
    # shrunk at once, for photographs of many megapixels
    shown = [Picture("input", fit(given, SIDE, False)), Picture("mask", fit(grey, SIDE, False), f"{mask.mean():.0%} missing")]
    heat: list[Picture] = []
    for method, complete in methods.items():
        result: Any = complete(given.copy(), mask.copy())
        note = f"{scores[method].hole_psnr:.1f} dB, SSIM {scores[method].hole_ssim:.2f}, GMS {scores[method].gms:.2f}"
        shown.append(Picture(method, fit(getattr(result, "image", result), SIDE, False), note))
        std: Any = getattr(result, "uncertainty", None)
        if not heat and std is not None:
            note = f"{np.median(std[mask]):.2f} is the median, {DEEP} the palest"
            heat = [Picture(f"uncertainty of {method}", fit(heat_map(std), SIDE, False), note)]
    if sampler is not None and mask.any():
        completion = sampler(given, mask)
        for number, (sample, nats) in enumerate(zip(completion.samples, completion.log_likelihood or (), strict=True), 1):
            note = f"{score_case(sample, given, target, mask).hole_psnr:.1f} dB, {nats:.2f} nats a pixel"
            shown.append(Picture(f"sample {number}", fit(sample, SIDE, False), note))
    return [*shown, Picture("truth", fit(target, SIDE, False)), *heat]


def heat_map(std: np.ndarray) -> np.ndarray:
    """Colour standard deviations.

    Args:
        std: float (H, W) in units of [0, 1].

    Returns:
        uint8 (H, W, 3), from black for 0 to pale yellow for 0.25 and more.
    """
    place = np.clip(std / DEEP, 0, 1) * (len(RAMP) - 1)
    channels = [np.interp(place, np.arange(len(RAMP)), RAMP[:, c]) for c in range(3)]
    picture: np.ndarray = np.rint(np.stack(channels, axis=2))
    return picture.astype(np.uint8)


STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #777; }
@media (prefers-color-scheme: dark) { :root { --soft: #aaa; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; } h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .87rem; }
th, td { padding: .2rem .5rem; text-align: right; white-space: nowrap; vertical-align: top; }
th { color: var(--soft); font-weight: 500; white-space: normal; } tbody { border-top: 1px solid var(--line); }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
td:nth-child(2) { white-space: normal; overflow-wrap: anywhere; min-width: 9rem; }
td small { display: block; color: var(--soft); font-size: .72rem; }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .6rem; } figure { margin: 0; }
img { width: 100%; border-radius: 4px; display: block; } figcaption { overflow-wrap: anywhere; }
figcaption { line-height: 1.3; margin-top: .2rem; } figcaption, .note { font-size: .85rem; }
figcaption small, .note { color: var(--soft); }
.note { max-width: 60rem; }
"""


def html(
    results: Results, examples: Iterable[Example] = (), alarms: Alarms | None = None, title: str = "pixelrnn: evaluation"
) -> str:
    """Write the page: the tables with intervals and notes, then the examples, embedded as JPEG.

    Args:
        results: The records by method.
        examples: What `examples` returns.
        alarms: The false alarms by method.
        title: The page's title, as plain text.
    """
    parts = [_table(grid) for grid in grids(results, alarms)]
    shown = [f'<h3>{escape(heading)}</h3><div class="row">{_figures(pictures)}</div>' for heading, pictures in examples]
    if shown:
        first = escape(next(iter(results), ""))
        parts.append(f'<h2>Pictures</h2><p class="note">Ranked by the hole PSNR of {first}.</p>' + "\n".join(shown))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + f'\n<p class="note">{escape(facts())}</p></body></html>\n'
    )


def _table(grid: Grid) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in grid.head)
    body = ""
    for group, rows in grid.groups:
        lines = [
            f"<tr><td>{escape(group) if i == 0 else ''}</td><td>{escape(method)}</td>{''.join(map(_cell, cells))}</tr>"
            for i, (method, cells) in enumerate(rows)
        ]
        body += f"<tbody>{''.join(lines)}</tbody>"
    note = f'<p class="note">{escape(grid.note)}</p>' if grid.note else ""
    table = f"<table><thead><tr>{head}</tr></thead>{body}</table>"
    return f'<h2>{escape(grid.title)}</h2><div class="wide">{table}</div>{note}'


def _cell(cell: Cell) -> str:
    interval = f"<small>{cell.interval}</small>" if cell.interval else ""
    return f"<td>{f'<b>{cell.text}</b>' if cell.best else cell.text}{interval}</td>"


def _figures(pictures: Sequence[Picture]) -> str:
    return "".join(
        f'<figure><img alt="{escape(picture.name)}" src="{_data_uri(picture.image)}"><figcaption>{escape(picture.name)}'
        f"{f'<br><small>{escape(picture.note)}</small>' if picture.note else ''}</figcaption></figure>"
        for picture in pictures
    )


def _data_uri(image: np.ndarray) -> str:
    """Encode uint8 (H, W, 3) as a JPEG of at most 320 px a side, in a URI."""
    buffer = io.BytesIO()
    Image.fromarray(fit(image, SIDE, False)).save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
