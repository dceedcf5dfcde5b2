"""One self-contained HTML page of an evaluation: the tables of `report`, and the best, median and worst cases in pictures.

It loads nothing, runs no script and is read in light and dark. Pictures are RGB uint8 (H, W, 3).
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
from .report import Alarms, Results, facts, fit, grids
from .scores import Method, Score, by_set, score_case

SIDE = 320  # pixels, of the pictures in the page
DEEP = 0.25  # deviation, in units of [0, 1], that is painted in the last colour of the ramp, and all above
RAMP = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]])  # matplotlib's inferno, five of it


class Picture(NamedTuple):
    """What the page shows under one caption: uint8 (H, W, 3), its name, and its figures in a line."""

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
    """The best, median and worst case of each set by the first method's hole PSNR, completed again by every method.

    Per case: input, mask, each method with its figures, samples of `sampler`, truth, and the first uncertainty that a method
    predicts. A method that is to work blind must leave the mask it is given alone.
    """
    by_name = {(case.set, case.id): case for case in cases}
    scores = {(method, one.set, one.id): one.score for method, several in results.items() for one in several}
    made: list[Example] = []
    for name, group in by_set(results[next(iter(results))] if results else ()).items():
        counted = [one for one in group if not math.isnan(one.score.hole_psnr)]
        ranked = sorted(counted, key=lambda one: one.score.hole_psnr, reverse=True)
        # a case that is two of these, where there are few, is shown once, as the first of them
        labels = {len(ranked) // 2: "median", len(ranked) - 1: "worst", 0: "best"}
        for place in sorted(labels) if ranked else ():
            case = by_name[name, ranked[place].id]
            own = {method: scores[method, name, case.id] for method in methods}
            made.append((f"{name} / {case.id}: {labels[place]} of {len(ranked)}", _pictures(case, methods, own, sampler)))
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
        deviation: Any = getattr(result, "uncertainty", None)
        if not heat and deviation is not None:
            middle = f"{np.median(deviation[mask]):.2f} is the median, {DEEP} the palest"
            heat = [Picture(f"uncertainty of {method}", fit(heat_map(deviation), SIDE, False), middle)]
    if sampler is not None and mask.any():
        drawn = sampler(given, mask)
        for number, (one, nats) in enumerate(zip(drawn.samples, drawn.log_likelihood or (), strict=True), 1):
            note = f"{score_case(one, given, target, mask).hole_psnr:.1f} dB, {nats:.2f} nats a pixel"
            shown.append(Picture(f"sample {number}", fit(one, SIDE, False), note))
    return [*shown, Picture("truth", fit(target, SIDE, False)), *heat]


def heat_map(deviation: np.ndarray) -> np.ndarray:
    """Deviation (H, W) in units of [0, 1] as colours, uint8 (H, W, 3): from black for 0 to pale yellow for 0.25 and more."""
    place = np.clip(deviation / DEEP, 0, 1) * (len(RAMP) - 1)
    channels = [np.interp(place, np.arange(len(RAMP)), RAMP[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=2)).astype(np.uint8)


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
    """The page, one string: tables with their intervals and notes, then the pictures, inside it as JPEG."""
    parts = []
    for grid in grids(results, alarms):
        bodies = []
        for group, rows in grid.groups:
            lines = []
            for i, (method, cells) in enumerate(rows):
                figures = "".join(
                    f"<td>{f'<b>{cell.text}</b>' if cell.best else cell.text}"
                    f"{f'<small>{cell.interval}</small>' if cell.interval else ''}</td>"
                    for cell in cells
                )
                lines.append(f"<tr><td>{escape(group) if i == 0 else ''}</td><td>{escape(method)}</td>{figures}</tr>")
            bodies.append(f"<tbody>{''.join(lines)}</tbody>")
        head = "".join(f"<th>{escape(name)}</th>" for name in grid.head)
        note = f'<p class="note">{escape(grid.note)}</p>' if grid.note else ""
        parts.append(
            f'<h2>{escape(grid.title)}</h2><div class="wide"><table><thead><tr>{head}</tr></thead>{"".join(bodies)}'
            f"</table></div>{note}"
        )
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


def _figures(pictures: Sequence[Picture]) -> str:
    return "".join(
        f'<figure><img alt="{escape(one.name)}" src="{_data_uri(one.image)}"><figcaption>{escape(one.name)}'
        f"{f'<br><small>{escape(one.note)}</small>' if one.note else ''}</figcaption></figure>"
        for one in pictures
    )


def _data_uri(picture: np.ndarray) -> str:
    """uint8 (H, W, 3) as a JPEG of at most 320 px a side, in a URI."""
    buffer = io.BytesIO()
    Image.fromarray(fit(picture, SIDE, False)).save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
