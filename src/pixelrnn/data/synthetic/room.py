"""An empty room: its size and palette, and the means to put solids into it without a collision."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .scene import CORNERS, Array, Light, Material, Solid

Vector = tuple[float, float, float]


def linear(rgb: ArrayLike) -> Array:
    """Convert gamma-encoded RGB in [0, 1] to linear light."""
    return np.asarray(rgb, np.float32) ** np.float32(2.2)


TIMBERS = ["c2996b", "d6b07a", "6e4a30", "996b52", "99918a", "402e24", "edebe3"]  # the last two are not used for floors
WOODS = linear([list(bytes.fromhex(timber)) for timber in TIMBERS]) / linear(255)
PAINTED = WOODS[-1]
# the sky's colour and radiance, the sun's colour (0: no sun) and the range of its height in radians, and the probability
MOODS: dict[str, tuple[Vector, float, Vector, tuple[float, float], float]] = {
    "sunny": ((0.80, 0.90, 1.0), 5.0, (1.0, 0.95, 0.86), (0.35, 0.8), 0.38),
    "overcast": ((0.93, 0.96, 1.0), 5.0, (0, 0, 0), (0.3, 0.3), 0.27),
    "golden": ((1.0, 0.86, 0.74), 3.5, (1.0, 0.76, 0.53), (0.15, 0.3), 0.15),
    "evening": ((0.32, 0.42, 0.72), 0.5, (0, 0, 0), (0.3, 0.3), 0.2),
}


def tilted(tilt: float, turn: float) -> Array:
    """Make axes (3, 3) tilted about x (a positive angle lays the top back, to +y) and then turned about z, in radians."""
    (ct, st), (cz, sz) = (np.cos(tilt), np.sin(tilt)), (np.cos(turn), np.sin(turn))
    lean = np.array([[1, 0, 0], [0, ct, -st], [0, st, ct]])
    axes: Array = lean @ np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
    return axes.astype(np.float32)


def make_material(kind: str, colour: Array, other: Array | None = None, **options: Any) -> Material:
    """Make a material whose second colour is by default a darker shade of the first."""
    return Material(kind, colour, colour * np.float32(0.5) if other is None else other, **options)


class Room:
    """A room under construction. Its back wall is at y = `depth`, its left wall at x = 0, and its floor at z = 0."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.solids: list[Solid] = []
        self.lights: list[Light] = []
        self.taken: list[tuple[float, float, float, float]] = []  # rectangles x0, x1, y0, y1 of the floor
        self.width, self.depth, self.height = self.between(3.4, 5.2), self.between(4.0, 5.4), self.between(2.35, 2.85)
        self.hue = self.between(0, 1)
        self.wood = self.timber()
        self.trim = make_material("plain", PAINTED) if self.chance(0.75) else self.wood
        self.mood = str(rng.choice(list(MOODS), p=[m[-1] for m in MOODS.values()]))

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, *options: str) -> str:
        return options[int(self.rng.integers(len(options)))]

    def tint(self, saturation: tuple[float, float], value: tuple[float, float], hue_std: float = 0.07) -> Array:
        """Draw a colour near the room's hue, or opposite to it."""
        hue = self.hue + self.rng.normal(0, hue_std) + 0.5 * self.chance(0.25)
        return linear(colorsys.hsv_to_rgb(hue % 1, self.between(*saturation), self.between(*value)))

    def timber(self) -> Material:
        colour = WOODS[int(self.rng.integers(len(WOODS)))]
        return make_material("plain" if colour.min() > 0.6 else "wood", colour)

    def textile(self, kind: str | None = None, bump: float = 0.0) -> Material:
        """Draw a cloth in the room's colours; the plainer patterns come more often."""
        kind = kind or self.pick("cloth", "cloth", "cloth", "stripes", "checks", "dots", "quilt", "damask")
        main = self.tint((0.0, 0.12), (0.8, 0.95)) if self.chance(0.45) else self.tint((0.12, 0.5), (0.3, 0.8))
        return make_material(kind, main, self.tint((0.1, 0.5), (0.25, 0.9)), scale=self.between(0.1, 0.3), bump=bump)

    def add(self, centre: Sequence[float], half: Sequence[float], material: Material, **options: Any) -> Solid:
        self.solids.append(Solid(np.array(centre, np.float32), np.array(half, np.float32), material, **options))
        return self.solids[-1]

    def on_wall(
        self, wall: str, along: float, bottom: float, size: Vector, material: Material, gap: float = 0.0, **options: Any
    ) -> Solid:
        """Add a box of width, height and depth `size` on a wall, its middle `along` it, `gap` away from it."""
        half_wide, half_up, half_deep = (side / 2 for side in size)
        out, up = gap + half_deep, bottom + half_up
        if wall == "back":
            return self.add((along, self.depth - out, up), (half_wide, half_deep, half_up), material, **options)
        return self.add(
            (out if wall == "left" else self.width - out, along, up), (half_deep, half_wide, half_up), material, **options
        )

    def legs(self, x: float, y: float, half_x: float, half_y: float, up: float, thick: float) -> None:
        for sign_x, sign_y in CORNERS[::2, :2]:
            foot = x + sign_x * (half_x - thick), y + sign_y * (half_y - thick), up / 2
            self.add(foot, (thick, thick, up / 2), self.wood, casts=False)

    def length(self, wall: str) -> float:
        return self.width if wall == "back" else self.depth

    def reserve(self, wall: str, width: float, depth: float, low: float = 0.0) -> float | None:
        """Find and take a free stretch of wall beyond the fraction `low` of it.

        Returns:
            The stretch's middle along the wall, or None where there is no room.
        """
        length = self.length(wall)
        first, last = low * length + width / 2 + 0.04, length - width / 2 - 0.04
        for _ in range(12 if first < last else 0):
            along = self.between(first, last)
            a, b = along - width / 2, along + width / 2
            side = (0.0, depth) if wall == "left" else (self.width - depth, self.width)
            box = (a, b, self.depth - depth, self.depth) if wall == "back" else (*side, a, b)
            if all(box[1] <= x0 or box[0] >= x1 or box[3] <= y0 or box[2] >= y1 for x0, x1, y0, y1 in self.taken):
                self.taken.append(box)
                return along
        return None
