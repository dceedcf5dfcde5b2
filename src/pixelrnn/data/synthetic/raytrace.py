"""Ray casting and light: what a scene's camera sees, and how brightly lamps, sky and sun light it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from .materials import surface
from .scene import CORNERS, FAR, INWARD, PLANES, TURN, Array, Camera, Light, Scene, Solid, nearest, unit

TILE = 128  # supersampled pixels a side that are rendered together: small enough that their arrays stay in the cache
STRATA = 4  # each pixel of a STRATA x STRATA block has another stratum of the light samples, which `_smooth` then averages
MARGIN = 2 * STRATA  # the farthest that `_smooth` reaches
EPSILON = np.float32(3e-3)  # how far a secondary ray starts off its surface


def trace(scene: Scene, n: int, rng: np.random.Generator) -> Array:
    """Render a scene.

    Args:
        scene: What the camera sees.
        n: Pixels a side.
        rng: Draws where light is sampled.

    Returns:
        The radiance, linear RGB (n, n, 3).
    """
    count = np.arange(n, dtype=np.float32)
    jitter = rng.random((2, 2, n, n), dtype=np.float32)
    pair = np.stack([(count % STRATA)[None, :] + jitter[:, 0], (count % STRATA)[:, None] + jitter[:, 1]]) / STRATA
    line = (count * 2 + 1) / n - 1
    lit = (count[:, None] + count) % 2 == 0  # light is gathered at every other pixel, which `_smooth` spreads
    boxes = np.array([_screen_box(scene.camera, s) for s in scene.solids])
    colour, glow = np.zeros((2, 3, n, n), np.float32)
    light, keys = np.zeros((6, n, n), np.float32), np.zeros((n, n), np.int32)
    for top in range(0, n, TILE):
        for left in range(0, n, TILE):
            rows, cols = slice(top, min(top + TILE, n)), slice(left, min(left + TILE, n))
            x, y = line[cols], -line[rows]
            visible = (boxes[:, 0] <= x[-1]) & (boxes[:, 1] >= x[0]) & (boxes[:, 2] <= y[0]) & (boxes[:, 3] >= y[-1])
            rays = scene.camera.rays(np.tile(x, y.size), np.repeat(y, x.size))
            jitters = pair[:, :, rows, cols].reshape(2, 2, -1)
            parts = _shade(scene, rays, np.flatnonzero(visible).tolist(), lit[rows, cols].ravel(), jitters)
            for whole, part in zip((colour, glow, light, keys), parts, strict=True):
                whole[..., rows, cols] = part.reshape(*part.shape[:-1], y.size, x.size)
    arriving = _smooth(light[:3], keys, lit, (1, 2)) + _smooth(light[3:], keys, lit, (1, 4, 4))
    return (colour * arriving / np.float32(np.pi) + glow).transpose(1, 2, 0)


def _screen_box(camera: Camera, solid: Solid) -> tuple[float, float, float, float]:
    """Return the solid's bounds (left, right, bottom, top) in the image plane: all of it where it reaches behind the camera."""
    x, y, z = camera.frame @ (CORNERS * solid.extent() + solid.centre - camera.position).T
    if z.min() < 0.05:
        return -np.inf, np.inf, -np.inf, np.inf
    x, y = x / z * camera.zoom, y / z * camera.zoom
    return float(x.min()), float(x.max()), float(y.min()), float(y.max())


def _shade(
    scene: Scene, rays: Array, visible: list[int], lit: NDArray[np.bool_], pair: Array
) -> tuple[Array, Array, Array, NDArray[np.int32]]:
    """Return colour and glow (3, N), direct and bounced light (6, N), and a key (N,) that tells surfaces apart."""
    origin = scene.camera.position[:, None]
    distance, ids = nearest(scene.room, scene.solids, origin, rays, visible)
    position = origin + distance * rays
    colour, glow, normal = np.empty((3, *rays.shape), np.float32)
    keys = np.zeros(ids.shape, np.int32)
    for number in np.unique(ids).tolist():
        at = np.flatnonzero(ids == number)
        colour[:, at], glow[:, at], normal[:, at], axis = surface(scene, number, position[:, at], rays[:, at])
        rounded = number >= PLANES and scene.solids[number - PLANES].powers is not None
        keys[at] = number * 4 + (3 if rounded else axis)
    start, normal = (position + (normal * 2 - rays) * EPSILON)[:, lit], normal[:, lit]
    light = np.zeros((6, rays.shape[1]), np.float32)
    light[3:] = _ambient(scene)[:, None]
    light[:, lit] = _gather(scene, start, normal, pair[:, :, lit])
    return colour, glow, light, keys


def _gather(scene: Scene, start: Array, normal: Array, pair: Array) -> Array:
    """Gather direct (3 rows) and bounced light (3 rows), by a ray to each light, one to the sun and one for the bounce."""
    casters = [i for i, s in enumerate(scene.solids) if s.casts]
    direct = np.zeros_like(start)
    for light in scene.lights:
        to = light.centre[:, None] + light.spread.T @ (pair[:, 0] * 2 - 1) - start
        amount = _irradiance(light, to, normal, 0.15)
        at = np.flatnonzero(amount > 1e-5)
        if at.size:
            amount[at[_blocked((scene.solids[i] for i in casters), start[:, at], to[:, at], 0.97)]] = 0
        direct += amount * light.power[:, None]
    if scene.sun.any():
        across = int(np.argmin(scene.window.half))
        to = scene.to_sun[:, None] + (pair[[0, 1, 0], 0] - np.float32(0.5)) * np.float32(0.012)
        leaves = start + to * ((scene.window.centre[across] - start[across]) / to[across])
        beside = np.abs(leaves - scene.window.centre[:, None]) > scene.window.half[:, None]
        beside[across] = False
        amount = np.clip((normal * to).sum(0), 0, None)
        at = np.flatnonzero(~beside.any(0) & (amount > 0))
        if at.size:
            others = (s for s in scene.solids if s is not scene.window)
            at = at[~_blocked(others, start[:, at], to[:, at], float(FAR) / 2, exact=True)]
            direct[:, at] += amount[at] * scene.sun[:, None]
    # a unit sphere's point on top of the normal is distributed like the cosine; where it ends, lamps count unshadowed
    height, turn = 1 - 2 * pair[0, 1], pair[1, 1] * TURN
    ring = np.sqrt(np.maximum(1 - height * height, 0))
    away = normal * np.float32(1.001) + np.stack([ring * np.cos(turn), ring * np.sin(turn), height])
    distance, ids = nearest(scene.room, scene.solids, start, away, casters, exact=False)
    inward = np.where(ids < PLANES, INWARD[np.minimum(ids, PLANES - 1)].T, -unit(away))
    arrived = np.repeat(_ambient(scene)[:, None], start.shape[1], 1)
    for light in scene.lights:
        arrived += _irradiance(light, light.centre[:, None] - start - away * distance, inward, 1.0) * light.power[:, None]
    colours = [m.colour for m in scene.planes] + [s.material.colour for s in scene.solids]
    return np.concatenate([direct, np.array(colours, np.float32)[ids].T * arrived])


def _blocked(solids: Iterable[Solid], start: Array, to: Array, reach: float, exact: bool = False) -> NDArray[np.bool_]:
    """Return whether each ray (N,) meets a solid before `reach` times its direction; solids far from all rays are skipped."""
    end = start + to * np.float32(min(reach, 20))
    low, high = np.minimum(start.min(1), end.min(1)), np.maximum(start.max(1), end.max(1))
    blocked = np.zeros(start.shape[1], bool)
    for solid in solids:
        extent = solid.extent()
        if (solid.centre - extent <= high).all() and (solid.centre + extent >= low).all():
            blocked |= solid.hit(start, to, exact) < reach
    return blocked


def _irradiance(light: Light, to: Array, normal: Array, least: float) -> Array:
    """Return what a unit of the light's power gives a surface (N,); the light is at the end of `to`, no nearer than `least`."""
    square = (to * to).sum(0)
    length = np.sqrt(square)
    arriving = np.clip((normal * to).sum(0) / length, 0, None) / np.maximum(square, np.float32(least**2))
    if light.facing is None:  # most of a lamp's light leaves its shade at the top and the bottom
        share = 0.45 + 1.2 * np.clip((np.abs(to[2]) / length - 0.62) * 6, 0, 1)
    else:
        share = np.clip(-(light.facing @ to) / length, 0, None)
    received: Array = arriving * share
    return received


def _ambient(scene: Scene) -> Array:
    """Return the light (3,) that has bounced until it is the same everywhere, as in an integrating box of the room's size."""
    w, d, h = scene.room
    flux = scene.sun * np.prod(np.sort(scene.window.half)[1:])  # as if it fell through a quarter of the pane
    for light in scene.lights:
        flux = flux + light.power * np.float32(8 if light.facing is None else np.pi)
    colour = np.mean([m.colour for m in scene.planes], 0) * 0.85
    everywhere: Array = flux / (2 * (w * d + w * h + d * h)) * colour / (1 - colour)
    return everywhere.astype(np.float32)


def _smooth(light: Array, keys: NDArray[np.int32], lit: NDArray[np.bool_], strides: Sequence[int]) -> Array:
    """Average the `lit` pixels of `light` (3, n, n) within one surface over STRATA x STRATA, once at each of the strides."""
    light = np.pad(light, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
    keys = np.pad(keys, MARGIN, constant_values=-1)  # so that nothing is carried over from the far side of the image
    known = np.pad(lit, MARGIN).astype(np.float32)
    for stride in strides:
        for axis in (1, 2):
            total, weight = light * known, known.copy()
            for shift in range(-(STRATA // 2), STRATA - STRATA // 2):
                if shift:
                    same = (np.roll(keys, shift * stride, axis - 1) == keys) * np.roll(known, shift * stride, axis - 1)
                    total += same * np.roll(light, shift * stride, axis)
                    weight += same
            light = np.where(weight > 0, total / np.maximum(weight, 1), light)
            known = np.maximum(known, weight > 0).astype(np.float32)
    return light[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
