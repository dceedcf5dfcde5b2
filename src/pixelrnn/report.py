"""Numbers to tables, pictures, one JSON document and one HTML page.

`Results` are the records of `evaluation.evaluate` by the method's name. A figure that is nan, having no meaning for the cases,
is shown as a dash and is null in JSON. Pictures are RGB uint8 (H, W, 3).
"""

import base64
import io
import math
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from html import escape
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from rich import box
from rich.table import Table
from rich.text import Text

from .errors import PixelRNNError
from .evaluation import SHARES, Case, Method, Record, Summary, summarise
from .image import resize, write_image

Results = Mapping[str, Sequence[Record]]
Example = tuple[str, Mapping[str, np.ndarray]]  # a caption, and pictures by what they show: "given", methods, "truth"

OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")
MAX_SIDE = 65_500  # pixels, of a JPEG
GAP, CAPTION = 4, 14  # pixels of a sheet: between the two of a pair, and the height of a line of text


class Column(NamedTuple):
    """A column of figures; in those where `greatest` is True the best method of a group is made bold."""

    head: str
    value: Callable[[Summary], float]
    form: str
    greatest: bool = False


COLUMNS = (
    Column("n", lambda s: s.count, ".0f"),
    Column("hole %", lambda s: 100 * s.missing, ".1f"),
    Column("hole PSNR", lambda s: s.hole_psnr, ".2f", True),
    Column("PSNR", lambda s: s.psnr, ".2f", True),
    Column("SSIM", lambda s: s.ssim, ".4f", True),
    Column("changed %", lambda s: s.changed, ".2f"),
    Column("ms", lambda s: 1000 * s.seconds, ".0f"),
    Column("mask IoU", lambda s: s.mask_iou, ".3f", True),
)
NOTE = (
    "Means over n pictures. Hole: missing pixels. PSNR in dB; PSNR and SSIM are of the picture with the truth around the hole. "
    "Changed: known pixels over 4 px from the hole that are not as given. Ms: median time per picture, of the method alone."
)


class Grid(NamedTuple):
    """A table before anybody draws it: per group its name and, per method, the name and (text, is the best) per column."""

    title: str
    head: list[str]
    groups: list[tuple[str, list[tuple[str, list[tuple[str, bool]]]]]]


def grids(results: Results) -> list[Grid]:
    """Two tables of the same columns: by set, and by missing share (all sets together)."""
    summaries = {method: summarise(records) for method, records in results.items()}
    # only a blind evaluation has masks to compare
    blind = any(not math.isnan(record.mask_iou) for records in results.values() for record in records)
    columns = [column for column in COLUMNS if blind or column.head != "mask IoU"]
    sets = list(dict.fromkeys(name for summary in summaries.values() for name in summary.by_set))
    made = []
    for title, attribute, names in (("set", "by_set", sets), ("missing", "by_missing", list(SHARES))):
        groups = []
        for name in names:
            found = {method: getattr(summary, attribute).get(name) for method, summary in summaries.items()}
            found = {method: summary for method, summary in found.items() if summary is not None}
            if not found:
                continue
            texts = [_cells(column, list(found.values())) for column in columns]
            groups.append((name, [(method, [text[i] for text in texts]) for i, method in enumerate(found)]))
        made.append(Grid(title, [title, "method", *(column.head for column in columns)], groups))
    return made


def _cells(column: Column, summaries: list[Summary]) -> list[tuple[str, bool]]:
    """One column of one group: the texts, and which are the best; equal texts are equally good."""
    values = [float(column.value(summary)) for summary in summaries]
    best = max((value for value in values if not math.isnan(value)), default=math.nan)
    texts = ["–" if math.isnan(value) else format(value, column.form) for value in values]
    compared = column.greatest and len(summaries) > 1 and not math.isnan(best)
    return [(text, compared and text == format(best, column.form)) for text in texts]


def _notes(results: Results) -> str:
    small = max((sum(math.isnan(record.score.ssim) for record in records) for records in results.values()), default=0)
    return NOTE + (f" SSIM leaves out {small} pictures smaller than its window of 11 x 11." if small else "")


def tables(results: Results) -> list[Table]:
    """The two tables for a rich console: by set and by missing share, one row per method."""
    made = []
    for grid in grids(results):
        table = Table(
            box=box.SIMPLE_HEAD,
            caption=_notes(results) if grid.title == "missing" else None,
            caption_justify="left",
            padding=(0, 1, 0, 0),
        )
        for i, head in enumerate(grid.head):
            # where the console is narrow a long method's name is folded, never a figure
            table.add_column(head.replace(" ", "\n"), justify="left" if i < 2 else "right", no_wrap=i != 1, overflow="fold")
        for group, rows in grid.groups:
            for i, (method, cells) in enumerate(rows):
                # Text, for a name may hold what rich would read as markup
                figures = [Text(text, "bold" if best else "") for text, best in cells]
                table.add_row(Text(group if i == 0 else ""), Text(method), *figures)
            table.add_section()
        made.append(table)
    return made


def to_json(results: Results) -> dict[str, Any]:
    """One document for `json.dumps`: the figures by set and by missing share, per method, the machine and the versions.

    {"sets": {SET: {METHOD: {"count", "missing", "hole_psnr", "psnr", "ssim", "changed", "mask_iou", "seconds", ...}}},
     "missing": {"10-20 %": {METHOD: ...}}, "machine": {...}, "versions": {...}}; nan is None, a package not installed too.
    """
    document: dict[str, Any] = {"sets": {}, "missing": {}}
    for method, records in results.items():
        for key, groups in zip(("sets", "missing"), summarise(records), strict=True):
            for name, summary in groups.items():
                figures = {k: None if math.isnan(v) else v for k, v in asdict(summary).items()}
                document[key].setdefault(name, {})[method] = figures
    document["missing"] = {name: document["missing"][name] for name in SHARES if name in document["missing"]}
    machine = {"platform": platform.platform(), "python": platform.python_version(), "cpus": os.cpu_count()}
    versions = {name: _version(name) for name in ("pixelrnn", "numpy", "torch", "pillow")} | {"opencv": _version(*OPENCV)}
    return document | {"machine": machine, "versions": versions}


def _version(*packages: str) -> str | None:
    """The version of the first of `packages` that is installed."""
    for package in packages:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return None


def sheet(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    path: Path,
    columns: int = 4,
    cell: int = 160,
    captions: Iterable[str] | None = None,
) -> None:
    """Write one picture (PNG or JPEG, by `path`) with every (occluded, completed) pair side by side, `columns` pairs in a row.

    Each picture, uint8 (H, W, 3) of any size, is fitted into a square of `cell` pixels, its aspect kept. A pair is let go
    once its thumbnails are made, so `pairs` may be a generator over thousands of photographs. Raises PixelRNNError for no pair
    at all, fewer captions than pairs, and a sheet longer than a JPEG can be.
    """
    if columns < 1 or cell < 1:
        raise PixelRNNError(f"a sheet needs at least 1 column and cells of 1 pixel, got {columns} and {cell}.")
    texts = None if captions is None else iter(captions)
    thumbnails = (_pair(occluded, completed, cell, texts) for occluded, completed in pairs)
    rows: list[np.ndarray] = []
    while row := list(islice(thumbnails, columns)):
        # as wide as the first row, which is not full where there are few pairs
        width = rows[0].shape[1] if rows else sum(pair.shape[1] for pair in row)
        blank = np.full((max(pair.shape[0] for pair in row), width, 3), 255, np.uint8)
        for i, pair in enumerate(row):
            top, left = (blank.shape[0] - pair.shape[0]) // 2, i * pair.shape[1]
            blank[top : top + pair.shape[0], left : left + pair.shape[1]] = pair
        rows.append(blank)
    if not rows:
        raise PixelRNNError(f"{path}: no pictures for the sheet. Give at least one pair.")
    height = sum(row.shape[0] for row in rows)
    if max(height, width) > MAX_SIDE:
        raise PixelRNNError(
            f"{path}: a sheet of {width} x {height} pixels, at most {MAX_SIDE} a side. Change columns ({columns}) "
            f"or cell ({cell}), or write several sheets."
        )
    write_image(Path(path), np.concatenate(rows))


def _pair(occluded: np.ndarray, completed: np.ndarray, cell: int, captions: Iterator[str] | None) -> np.ndarray:
    """Two thumbnails that meet at a narrow gap, (h, 2 cell + 4 gaps, 3), with a white border and the caption below."""
    left, right = (_fit(picture, cell) for picture in (occluded, completed))
    height = max(left.shape[0], right.shape[0])
    block = np.full((height + 2 * GAP + (CAPTION if captions else 0), 2 * cell + 4 * GAP, 3), 255, np.uint8)
    middle = block.shape[1] // 2
    for picture, x in ((left, middle - GAP // 2 - left.shape[1]), (right, middle + GAP // 2)):
        y = GAP + (height - picture.shape[0]) // 2
        block[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    if captions is not None:
        text = next(captions, None)
        if text is None:
            raise PixelRNNError("fewer captions than pairs. Give one for each pair, or none at all.")
        strip = Image.fromarray(block)
        ImageDraw.Draw(strip).text((middle - GAP // 2 - left.shape[1], height + GAP + 1), text, fill=(70, 70, 70))
        block = np.asarray(strip)
    return block


def _fit(picture: np.ndarray, side: int, enlarge: bool = True) -> np.ndarray:
    """`picture` resized so that its long side is `side`; without `enlarge` a smaller one stays."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale >= 1 and not enlarge:
        return picture
    return resize(picture, max(1, round(width * scale)), max(1, round(height * scale)))


def examples(methods: Mapping[str, Method], cases: Sequence[Case], count: int = 6, blind: bool = False) -> list[Example]:
    """Complete `count` cases, evenly spread over `cases`, with every method: what `html` shows."""
    picked = [cases[i] for i in dict.fromkeys(np.linspace(0, len(cases) - 1, min(count, len(cases))).round().astype(int))]
    made: list[Example] = []
    for case in picked:
        given, mask, target = case.read()
        completed = {name: method(given.copy(), None if blind else mask.copy()) for name, method in methods.items()}
        pictures = {name: getattr(result, "image", result) for name, result in completed.items()}
        # shrunk at once, for many photographs of many megapixels
        shown = {name: _fit(picture, 320, False) for name, picture in {"given": given, **pictures, "truth": target}.items()}
        made.append((f"{case.set} / {case.id}", shown))
    return made


STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #888; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem; text-align: right; white-space: nowrap; } th { color: var(--soft); font-weight: 500; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; } tbody { border-top: 1px solid var(--line); }
.row { display: flex; gap: .5rem; overflow-x: auto; margin: 0 0 1rem; } .row figure { margin: 0; flex: 1 1 0; min-width: 8rem; }
img { width: 100%; border-radius: 4px; display: block; } figcaption, .note { color: var(--soft); font-size: .85rem; }
"""


def html(results: Results, examples: Iterable[Example] = (), title: str = "pixelrnn: evaluation") -> str:
    """One page that needs nothing else: the tables, and pictures as `examples` gives them, inside it as JPEG."""
    parts = []
    for grid in grids(results):
        bodies = []
        for group, rows in grid.groups:
            lines = []
            for i, (method, cells) in enumerate(rows):
                figures = "".join(f"<td>{f'<b>{text}</b>' if best else text}</td>" for text, best in cells)
                lines.append(f"<tr><td>{escape(group) if i == 0 else ''}</td><td>{escape(method)}</td>{figures}</tr>")
            bodies.append(f"<tbody>{''.join(lines)}</tbody>")
        head = "".join(f"<th>{escape(name)}</th>" for name in grid.head)
        heading = "By set" if grid.title == "set" else "By share of the picture that is missing"
        parts.append(
            f'<h2>{heading}</h2><div class="wide"><table><thead><tr>{head}</tr></thead>{"".join(bodies)}</table></div>'
        )
    parts.append(f'<p class="note">{escape(_notes(results))}</p>')
    for caption, pictures in examples:
        figures = "".join(
            f'<figure><img alt="{escape(name)}" src="{_data_uri(picture)}"><figcaption>{escape(name)}</figcaption></figure>'
            for name, picture in pictures.items()
        )
        parts.append(f'<h2>{escape(caption)}</h2><div class="row">{figures}</div>')
    facts = to_json(results)
    told = [f"{name} {version}" for name, version in facts["versions"].items() if version]
    footer = f"{facts['machine']['platform']}, {facts['machine']['cpus']} CPUs; {', '.join(told)}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + f'\n<p class="note">{escape(footer)}</p></body></html>\n'
    )


def _data_uri(picture: np.ndarray) -> str:
    """uint8 (H, W, 3) as a JPEG of at most 320 px a side, in a URI."""
    buffer = io.BytesIO()
    Image.fromarray(_fit(picture, 320, False)).save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
