"""What a scene consists of, and where rays meet it.

Lengths are in metres; x points right, y away from the camera, and z up. A bundle of N vectors is a float32 array (3, N).
Colours are linear RGB.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

PLANES = 6  # ids 0..5 are left, right, front, back, floor and ceiling; a solid's id is PLANES + its place in the list
FAR = np.float32(1e9)
NOISE_SIDE = 64
# the normals of the planes
INWARD = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float32)
# of a box of half sides 1
CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
TURN = np.float32(2 * np.pi)


@dataclass(frozen=True)
class Material:
    """A surface: `kind` names the pattern that mixes `colour` with `other`."""

    kind: str
    colour: Array
    other: Array
    scale: float = 1.0
    glow: float = 0.0  # emitted radiance per unit of colour
    bump: float = 0.0  # how strongly cloth creases
    grid: tuple[int, int] = (1, 1)  # doors or drawers across and up
    face: int = -1  # the axis whose faces carry the doors


@dataclass(frozen=True)
class Solid:
    """A box, or with `powers` the superellipsoid |x|^a + |y|^b + |z|^c = 1 inside it.

    The rows of `axes` (3, 3) are the box's own directions; None stands for those of the room.
    """

    centre: Array
    half: Array
    material: Material
    powers: tuple[int, int, int] | None = None
    axes: Array | None = None
    casts: bool = True  # whether it shades; small things and those flat on walls would cost time and show nothing

    def extent(self) -> Array:
        """Return half the sides (3,) of the axis-aligned bounding box."""
        return self.half if self.axes is None else np.abs(self.axes).T @ self.half

    def hit(self, origin: Array, direction: Array, exact: bool) -> Array:
        """Find where rays meet the solid.

        Args:
            origin: Where the rays start, (3, N) or (3, 1).
            direction: Their directions, (3, N).
            exact: Whether to meet the superellipsoid rather than its box.

        Returns:
            Distances (N,) in units of the directions; FAR where a ray misses, or starts inside a box.
        """
        start = origin - self.centre[:, None]
        if self.axes is not None:
            start, direction = self.axes @ start, self.axes @ direction
        inverse = 1 / np.where(np.abs(direction) < 1e-7, np.float32(1e-7), direction)
        middle, reach = -start * inverse, self.half[:, None] * np.abs(inverse)
        enter, leave = middle - reach, middle + reach
        near, far = np.maximum(np.maximum(enter[0], enter[1]), enter[2]), np.minimum(np.minimum(leave[0], leave[1]), leave[2])
        if self.powers is None or not exact:
            return np.where((near < far) & (near > 0), near, FAR)
        out = np.full(near.shape, FAR, np.float32)
        index = np.flatnonzero((near < far) & (far > 0))
        if index.size:
            scale = self.half[:, None]
            start = (start if start.shape[1] == 1 else start[:, index]) / scale
            out[index] = _hit_rounded(self.powers, start, direction[:, index] / scale, np.maximum(near[index], 0))
        return out


@dataclass(frozen=True)
class Light:
    """A parallelogram that shines to one side, `facing`, or where that is None a lamp in a shade open above and below."""

    centre: Array
    spread: Array  # (2, 3): half the parallelogram's edges
    power: Array  # radiance times area where it faces a side, intensity otherwise
    facing: Array | None = None


@dataclass(frozen=True)
class Camera:
    """A pinhole camera. The rows of `frame` are right, up and forward; `zoom` is 1 / tan(half the field of view)."""

    position: Array
    frame: Array
    zoom: float

    def rays(self, across: Array, up: Array) -> Array:
        """Return the unit directions (3, N) through the image plane at `across` and `up` (N,), both in [-1, 1]."""
        rays = self.frame.T @ np.stack([across / self.zoom, up / self.zoom, np.ones_like(up)]).astype(np.float32)
        directions: Array = rays / np.sqrt((rays * rays).sum(0))
        return directions


@dataclass(frozen=True)
class Scene:
    """Everything there is to see, and how its image is finished."""

    room: Array
    noise: Array  # NOISE_SIDE x NOISE_SIDE values in 0..1 in a row, the table behind every texture
    planes: list[Material]
    solids: list[Solid]
    lights: list[Light]
    window: Solid
    sky: Array
    sun: Array  # irradiance; zeros where there is none
    to_sun: Array
    camera: Camera
    exposure: float
    balance: Array
    vignette: float
    grain: float
    mirrored: bool


def unit(vectors: Array) -> Array:
    """Scale vectors (3, N) to unit length."""
    scaled: Array = vectors / np.sqrt((vectors * vectors).sum(0) + np.float32(1e-12))
    return scaled.astype(np.float32)


def nearest(
    room: Array, solids: Sequence[Solid], origin: Array, direction: Array, chosen: Iterable[int], exact: bool = True
) -> tuple[Array, NDArray[np.intp]]:
    """Find what each ray meets first.

    Args:
        room: Width, depth and height (3,); the room's planes are always met.
        solids: All solids of the scene.
        origin: Where the rays start, (3, N) or (3, 1), inside the room.
        direction: Their directions, (3, N).
        chosen: Places in `solids` of those that can be met.
        exact: Whether to meet superellipsoids rather than their boxes.

    Returns:
        Distances (N,) in units of the directions, and ids (N,) of planes or solids.
    """
    away = np.where(np.abs(direction) < 1e-7, np.float32(1e-7), direction)
    x, y, z = (np.where(away > 0, room[:, None], 0) - origin) / away
    best = np.minimum(np.minimum(x, y), z)
    ids = np.where(x == best, 0 + (away[0] > 0), np.where(y == best, 2 + (away[1] > 0), 4 + (away[2] > 0)))
    for i in chosen:
        t = solids[i].hit(origin, direction, exact)
        closer = t < best
        best = np.where(closer, t, best)
        ids[closer] = PLANES + i
    return best, ids


def _hit_rounded(powers: tuple[int, int, int], start: Array, direction: Array, t: Array) -> Array:
    """Solve |x|^a + |y|^b + |z|^c = 1 by Newton's method. It is convex along a ray: from outside no step passes the root."""
    missed = np.zeros(t.shape, bool)
    for _ in range(7):
        value, slope = np.full(t.shape, -1, np.float32), np.zeros(t.shape, np.float32)
        for x0, dx, power in zip(start, direction, powers, strict=True):
            x = np.clip(x0 + t * dx, -2, 2)  # the clip keeps far misses from overflowing
            odd, even, reached = x, x * x, 2
            while reached < power:
                odd, even, reached = odd * even, even * even, reached * 2
            value += odd * x
            slope += power * odd * dx
        missed |= (slope >= 0) & (value > 0.02)
        t = np.where(missed | (value < 1e-4), t, t - value / np.minimum(slope, np.float32(-1e-6)))
    return np.where(missed | (value > 0.2), FAR, t)
