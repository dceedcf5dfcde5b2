"""What all tests share: calm threads, and pictures drawn here so that no test needs a download."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

# before torch is imported: threads that spin while they wait are slower than one thread on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from pixelrnn.data.synthetic import render_bedroom

settings.register_profile("calm", deadline=None, derandomize=True)  # no test depends on time or luck
settings.load_profile("calm")
pytest.register_assert_rewrite("contract")
if "OMP_NUM_THREADS" not in os.environ:
    torch.set_num_threads(min(2, os.cpu_count() or 1))


class Paired(NamedTuple):
    """A paired dataset on disk, pictures of 128 x 128."""

    root: Path
    masks: dict[int, np.ndarray]  # number: bool (128, 128), True under the black square


SIDE = 38  # of the square, 30% of the picture's
CORNERS = {9: (30, 52), 10: (0, 0), 100: (90, 41), 250: (61, 90)}  # number: the square's top and left; gaps, borders and all


def draw_room(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A picture with smooth shading and sharp furniture, uint8 (height, width, 3), nowhere black."""
    yy, xx = np.mgrid[:height, :width] / max(height, width)
    colours = rng.uniform(90, 200, (3, 3))
    room = colours[0] * (1 - yy[..., None]) + colours[1] * yy[..., None] + 30 * np.sin(9 * xx)[..., None]
    for _ in range(4):
        top, left = rng.integers(0, height), rng.integers(0, width)
        room[top : top + height // 4, left : left + width // 3] = rng.uniform(70, 240, 3)
    return np.clip(room, 60, 255).astype(np.uint8)


@pytest.fixture
def paired(tmp_path: Path) -> Paired:
    """Four pairs with gaps in their numbers and two test pictures, as JPEG, in the layout of pixelrnn.data.datasets.LAYOUT."""
    rng, root, masks = np.random.default_rng(0), tmp_path / "paired", {}
    folders = [root / "train" / "occluded_images", root / "train" / "original_images", root / "occluded_test"]
    for folder in folders:
        folder.mkdir(parents=True)
    for number, (top, left) in CORNERS.items():
        room, mask = draw_room(rng, 128, 128), np.zeros((128, 128), bool)
        mask[top : top + SIDE, left : left + SIDE] = True
        masks[number] = mask
        Image.fromarray(room).save(folders[1] / f"bed_{number}.jpg")
        Image.fromarray(room * ~mask[..., None]).save(folders[0] / f"occluded_bed_{number}.jpg")
    for number in (3, 20):
        room = draw_room(rng, 128, 128)
        room[40 : 40 + SIDE, 50 : 50 + SIDE] = 0
        Image.fromarray(room).save(folders[2] / f"occluded_bed_{number}.jpg")
    return Paired(root, masks)


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    """Clean photographs, lossless: wide, tall, square, and smaller than most sizes asked for."""
    rng, paths = np.random.default_rng(1), []
    for height, width in ((90, 150), (140, 80), (64, 64), (20, 33)):
        paths.append(tmp_path / f"photo_{height}x{width}.png")
        Image.fromarray(draw_room(rng, height, width)).save(paths[-1])
    return paths


OCCLUDED = np.zeros((256, 256), bool)
OCCLUDED[60:130, 40:110] = True


@pytest.fixture(scope="session")
def rooms() -> list[np.ndarray]:
    """Bedrooms without anything in the way, 256 x 256; nothing is found in the second and in the fourth."""
    return [render_bedroom(np.random.default_rng(seed), 256) for seed in (310, 301, 314, 308)]


@pytest.fixture(scope="session")
def occluded(rooms: list[np.ndarray]) -> list[np.ndarray]:
    """The same with a black square, which is found for sure."""
    return [room * ~OCCLUDED[..., None] for room in rooms]


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Of the page's server."""
    from browser import serve

    with serve() as (address, _):
        yield address


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from browser import find_browser, launch

    if find_browser() is None:
        pytest.fail("no Chromium on the path, and this is CI: apt-get install chromium")
    with launch() as browser:
        yield browser


@pytest.fixture
def visit(chromium: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Opens the page for one person more; at the end nobody's console may hold an error or a request to another host."""
    from browser import Visit

    visits: list[Visit] = []

    def come(**options: Any) -> Visit:
        visits.append(Visit(chromium, address, **options))
        return visits[-1]

    yield come
    for one in visits:
        one.close()
    assert [complaint for one in visits for complaint in one.complaints] == []
