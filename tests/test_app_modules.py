"""The editor's modules of JavaScript, each by itself, in a browser."""

from typing import Any

import numpy as np
import pytest

from pixelrnn.app.components import HERE, bundle, pack
from pixelrnn.app.marks import draw_marks
from pixelrnn.app.text import LABELS, SAYS

pytestmark = pytest.mark.slow

PHOTO, STAGE = {"width": 4000, "height": 3000}, {"width": 500, "height": 400}


class Modules:
    """Modules of the page, in which expressions are evaluated."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def __call__(self, modules: str, expression: str, **values: Any) -> Any:
        values = {"photo": PHOTO, "stage": STAGE, **values}
        script = f"const {{ {', '.join(values)} }} = values;\n{bundle(*modules.split())}\nreturn {expression};"
        return self.page.evaluate(f"(values) => {{ {script} }}", values)


@pytest.fixture(scope="module")
def js(chromium: Any) -> Any:
    page = chromium.new_page()
    yield Modules(page)
    page.close()


def test_stage_and_photograph_coordinates_convert_back_and_forth(js: Modules) -> None:
    view = {"zoom": 3.5, "x": 1200, "y": 1700}
    for at in ([0, 0], [250, 200], [499, 3]):
        there = js("view", "toStage(view, photo, stage, toPhoto(view, photo, stage, at))", view=view, at=at)
        assert there == pytest.approx(at)
    scale = js("view", "scaleOf(view, photo, stage)", view=view)
    assert scale == pytest.approx(3.5 * min(500 / 4000, 400 / 3000))


def test_what_lies_under_the_cursor_stays_there_when_zoomed(js: Modules) -> None:
    view, at = {"zoom": 4, "x": 2000, "y": 1500}, [260, 180]
    before = js("view", "toPhoto(view, photo, stage, at)", view=view, at=at)
    zoomed = js("view", "zoomed(view, photo, stage, 1.7, at)", view=view, at=at)
    assert zoomed["zoom"] == pytest.approx(6.8)
    assert js("view", "toPhoto(view, photo, stage, at)", view=zoomed, at=at) == pytest.approx(before)


def test_a_view_stays_inside_the_photograph_and_within_its_zoom(js: Modules) -> None:
    rng = np.random.default_rng(0)
    view = js("view", "whole(photo)")
    for _ in range(60):
        if rng.random() < 0.5:
            view = js("view", "moved(view, photo, stage, by)", view=view, by=rng.normal(0, 400, 2).tolist())
        else:
            factor, at = float(np.exp(rng.normal(0, 1))), rng.uniform(0, 400, 2).tolist()
            view = js("view", "zoomed(view, photo, stage, factor, at)", view=view, factor=factor, at=at)
        left, top, width, height = js("view", "visible(view, photo, stage)", view=view)
        assert 1 <= view["zoom"] <= 8 / (500 / 4000)
        assert 0 <= left < left + width <= 4000
        assert 0 <= top < top + height <= 3000
    assert js("view", "visible(whole(photo), photo, stage)") == [0, 0, 4000, 3000]


DOT = {"tool": "brush", "radius": 4, "points": [1, 2]}


def test_undo_and_redo_work_across_steps(js: Modules) -> None:
    told = js(
        "history",
        """(() => {
            const all = new History(blank()), seen = [];
            const look = () => seen.push([all.doc.at, current(all.doc).marks.length, current(all.doc).key]);
            all.make(marked(all.doc, dot)); look();
            all.make(kept(all.doc, "r1")); look();
            all.make(marked(all.doc, dot)); look();
            all.undo(); all.undo(); look();
            all.undo(); look();
            all.redo(); all.redo(); all.redo(); look();
            all.undo(); all.make(marked(all.doc, { ...dot, radius: 9 })); all.redo(); look();
            return { seen, chain: chainOf(all.doc) };
        })()""",
        dot=DOT,
    )
    (one, kept, two, back, empty, again, other), chain = told["seen"], told["chain"]
    assert one[:2] == [0, 1]
    assert kept == [1, 0, ""]
    assert two == again == [1, 1, one[2]]
    assert back == one
    assert empty == [0, 0, ""]
    assert other[2] != one[2]
    assert chain == [["r1", 0]]


def test_a_result_is_that_of_the_same_marks_on_the_same_steps(js: Modules) -> None:
    doc = js("history", 'marked(kept(blank(), "r1"), dot)', dot=DOT)
    key = doc["steps"][1]["key"]
    results = [
        {"name": "r1", "chain": [], "key": ""},
        {"name": "r2", "chain": [], "key": key},
        {"name": "r3", "chain": [["r1", 0]], "key": key},
    ]
    assert [one["name"] for one in js("history", "resultsOf(doc, results)", doc=doc, results=results)] == ["r3"]


def test_what_python_packs_is_unpacked(js: Modules) -> None:
    data = pack({"rev": "ä€", "n": 3}, {"a": b"\x00\xff", "empty": b"", "b": bytes(range(256))})
    told = js(
        "wire",
        """(() => {
            const { header, pictures } = unpack(new Uint8Array(data));
            return { header, pictures: [...pictures].map(([name, bytes]) => [name, [...bytes]]) };
        })()""",
        data=list(data),
    )
    assert {name: told["header"][name] for name in ("rev", "n")} == {"rev": "ä€", "n": 3}
    assert told["pictures"] == [["a", [0, 255]], ["empty", []], ["b", list(range(256))]]


def test_the_share_that_is_marked_is_pythons(js: Modules) -> None:
    marks = [
        {"tool": "brush", "radius": 60, "points": [500, 500, 1500, 900, 2500, 600]},
        {"tool": "box", "points": [3000, 2000, 3600, 2500]},
        {"tool": "eraser", "radius": 100, "points": [1500, 900]},
    ]
    share = js("view paint", "shareOf(photo, marks, null)", marks=marks)
    assert share == pytest.approx(draw_marks(np.zeros((3000, 4000), bool), marks).mean(), rel=0.02)
    assert js("view paint", "shareOf(photo, marks, null)", marks=[*marks, {"tool": "clear"}]) == 0
    assert js("view paint", "shareOf(photo, marks, null)", marks=[DOT]) > 0  # not lost, however small


def test_all_words_of_the_editor_are_in_one_place() -> None:
    script = bundle("panes", "bars", "controls", "editor")
    for name in SAYS:
        assert f"says.{name}" in script, name
    html = (HERE / "editor.html").read_text(encoding="utf-8")
    assert all(f"${name}" in html for name in LABELS)
