"""What a room is made of, and where rays meet it.

Lengths are in metres, x runs right, y away from the camera and z up; a bundle of N vectors is a float32 array of shape (3, N);
colours are linear RGB.
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
    """A box, or with `powers` the superellipsoid |x|^a + |y|^b + |z|^c = 1 in it; rows of `axes` are its own directions."""

    centre: Array
    half: Array
    material: Material
    powers: tuple[int, int, int] | None = None
    axes: Array | None = None
    casts: bool = True  # whether it shades; small things and those flat on walls would cost time and show nothing

    def extent(self) -> Array:
        """Half the sides (3,) of its axis-aligned bounding box."""
        return self.half if self.axes is None else np.abs(self.axes).T @ self.half

    def hit(self, origin: Array, direction: Array, exact: bool) -> Array:
        """Distance (N,) along each ray to it (to its box if not `exact`); FAR where it misses, or starts inside a box."""
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
    """A parallelogram that shines to one side (`facing`), or a lamp in a shade that is open above and below (None)."""

    centre: Array
    spread: Array  # (2, 3): half the parallelogram's edges
    power: Array  # radiance times area where it faces a side, intensity otherwise
    facing: Array | None = None


@dataclass(frozen=True)
class Camera:
    """A pinhole; rows of `frame` are right, up and forward; `zoom` is 1 / tan(half the field of view)."""

    position: Array
    frame: Array
    zoom: float

    def rays(self, across: Array, up: Array) -> Array:
        """Unit directions (3, N) through the picture plane at `across` and `up` in -1..1."""
        rays = self.frame.T @ np.stack([across / self.zoom, up / self.zoom, np.ones_like(up)]).astype(np.float32)
        return rays / np.sqrt((rays * rays).sum(0))


@dataclass(frozen=True)
class Scene:
    """Everything there is to see, and how the picture of it is to be finished."""

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
    return (vectors / np.sqrt((vectors * vectors).sum(0) + np.float32(1e-12))).astype(np.float32)


def nearest(
    room: Array, solids: Sequence[Solid], origin: Array, direction: Array, chosen: Iterable[int], exact: bool = True
) -> tuple[Array, NDArray[np.intp]]:
    """Distance and id (N,) of what each ray meets first: a plane of the room or one of the `chosen` solids."""
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
    """Newton's method on |x|^a + |y|^b + |z|^c - 1, which is convex along a ray: from outside it cannot step over the root."""
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
