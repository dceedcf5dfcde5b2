"""Patterns and surfaces: the colour, glow and normal of a material at a point."""

from __future__ import annotations

from typing import Any

import numpy as np

from .scene import INWARD, NOISE_SIDE, PLANES, TURN, Array, Material, Scene, unit


def surface(scene: Scene, number: int, position: Array, toward: Array) -> tuple[Array, Array, Array, Array]:
    """Return how a surface looks.

    Args:
        scene: What the surface belongs to.
        number: The id of the plane or solid.
        position: Points on it, (3, N).
        toward: The directions in which they are looked at, (3, N).

    Returns:
        Colour, glow and normal, (3, N) each, and the normal's dominant axis (N,).
    """
    local, half = position, scene.room
    axes: Array | None = None
    if number < PLANES:
        m = scene.planes[number]
        normal, axis = np.repeat(INWARD[number][:, None], position.shape[1], 1), np.full(position.shape[1], number // 2)
    else:
        solid = scene.solids[number - PLANES]
        m, half, axes, local = solid.material, solid.half, solid.axes, position - solid.centre[:, None]
        if axes is not None:
            local = axes @ local
        relative = local / half[:, None]
        if solid.powers is None:
            axis = np.argmax(np.abs(relative), axis=0)
            normal = np.where(np.arange(3)[:, None] == axis, np.sign(local), 0).astype(np.float32)
        else:
            normal = unit(np.stack([relative[i] ** (k - 1) * k / half[i] for i, k in enumerate(solid.powers)]))
            axis = np.argmax(np.abs(normal), axis=0)
    u, v = np.where(axis == 0, local[1], local[0]), np.where(axis == 2, local[1], local[2])
    if m.bump > 0:  # cloth hangs over the edges of what it covers
        hang = half[2] - local[2]
        u = np.where(axis == 0, local[0] + np.sign(local[0]) * hang, local[0])
        v = np.where(axis == 1, local[1] + np.sign(local[1]) * hang, local[1])
        normal = _crease(scene.noise, m.bump, normal, u, v)
    if axes is not None:
        normal = axes.T @ normal
    if m.kind in ("rings", "art"):
        u, v = u / np.where(axis == 0, half[1], half[0]), v / np.where(axis == 2, half[1], half[2])
    if m.kind == "sky":
        return np.zeros_like(position), _view(scene, m, toward), normal, axis
    if m.kind == "folds":
        phase = u * (TURN / np.float32(m.scale)) + 1.5 * _noise(scene.noise, u * 5, v * 0.7)
        lean = 0.8 * np.cos(phase)
        normal = unit(normal + np.stack([np.where(axis == 1, lean, 0), np.where(axis == 0, lean, 0), 0 * lean]))
        colour = m.colour[:, None] * (0.75 + 0.25 * np.sin(phase))
    else:
        mix, shade = _pattern(m, scene.noise, u, v)
        if m.face >= 0:
            shade = np.where(axis == m.face, shade * _fronts(m, u, v, float(half[1 - m.face]), float(half[2])), shade)
        colour = (m.colour[:, None] * (1 - mix) + m.other[:, None] * mix) * shade
    return colour, colour * np.float32(m.glow), normal, axis


def _pattern(m: Material, table: Array, u: Array, v: Array) -> tuple[Array | float, Array]:
    """Return how much of `other` shows, in [0, 1], and the brightness. `u` and `v` are metres; for rugs and art, in [-1, 1]."""
    scale = np.float32(1 / m.scale)
    cloth = 0.92 + 0.16 * _noise(table, u * 85, v * 85) if m.kind != "plain" else 0.985 + 0.03 * _noise(table, u * 7, v * 7)
    match m.kind:
        case "carpet":
            fine = _noise(table, u * 60, v * 60)
            return 0.5 * _noise(table, u * 1.7, v * 1.7) * fine, 0.72 + 0.56 * fine
        case "wood":
            grain = _noise(table, u * 3 + 1.3 * _noise(table, u, v * 4), v * 45)
            return 0.6 * grain, 0.92 + 0.16 * _noise(table, u * 2, v * 12)
        case "planks":
            row = v * scale
            along = u * scale / 8 + _cells(table, row, row * 0)
            tone = _cells(table, along, row)
            gap = np.maximum(_groove(row, 0.002 * scale), _groove(along, 0.00025 * scale))
            mix = np.clip(0.75 * tone - 0.2 + 0.5 * _noise(table, u * 4 + 40 * tone, v * 55), 0, 1)
            return mix, (0.86 + 0.28 * tone) * (1 - 0.5 * gap)
        case "stripes":
            return np.clip(0.5 + 4 * np.sin(u * scale * TURN), 0, 1), cloth
        case "checks":
            return sum(np.clip(0.25 + 2 * np.sin(x * scale * TURN), 0, 0.5) for x in (u, v)), cloth
        case "dots":
            row = v * scale
            across = u * scale + 0.5 * (np.floor(row) % 2)
            return np.clip(4.5 - 16 * np.hypot(across - np.floor(across) - 0.5, row - np.floor(row) - 0.5), 0, 1), cloth
        case "damask":
            a, b = u * scale * TURN, v * scale * TURN / np.float32(1.5)
            figure = np.sin(a) * np.sin(b) + 0.5 * np.cos(2 * a) * np.cos(3 * b) + 0.3 * np.sin(3 * a) * np.sin(2 * b)
            return np.clip(3 * figure, 0, 1), cloth
        case "quilt":
            return 0.0, (1 - 0.28 * np.maximum(_groove((u + v) * scale, 0.05), _groove((u - v) * scale, 0.05))) * cloth
        case "rings":
            edge = np.maximum(np.abs(u), np.abs(v))
            figure = np.clip(3 * np.sin(u * np.float32(19)) * np.sin(v * np.float32(19)), 0, 1) * (edge < 0.72) * 0.6
            band = np.clip(12 * (0.06 - np.abs(edge - 0.82)), 0, 1)
            return np.maximum(figure, band), 0.75 + 0.5 * _noise(table, u * 60, v * 60)
        case "art":
            shift = np.float32(m.scale * 17)
            blobs = _noise(table, u * 1.4 + shift, v * 1.4) + 0.5 * _noise(table, u * 4 + shift, v * 4)
            mount = np.clip(20 * (np.maximum(np.abs(u), np.abs(v)) - 0.72), 0, 1)
            ink = np.clip(4 * (blobs + 0.5 * v * np.sin(shift) - 0.75), 0, 1)
            return np.maximum(ink, mount), 0.7 + 0.5 * _noise(table, u * 2.5, v * 2.5 + shift)
    return 0.0, cloth


def _fronts(m: Material, u: Array, v: Array, half_u: float, half_v: float) -> Array:
    """Return the brightness of a face divided into `grid` doors or drawers, each with a panel and a handle."""
    size_u, size_v = 2 * half_u / m.grid[0], 2 * half_v / m.grid[1]
    fu, fv = (u + half_u) % size_u, (v + half_v) % size_v
    edge = np.minimum(np.minimum(fu, size_u - fu), np.minimum(fv, size_v - fv))
    inset = 0.12 * min(size_u, size_v) + 0.02
    shade = 1 - 0.7 * np.clip(1.6 - edge / 0.006, 0, 1)
    shade *= 1 - 0.25 * np.clip(1.5 - np.abs(edge - inset) / 0.008, 0, 1) * np.where(fv > size_v / 2, 1, -0.4)
    if size_v > size_u:  # doors, in pairs whose handles meet
        handle = np.where(np.floor((u + half_u) / size_u) % 2 == 0, size_u - 0.05, 0.05)
        off = np.maximum(np.abs(fu - handle), np.abs(fv - size_v * 0.5) * 0.12)
    else:
        off = np.maximum(np.abs(fu - size_u / 2) * 0.2, np.abs(fv - size_v / 2))
    brightness: Array = shade * (1 - 0.75 * np.clip(2 - off / 0.008, 0, 1))
    return brightness


def _crease(table: Array, strength: float, normal: Array, u: Array, v: Array) -> Array:
    """Tilt the normals of cloth by the slopes of a noise relief."""

    def relief(a: Array, b: Array) -> Array:
        bend = _noise(table, a * 2, b * 2)
        return _noise(table, a * 5 + 2 * bend, b * 5 + 2 * bend) + 0.35 * _noise(table, a * 13 + 3 * bend, b * 11)

    here, step = relief(u, v), np.float32(0.02)
    du, dv = here - relief(u + step, v), here - relief(u, v + step)
    upright = 1 - np.abs(normal[2])  # the slope along v tips sides up and down, and tops to and fro
    return unit(normal + np.float32(strength) * np.stack([du, dv * (1 - upright), dv * upright]))


def _view(scene: Scene, m: Material, toward: Array) -> Array:
    """Return the radiance of the view in directions `toward`: sky, a line of trees and a lawn."""
    rise, turn = toward[2] / (np.hypot(toward[0], toward[1]) + np.float32(1e-6)), np.arctan2(toward[0], toward[1])
    crown = 0.02 + m.scale * (0.6 * _noise(scene.noise, turn * 4, turn * 0) + 0.4 * _noise(scene.noise, turn * 19, rise * 9))
    trees, lawn = np.clip((crown - rise) * 30, 0, 1), np.clip(-(rise + 0.1) * 20, 0, 1)
    leaves = m.other[:, None] * (0.6 + 0.9 * _noise(scene.noise, turn * 60, rise * 60))
    clouds = (1.25 - 0.5 * np.clip(rise, 0, 1)) * (0.9 + 0.3 * _noise(scene.noise, turn * 5, rise * 14))
    ground = leaves * (1 - lawn) + 2 * m.colour[:, None] * lawn
    seen: Array = clouds * (1 - trees) + ground * trees
    return scene.sky[:, None] * seen * np.float32(m.glow)


def _noise(table: Array, u: Array, v: Array) -> Array:
    """Return smooth value noise in [0, 1] with cells of one unit."""
    iu, iv = np.floor(u), np.floor(v)
    fu, fv = u - iu, v - iv
    fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
    left, low = iu.astype(np.int32) % NOISE_SIDE, iv.astype(np.int32) % NOISE_SIDE
    right, high = (left + 1) % NOISE_SIDE * NOISE_SIDE, (low + 1) % NOISE_SIDE
    left *= NOISE_SIDE
    bottom = table[left + low] * (1 - fu) + table[right + low] * fu
    blended: Array = bottom * (1 - fv) + (table[left + high] * (1 - fu) + table[right + high] * fu) * fv
    return blended


def _cells(table: Array, u: Array, v: Array) -> Array:
    """Return one value in [0, 1] per unit cell."""
    cells: Array = table[(np.floor(u).astype(np.int32) * 37 + np.floor(v).astype(np.int32) * 149) % table.size]
    return cells


def _groove(x: Array, width: np.floating[Any] | float) -> Array:
    """Return 1 within `width` of a whole number, fading to 0."""
    return np.clip(1.5 - np.abs(x - np.round(x)) / np.float32(width), 0, 1)
