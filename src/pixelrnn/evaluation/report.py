"""Numbers to tables, pictures, one JSON document and one Markdown page; `report_html` makes the HTML one.

`Results` are the records of `evaluation.evaluate` by the method's name, `Alarms` those of `evaluation.false_alarms`. A figure
that is nan, having no meaning for the cases, is shown as a dash and is null in JSON. Pictures are RGB uint8 (H, W, 3).
"""

import math
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from rich import box
from rich.table import Table
from rich.text import Text

from ..encode import write_image
from ..errors import PixelRNNError
from ..image import resize
from .calibration import Calibration, calibrate
from .scores import SHARES, Estimate, FalseAlarms, Record, Summary, by_set, differences, summarise

Results = Mapping[str, Sequence[Record]]
Alarms = Mapping[str, FalseAlarms]

PACKAGES = ("pixelrnn", "numpy", "torch", "pillow", "scikit-image", "pypatchmatch")
OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")
MAX_SIDE = 65_500  # pixels, of a JPEG
GAP, CAPTION = 4, 14  # pixels of a sheet: between the two of a pair, and the height of a line of text


class Column(NamedTuple):
    """A column of one figure of a Summary; where `greatest` is True the best method of a group is made bold.

    Those that are not `brief` are left out on a console, which has not the width.
    """

    head: str
    figure: str
    form: str
    scale: float = 1
    greatest: bool = False
    brief: bool = True


COLUMNS = (
    Column("n", "count", ".0f"),
    Column("hole %", "missing", ".1f", 100),
    Column("hole PSNR", "hole_psnr", ".2f", greatest=True),
    Column("hole SSIM", "hole_ssim", ".3f", greatest=True),
    Column("GMS", "gms", ".3f", greatest=True, brief=False),
    Column("perceptual", "perceptual", ".3f"),
    Column("PSNR", "psnr", ".2f", greatest=True, brief=False),
    Column("SSIM", "ssim", ".4f", greatest=True),
    Column("raw PSNR", "raw_psnr", ".2f", greatest=True, brief=False),
    Column("raw SSIM", "raw_ssim", ".4f", greatest=True, brief=False),
    Column("changed %", "changed", ".2f"),
    Column("ms", "seconds", ".0f", 1000),
    Column("peak MB", "memory", ".0f", brief=False),
)
DETECTION = tuple(
    Column(f"{before}{head}", f"{mask}_{figure}", form, greatest=greatest)
    for before, mask in (("", "mask"), ("seen ", "ungrown"))
    for head, figure, form, greatest in (
        ("IoU", "iou", ".3f", True),
        ("precision", "precision", ".3f", True),
        ("recall", "recall", ".3f", True),
        ("false %", "false_positive", ".2f", False),
    )
)
DIFFERENCE = (
    Column("n", "count", ".0f"),
    Column("hole PSNR", "hole_psnr", "+.2f"),
    Column("hole SSIM", "hole_ssim", "+.3f"),
    Column("GMS", "gms", "+.3f"),
    Column("perceptual", "perceptual", "+.3f"),
)
SHARPNESS = (
    Column("n", "count", ".0f"),
    Column("energy ratio", "energy_ratio", ".3f"),
    Column("median ratio", "energy_ratio_median", ".3f"),
    Column("GMS", "gms", ".3f", greatest=True),
    Column("step ratio", "step_ratio", ".3f"),
)
NOTE = (
    "Means over n pictures. Hole: missing pixels. PSNR in dB; PSNR and SSIM are of the picture with the truth around the hole, "
    "hole SSIM, GMS (gradient magnitude similarity) and perceptual distance (EfficientNet-Lite0's features, lower is closer; "
    "needs the extra perceptual) of its hole. Changed: known pixels over 4 px from the hole that are not as given. "
    "Ms: median time per picture, of the method alone."
)
MORE = (
    "Intervals: 95% confidence over the pictures (percentile bootstrap, 2,000 draws, fixed seed; too narrow below some twenty "
    "pictures). Raw: of the picture exactly as the method gives it. Peak: the MB by which the process's resident memory rose "
    "during the first picture of a set, the weights, loaded before, not counted; Linux alone."
)
SHARPNESS_NOTE = (
    "All are 1 for the truth. Energy: mean square of the luma's differences between neighbours that are both missing; below 1 "
    "is blurred, above it noisy. The ratio is pooled: the pictures' sum over the truth's sum, so that rich pictures count "
    "most; the median is that of the pictures' own ratios. Step: mean difference across the hole's border, pooled too; above "
    "1 is a seam."
)
DIFFERENCE_NOTE = (
    "The first method minus the other on the same pictures, mean and 95% interval. Above zero the first is better, but for "
    "the perceptual distance, of which less is better."
)
DETECTION_NOTE = (
    "The mask a blind method completed under against the true one; seen: before it was grown for filling. Precision leaves out "
    "pictures in which nothing was found. False: % of the known pixels that were called missing."
)
CALIBRATION_NOTE = (
    "Over missing pixels, at most 4,000 drawn from each picture, colour channels apart, mask given. Within: % of the errors "
    "that are at most one predicted deviation (68 for normal errors); by fifth: the same in each fifth of the pixels, from the "
    "smallest deviations predicted to the largest. Rank: Spearman correlation of deviation and error, pooled and the median of "
    "the pictures' own. Constant: one deviation for all pixels of the set, the root mean square of the errors."
)
CLEAN_NOTE = (
    "Missing: mean % of the pixels that would be redrawn, grown as for filling. Alone: pictures in which nothing was found."
)


class Cell(NamedTuple):
    """A figure as text, whether it is the best of its column and group, and its confidence interval where it has one."""

    text: str
    best: bool = False
    interval: str = ""


class Grid(NamedTuple):
    """A table before anybody draws it: per group its name and, per method, the name and one Cell per further column."""

    title: str
    head: list[str]
    groups: list[tuple[str, list[tuple[str, list[Cell]]]]]
    note: str


def grids(results: Results, alarms: Alarms | None = None, brief: bool = False) -> list[Grid]:
    """The tables, those that have nothing to tell left out; brief: what a console has room for.

    Figures by set and by missing share (all sets together), sharpness, paired differences (not brief), detection, calibration,
    clean photographs.
    """
    summaries = {method: summarise(records) for method, records in results.items()}
    columns = [column for column in COLUMNS if column.brief or not brief]
    sets = {method: summary.by_set for method, summary in summaries.items()}
    shares = {method: summary.by_missing for method, summary in summaries.items()}
    found = {method: groups for method, groups in sets.items() if any(r.mask for r in results[method])}
    note = NOTE if brief else f"{NOTE} {MORE}"
    small = max((sum(math.isnan(record.score.ssim) for record in records) for records in results.values()), default=0)
    note += f" SSIM leaves out {small} pictures smaller than its window of 11 x 11." if small else ""
    made = [
        _grid("By set", ["set", "method"], columns, sets, brief, ""),
        _grid("By share of the picture that is missing", ["missing", "method"], columns, shares, brief, note, SHARES),
        _grid("Sharpness", ["set", "method"], SHARPNESS, sets, brief, SHARPNESS_NOTE),
        _grid("Paired differences", ["set", "first minus"], DIFFERENCE, _differences(results), brief, DIFFERENCE_NOTE),
        _grid("Detection", ["set", "method"], DETECTION, found, brief, DETECTION_NOTE),
        _calibration_grid(results),
        _clean_grid(alarms or {}),
    ]
    return [grid for grid in made if grid.groups and not (brief and grid.title == "Paired differences")]


def _grid(
    title: str,
    head: list[str],
    columns: Sequence[Column],
    summaries: Mapping[str, Mapping[str, Summary]],
    brief: bool,
    note: str,
    order: Iterable[str] = (),
) -> Grid:
    """The summaries, by method and group, as a table; groups in `order`, or as they come."""
    groups = []
    for name in order or dict.fromkeys(name for summary in summaries.values() for name in summary):
        found = {method: summary[name] for method, summary in summaries.items() if name in summary}
        if found:
            cells = [_cells(column, [summary[column.figure] for summary in found.values()], brief) for column in columns]
            groups.append((name, list(zip(found, map(list, zip(*cells, strict=True)), strict=True))))
    return Grid(title, [*head, *(column.head for column in columns)], groups, note)


def _cells(column: Column, estimates: list[Estimate], brief: bool) -> list[Cell]:
    """One column of one group; equal texts are equally good."""

    def text(value: float) -> str:
        return "–" if math.isnan(value) else format(value * column.scale, column.form)

    best = max((one.mean for one in estimates if not math.isnan(one.mean)), default=math.nan)
    compared = column.greatest and len(estimates) > 1 and not math.isnan(best)
    return [
        Cell(
            text(one.mean),
            compared and text(one.mean) == text(best),
            # nor where it has no width
            "" if brief or text(one.low) in ("–", text(one.high)) else f"{text(one.low)} to {text(one.high)}",
        )
        for one in estimates
    ]


def _differences(results: Results) -> dict[str, dict[str, Summary]]:
    """The first method minus each other: by the other's name and by set."""
    first, *others = results or [""]
    return {other: differences(results[first], results[other]) for other in others}


def _calibrations(results: Results) -> dict[str, dict[str, dict[str, Calibration]]]:
    """By set and method: {"predicted": the method's deviations, "constant": one number in their place}."""
    made: dict[str, dict[str, dict[str, Calibration]]] = {}
    for method, records in results.items():
        for name, group in by_set(records).items():
            samples = [record.pixels for record in group if record.pixels is not None]
            predicted, constant = calibrate(samples), calibrate(samples, constant=True)
            if predicted and constant:
                made.setdefault(name, {})[method] = {"predicted": predicted, "constant": constant}
    return made


def _calibration_grid(results: Results) -> Grid:
    def cells(one: Calibration) -> list[Cell]:
        fifths = " ".join(_text(100 * share, ".0f") for share in one.fifths)
        shown = [f"{one.pixels}", _text(one.deviation, ".3f"), _text(one.error, ".3f"), _text(100 * one.within, ".1f"), fifths]
        return [Cell(text) for text in (*shown, *(_text(rank, ".2f") for rank in (one.correlation, one.correlation_per_image)))]

    groups = [
        (
            name,
            [
                (m if kind == "predicted" else f"{m}: constant", cells(one))
                for m, by in methods.items()
                for kind, one in by.items()
            ],
        )
        for name, methods in _calibrations(results).items()
    ]
    head = ["set", "method", "pixels", "deviation", "error", "within %", "by fifth %", "rank", "rank in picture"]
    return Grid("Calibration of the uncertainty", head, groups, CALIBRATION_NOTE)


def _clean_grid(alarms: Alarms) -> Grid:
    rows = []
    for method, one in alarms.items():
        mean, low, high = (_text(value, ".2f") for value in one.called_missing)
        interval = "" if math.isnan(one.called_missing.low) else f"{low} to {high}"
        counts = [Cell(f"{count}") for count in (one.altered, one.left_alone)]
        rows.append((method, [Cell(f"{one.pictures}"), Cell(mean, interval=interval), *counts]))
    return Grid(
        "Photographs with nothing in the way",
        ["", "method", "n", "missing %", "altered", "alone"],
        [("clean", rows)] if rows else [],
        CLEAN_NOTE,
    )


def _text(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)


def tables(results: Results, alarms: Alarms | None = None) -> list[Table]:
    """The tables for a rich console, one row per method."""
    made = []
    for grid in grids(results, alarms, brief=True):
        table = Table(box=box.SIMPLE_HEAD, caption=grid.note or None, caption_justify="left", padding=(0, 1, 0, 0))
        for i, head in enumerate(grid.head):
            # where the console is narrow a long method's name is folded, never a figure
            table.add_column(head.replace(" ", "\n"), justify="left" if i < 2 else "right", no_wrap=i != 1, overflow="fold")
        for group, rows in grid.groups:
            for i, (method, cells) in enumerate(rows):
                # Text, for a name may hold what rich would read as markup
                figures = [Text(cell.text, "bold" if cell.best else "") for cell in cells]
                table.add_row(Text(group if i == 0 else ""), Text(method), *figures)
            table.add_section()
        made.append(table)
    return made


def to_markdown(results: Results, alarms: Alarms | None = None) -> str:
    """All tables in Markdown, intervals in brackets, with their notes, the machine and the versions."""

    def row(words: Iterable[str]) -> str:
        # a bar would end the cell
        return f"| {' | '.join(word.replace('|', chr(92) + '|') for word in words)} |"

    lines = []
    for grid in grids(results, alarms):
        lines += [f"## {grid.title}", "", row(grid.head), row(["---", "---", *["---:"] * (len(grid.head) - 2)])]
        for group, rows in grid.groups:
            for method, cells in rows:
                texts = [f"**{cell.text}**" if cell.best else cell.text for cell in cells]
                told = [f"{text} ({cell.interval})" if cell.interval else text for text, cell in zip(texts, cells, strict=True)]
                lines.append(row([group, method, *told]))
        lines += ["", *([grid.note, ""] if grid.note else [])]
    return "\n".join([*lines, facts(), ""])


def to_json(results: Results, alarms: Alarms | None = None, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One document for `json.dumps`: all figures, the machine and the versions; nan is None, a package not installed too.

    {"sets": {SET: {METHOD: {"count", "hole_psnr", ..., "interval": {"hole_psnr": [low, high], ...}}}},
     "missing": {"10-20 %": {METHOD: ...}}, "differences": {SET: {OTHER METHOD: ...}}, the first method minus the other,
     "calibration": {SET: {METHOD: {"predicted": {...}, "constant": {...}}}}, "clean": {METHOD: {...}},
     "settings": as given, "machine": {...}, "versions": {...}, "notes": [...]}
    """
    document: dict[str, Any] = {"sets": {}, "missing": {}, "differences": {}}
    for method, records in results.items():
        for key, groups in zip(("sets", "missing"), summarise(records), strict=True):
            for name, summary in groups.items():
                document[key].setdefault(name, {})[method] = _figures(summary)
    document["missing"] = {name: document["missing"][name] for name in SHARES if name in document["missing"]}
    for method, sets in _differences(results).items():
        for name, summary in sets.items():
            document["differences"].setdefault(name, {})[method] = _figures(summary)
    document["calibration"] = {
        name: {method: {kind: asdict(one) for kind, one in kinds.items()} for method, kinds in methods.items()}
        for name, methods in _calibrations(results).items()
    }
    document["clean"] = {
        method: {
            "pictures": one.pictures,
            "altered": one.altered,
            "left_alone": one.left_alone,
            **_figures({"called_missing": one.called_missing}),
        }
        for method, one in (alarms or {}).items()
    }
    document |= {"settings": dict(settings or {}), "machine": _machine(), "versions": _versions()}
    document["notes"] = [NOTE, MORE, SHARPNESS_NOTE, DIFFERENCE_NOTE, DETECTION_NOTE, CALIBRATION_NOTE, CLEAN_NOTE]
    cleaned: dict[str, Any] = _without_nan(document)
    return cleaned


def _figures(summary: Summary) -> dict[str, Any]:
    intervals = {name: [one.low, one.high] for name, one in summary.items() if not math.isnan(one.low)}
    return {name: one.mean for name, one in summary.items()} | {"interval": intervals}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _machine() -> dict[str, Any]:
    cpu = platform.processor()
    try:
        named = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        cpu = named[0].split(":", 1)[1].strip() if named else cpu
    except OSError:
        pass  # not Linux: what platform says
    return {"platform": platform.platform(), "cpu": cpu or None, "cpus": os.cpu_count(), "python": platform.python_version()}


def _versions() -> dict[str, str | None]:
    return {name: _version(name) for name in PACKAGES} | {"opencv": _version(*OPENCV)}


def facts() -> str:
    """The machine and the versions in one line."""
    machine = _machine()
    told = [f"{name} {version}" for name, version in _versions().items() if version]
    cpu = f"{machine['cpu']}, " if machine["cpu"] else ""
    return f"{machine['platform']}, {cpu}{machine['cpus']} CPUs; Python {machine['python']}, {', '.join(told)}"


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
    left, right = (fit(picture, cell) for picture in (occluded, completed))
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


def fit(picture: np.ndarray, side: int, enlarge: bool = True) -> np.ndarray:
    """`picture` resized so that its long side is `side`; without `enlarge` a smaller one stays."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale >= 1 and not enlarge:
        return picture
    return resize(picture, max(1, round(width * scale)), max(1, round(height * scale)))
