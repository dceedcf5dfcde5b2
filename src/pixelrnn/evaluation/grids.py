"""Results as tables of text: which figures there are, how they are formatted, and what they mean.

`Results` are the records of `scores.evaluate` by the method's name, `Alarms` those of `detection.false_alarms`. A figure that
is nan, having no meaning for the cases, is shown as a dash.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from .bootstrap import Estimate
from .calibration import Calibration, calibrate
from .detection import FalseAlarms
from .scores import Record
from .summaries import SHARES, Summary, by_set, differences, summarise

Results = Mapping[str, Sequence[Record]]
Alarms = Mapping[str, FalseAlarms]

DASH = "–"  # a figure that is nan


class Column(NamedTuple):
    """A column of one figure of a Summary.

    Attributes:
        head: The column's heading.
        figure: The figure's name in the Summary.
        form: The format specification of the value times `scale`.
        scale: The factor from the figure's unit to the column's.
        greatest: Whether the greatest value of a group is the best and made bold.
        brief: Whether a console shows the column; it has no room for all.
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
    "pictures). Raw: of the picture exactly as the method returns it. Peak: the MB by which the process's resident memory "
    "rose during the first picture of a set, without the weights; Linux only."
)
SHARPNESS_NOTE = (
    "All are 1 for the truth. Energy: mean square of the luma's differences between neighbours that are both missing; below 1 "
    "is blurred, above it noisy. The ratio is pooled: the pictures' sum over the truth's sum, so that rich pictures count "
    "most; the median is that of the pictures' own ratios. Step: mean difference across the hole's border, pooled too; above "
    "1 is a seam."
)
DIFFERENCE_NOTE = (
    "The first method minus the other on the same pictures, mean and 95% interval. Above zero the first is better, "
    "except for the perceptual distance, where lower is better."
)
DETECTION_NOTE = (
    "The mask that a blind method used against the true one; seen: the mask before it was dilated for filling. Precision "
    "leaves out pictures in which nothing was found. False: % of the known pixels that were called missing."
)
CALIBRATION_NOTE = (
    "Over missing pixels, at most 4,000 drawn from each picture, colour channels apart, mask given. Within: % of the errors "
    "that are at most one predicted deviation (68 for normal errors); by fifth: the same in each fifth of the pixels, from the "
    "smallest deviations predicted to the largest. Rank: Spearman correlation of deviation and error, pooled and the median of "
    "the pictures' own. Constant: one deviation for all pixels of the set, the root mean square of the errors."
)
CLEAN_NOTE = (
    "Missing: mean % of the pixels that would be redrawn, dilated as for filling. Alone: pictures in which nothing was found."
)


class Cell(NamedTuple):
    """A figure as text, whether it is the best of its column and group, and its confidence interval, if any."""

    text: str
    best: bool = False
    interval: str = ""


class Grid(NamedTuple):
    """A table before it is formatted. Each group has a name, and per method the name and one Cell for each further column."""

    title: str
    head: list[str]
    groups: list[tuple[str, list[tuple[str, list[Cell]]]]]
    note: str


def grids(results: Results, alarms: Alarms | None = None, brief: bool = False) -> list[Grid]:
    """Make the tables; one without a row is left out.

    They hold the figures by set and by missing share (all sets together), sharpness, paired differences (not brief), detection,
    calibration, and photographs without an occlusion.

    Args:
        results: The records by method.
        alarms: The false alarms by method.
        brief: Whether to keep to what a console has room for.
    """
    summaries = {method: summarise(records) for method, records in results.items()}
    columns = [column for column in COLUMNS if column.brief or not brief]
    sets = {method: summary.by_set for method, summary in summaries.items()}
    shares = {method: summary.by_missing for method, summary in summaries.items()}
    blind = {method: groups for method, groups in sets.items() if any(record.mask for record in results[method])}
    note = NOTE if brief else f"{NOTE} {MORE}"
    small = max((sum(math.isnan(record.score.ssim) for record in records) for records in results.values()), default=0)
    note += f" SSIM leaves out {small} pictures smaller than its window of 11 x 11." if small else ""
    paired = {} if brief else paired_differences(results)
    tables = [
        _grid("By set", ["set", "method"], columns, sets, brief, ""),
        _grid("By share of the picture that is missing", ["missing", "method"], columns, shares, brief, note, SHARES),
        _grid("Sharpness", ["set", "method"], SHARPNESS, sets, brief, SHARPNESS_NOTE),
        _grid("Paired differences", ["set", "first minus"], DIFFERENCE, paired, brief, DIFFERENCE_NOTE),
        _grid("Detection", ["set", "method"], DETECTION, blind, brief, DETECTION_NOTE),
        _calibration_grid(results),
        _clean_grid(alarms or {}),
    ]
    return [grid for grid in tables if grid.groups]


def _grid(
    title: str,
    head: list[str],
    columns: Sequence[Column],
    summaries: Mapping[str, Mapping[str, Summary]],
    brief: bool,
    note: str,
    order: Iterable[str] = (),
) -> Grid:
    """Make a table of summaries by method and group; the groups in `order`, or as they come."""
    groups = []
    for name in order or dict.fromkeys(name for summary in summaries.values() for name in summary):
        group = {method: summary[name] for method, summary in summaries.items() if name in summary}
        if group:
            cells = [_cells(column, [summary[column.figure] for summary in group.values()], brief) for column in columns]
            groups.append((name, list(zip(group, map(list, zip(*cells, strict=True)), strict=True))))
    return Grid(title, [*head, *(column.head for column in columns)], groups, note)


def _cells(column: Column, estimates: list[Estimate], brief: bool) -> list[Cell]:
    """Format one column of one group; equal texts are equally good."""

    def text(value: float) -> str:
        return _text(value * column.scale, column.form)

    best = max((estimate.mean for estimate in estimates if not math.isnan(estimate.mean)), default=math.nan)
    compared = column.greatest and len(estimates) > 1 and not math.isnan(best)
    return [
        Cell(
            text(estimate.mean),
            compared and text(estimate.mean) == text(best),
            # none where it has no width
            "" if brief or text(estimate.low) in (DASH, text(estimate.high)) else _interval(text, estimate),
        )
        for estimate in estimates
    ]


def paired_differences(results: Results) -> dict[str, dict[str, Summary]]:
    """Summarise the first method minus each other one, by the other's name and by set."""
    first, *others = results or [""]
    return {other: differences(results[first], results[other]) for other in others}


def calibrations(results: Results) -> dict[str, dict[str, dict[str, Calibration]]]:
    """Calibrate the predicted uncertainties by set and method.

    Returns:
        By set and method, {"predicted": that of the method's deviations, "constant": that of one number in their place}.
    """
    sets: dict[str, dict[str, dict[str, Calibration]]] = {}
    for method, records in results.items():
        for name, group in by_set(records).items():
            samples = [record.pixels for record in group if record.pixels is not None]
            predicted, constant = calibrate(samples), calibrate(samples, constant=True)
            if predicted and constant:
                sets.setdefault(name, {})[method] = {"predicted": predicted, "constant": constant}
    return sets


def _calibration_grid(results: Results) -> Grid:
    def cells(calibration: Calibration) -> list[Cell]:
        texts = [
            f"{calibration.pixels}",
            _text(calibration.deviation, ".3f"),
            _text(calibration.error, ".3f"),
            _text(100 * calibration.within, ".1f"),
            " ".join(_text(100 * share, ".0f") for share in calibration.fifths),
            _text(calibration.correlation, ".2f"),
            _text(calibration.correlation_per_image, ".2f"),
        ]
        return [Cell(text) for text in texts]

    groups = []
    for name, methods in calibrations(results).items():
        rows = []
        for method, kinds in methods.items():
            rows += [(method, cells(kinds["predicted"])), (f"{method}: constant", cells(kinds["constant"]))]
        groups.append((name, rows))
    head = ["set", "method", "pixels", "deviation", "error", "within %", "by fifth %", "rank", "rank in picture"]
    return Grid("Calibration of the uncertainty", head, groups, CALIBRATION_NOTE)


def _clean_grid(alarms: Alarms) -> Grid:
    def text(value: float) -> str:
        return _text(value, ".2f")

    rows = []
    for method, alarm in alarms.items():
        estimate = alarm.called_missing
        interval = "" if math.isnan(estimate.low) else _interval(text, estimate)
        counts = [Cell(f"{count}") for count in (alarm.altered, alarm.left_alone)]
        rows.append((method, [Cell(f"{alarm.pictures}"), Cell(text(estimate.mean), interval=interval), *counts]))
    return Grid(
        "Photographs with nothing in the way",
        ["", "method", "n", "missing %", "altered", "alone"],
        [("clean", rows)] if rows else [],
        CLEAN_NOTE,
    )


def _text(value: float, form: str) -> str:
    return DASH if math.isnan(value) else format(value, form)


def _interval(text: Callable[[float], str], estimate: Estimate) -> str:
    return f"{text(estimate.low)} to {text(estimate.high)}"
