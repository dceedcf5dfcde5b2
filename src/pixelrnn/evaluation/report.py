"""Results as tables on a console, one Markdown page and one JSON document; `report_html` makes the HTML page."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from .environment import facts, machine, versions
from .grids import (
    CALIBRATION_NOTE,
    CLEAN_NOTE,
    DETECTION_NOTE,
    DIFFERENCE_NOTE,
    MORE,
    NOTE,
    SHARPNESS_NOTE,
    Alarms,
    Cell,
    Results,
    calibrations,
    grids,
    paired_differences,
)
from .summaries import SHARES, Summary, summarise


def tables(results: Results, alarms: Alarms | None = None) -> list[Table]:
    """Make the tables for a rich console, one row per method."""
    made = []
    for grid in grids(results, alarms, brief=True):
        table = Table(box=box.SIMPLE_HEAD, caption=grid.note or None, caption_justify="left", padding=(0, 1, 0, 0))
        for i, head in enumerate(grid.head):
            # where the console is narrow a long method's name is folded, never a figure
            table.add_column(head.replace(" ", "\n"), justify="left" if i < 2 else "right", no_wrap=i != 1, overflow="fold")
        for group, rows in grid.groups:
            for i, (method, cells) in enumerate(rows):
                # Text: a name may hold what rich would take for markup
                figures = [Text(cell.text, "bold" if cell.best else "") for cell in cells]
                table.add_row(Text(group if i == 0 else ""), Text(method), *figures)
            table.add_section()
        made.append(table)
    return made


def to_markdown(results: Results, alarms: Alarms | None = None) -> str:
    """Write all tables in Markdown: intervals in brackets, the notes, the machine and the versions."""

    def row(texts: Iterable[str]) -> str:
        # a bar would end the cell
        return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |"

    def words(cell: Cell) -> str:
        text = f"**{cell.text}**" if cell.best else cell.text
        return f"{text} ({cell.interval})" if cell.interval else text

    lines = []
    for grid in grids(results, alarms):
        lines += [f"## {grid.title}", "", row(grid.head), row(["---", "---", *["---:"] * (len(grid.head) - 2)])]
        for group, rows in grid.groups:
            for method, cells in rows:
                lines.append(row([group, method, *map(words, cells)]))
        lines += ["", *([grid.note, ""] if grid.note else [])]
    return "\n".join([*lines, facts(), ""])


def to_json(results: Results, alarms: Alarms | None = None, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make one document for `json.dumps` with all figures, the machine and the versions.

    Args:
        results: The records by method.
        alarms: The false alarms by method.
        settings: What was evaluated and how; it is written as given.

    Returns:
        {"sets": {SET: {METHOD: {"count", "hole_psnr", ..., "interval": {"hole_psnr": [low, high], ...}}}},
        "missing": {"10-20 %": {METHOD: ...}}, "differences": {SET: {OTHER METHOD: ...}}, the first method minus the other,
        "calibration": {SET: {METHOD: {"predicted": {...}, "constant": {...}}}}, "clean": {METHOD: {...}},
        "settings": as given, "machine": {...}, "versions": {...}, "notes": [...]}.
        A figure that is nan is None, and so is the version of a package that is not installed.
    """
    document: dict[str, Any] = {"sets": {}, "missing": {}, "differences": {}}
    for method, records in results.items():
        for key, groups in zip(("sets", "missing"), summarise(records), strict=True):
            for name, summary in groups.items():
                document[key].setdefault(name, {})[method] = _figures(summary)
    document["missing"] = {name: document["missing"][name] for name in SHARES if name in document["missing"]}
    for method, sets in paired_differences(results).items():
        for name, summary in sets.items():
            document["differences"].setdefault(name, {})[method] = _figures(summary)
    document["calibration"] = {
        name: {method: {kind: asdict(calibration) for kind, calibration in kinds.items()} for method, kinds in methods.items()}
        for name, methods in calibrations(results).items()
    }
    document["clean"] = {
        method: {
            "pictures": alarm.pictures,
            "altered": alarm.altered,
            "left_alone": alarm.left_alone,
            **_figures({"called_missing": alarm.called_missing}),
        }
        for method, alarm in (alarms or {}).items()
    }
    document |= {"settings": dict(settings or {}), "machine": machine(), "versions": versions()}
    document["notes"] = [NOTE, MORE, SHARPNESS_NOTE, DIFFERENCE_NOTE, DETECTION_NOTE, CALIBRATION_NOTE, CLEAN_NOTE]
    cleaned: dict[str, Any] = _without_nan(document)
    return cleaned


def _figures(summary: Summary) -> dict[str, Any]:
    intervals = {name: [estimate.low, estimate.high] for name, estimate in summary.items() if not math.isnan(estimate.low)}
    return {name: estimate.mean for name, estimate in summary.items()} | {"interval": intervals}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
