"""Sampling a scene: the sizes, furniture, cloth, daylight and standpoint of one room, drawn from a random generator."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np

from .room import MOODS, PAINTED, WOODS, Room, Vector, linear, make_material, tilted
from .scene import INWARD, NOISE_SIDE, PLANES, Array, Camera, Light, Material, Scene, Solid, nearest


class Decorator(Room):
    """Furnishes a room. The bed stands against the back wall; variety comes from where the camera stands and mirroring."""

    def furnish(self) -> Scene:
        """Draw everything that is random about a room except the camera's noise."""
        noise = self.rng.random(NOISE_SIDE * NOISE_SIDE, dtype=np.float32)
        planes = self.shell()
        bed = self.bed()
        self.bedside()
        window, sky, sun, to_sun = self.daylight()
        self.furniture()
        self.dressing()
        room = np.array([self.width, self.depth, self.height], np.float32)
        warm = self.between(-0.06, 0.06)
        return Scene(  # the order of these draws decides what a seed shows
            room=room,
            noise=noise,
            planes=planes,
            solids=self.solids,
            lights=self.lights,
            window=window,
            sky=sky,
            sun=sun,
            to_sun=to_sun,
            camera=self.camera(room, bed),
            exposure=self.between(0.2, 0.34) * (0.75 if self.mood == "evening" else 1.0),
            balance=np.array([1 + warm, 1, 1 - warm], np.float32),
            vignette=self.between(0.02, 0.2),
            grain=self.between(0.002, 0.012),
            mirrored=self.chance(0.5),
        )

    def shell(self) -> list[Material]:
        """Add the skirting; return the materials of the walls, the floor and the ceiling."""
        style = self.between(0, 1)
        cream = linear(colorsys.hsv_to_rgb(self.between(0.05, 0.16), self.between(0.02, 0.16), self.between(0.8, 0.95)))
        other = self.tint((0.05, 0.2), (0.7, 0.92)) if style < 0.82 else self.tint((0.15, 0.38), (0.38, 0.6))
        base = cream if style < 0.5 else other
        plain = side = accent = make_material("plain", base)
        if self.chance(0.5):
            kind = self.pick("stripes", "damask", "damask", "dots", "plain", "plain")
            figure = base * self.rng.uniform(0.6, 0.9, 3).astype(np.float32)
            if kind == "plain":
                base = self.tint((0.12, 0.42), (0.35, 0.75))
            accent = make_material(kind, base, figure, scale=self.between(0.14, 0.32))
            side = accent if kind in ("stripes", "damask", "dots") and self.chance(0.5) else plain
        if self.chance(0.62):
            tone = WOODS[int(self.rng.integers(len(WOODS) - 2))]
            floor = make_material("planks", tone, tone * 0.4, scale=self.between(0.09, 0.18))
        else:
            floor = make_material("carpet", self.tint((0.03, 0.25), (0.45, 0.8)))
        tall = self.between(0.07, 0.13)
        for wall in ("left", "right", "back"):
            self.on_wall(wall, self.length(wall) / 2, 0, (self.length(wall), tall, 0.018), self.trim, casts=False)
        return [side, side, plain, accent, floor, make_material("plain", linear((0.94, 0.94, 0.93)))]

    def bed(self) -> range:
        """Add the bed with its headboard and pillows; return the range of its solids in the list."""
        first, add, between = len(self.solids), self.add, self.between
        wide, long = float(self.rng.choice([1.0, 1.4, 1.6, 1.8], p=[0.15, 0.25, 0.35, 0.25])), between(1.95, 2.1)
        shift = max(self.width / 2 - wide / 2 - 0.62, 0)  # leaves room for bedside tables
        x, y = self.width / 2 + between(-shift, shift), self.depth - 0.1 - long / 2
        self.bed_x, self.bed_wide, self.bed_foot = x, wide, y - long / 2
        self.taken.append((x - wide / 2 - 0.03, x + wide / 2 + 0.03, self.bed_foot - 0.5, self.depth))
        low, side = between(0.06, 0.16), between(0.16, 0.24)
        top, half = low + side + between(0.18, 0.26), wide / 2
        base = self.wood if self.chance(0.6) else self.textile("cloth")
        add((x, y, low + side / 2), (half + 0.02, long / 2 + 0.02, side / 2), base)
        self.legs(x, y, half, long / 2, low, 0.035)
        white = make_material("cloth", self.tint((0.0, 0.06), (0.86, 0.96)), bump=0.4)
        add((x, y, (low + side + top) / 2), (half, long / 2, (top - low - side) / 2 + 0.02), white, powers=(16, 16, 8))
        reach, hang, thick, foot = long * between(0.62, 0.74), between(0.14, 0.3), between(0.05, 0.09), self.bed_foot - 0.04
        deep = (hang + thick) / 2
        cover = self.textile(bump=between(0.5, 1.1))
        add((x, foot + reach / 2, top + thick - deep), (half + 0.05, reach / 2, deep), cover, powers=(16, 16, 4))
        if self.chance(0.6):  # the turned-down edge
            turned = make_material("cloth", self.tint((0, 0.25), (0.75, 0.95)), bump=0.4)
            add((x, foot + reach - 0.12, top + thick - 0.08), (half + 0.06, 0.15, 0.1), turned, powers=(16, 4, 4))
        if self.chance(0.45):
            throw, at = self.textile(bump=0.7), foot + between(0.35, 0.5)
            add((x, at, top + thick - 0.12), (half + 0.065, between(0.18, 0.3), 0.135), throw, powers=(16, 16, 4))
        style, up, back = self.pick("panel", "soft", "soft", "bars", "low"), between(0.95, 1.3), self.depth - 0.05
        if style == "soft":
            stuff = make_material(self.pick("cloth", "quilt"), self.tint((0.05, 0.45), (0.3, 0.8)), scale=0.2)
            add((x, back - 0.01, up / 2), (half + 0.06, 0.055, up / 2), stuff, powers=(16, 4, 16))
        elif style == "bars":
            for i in range(7):
                add((x + (i / 6 - 0.5) * (wide - 0.02), back, up / 2), (0.02, 0.02, up / 2), self.wood, casts=False)
            add((x, back, up), (half + 0.03, 0.03, 0.035), self.wood)
        else:
            up = up if style == "panel" else top + 0.22
            add((x, back, up / 2), (half + 0.04, 0.035, up / 2), self.wood)
            add((x, back - 0.01, up), (half + 0.06, 0.05, 0.02), self.wood)
        self.pillows(top, white)
        return range(first, len(self.solids))

    def pillows(self, top: float, white: Material) -> None:
        """Add one or two rows of pillows that lean on the headboard, and cushions in front of them."""
        count, x, back = 1 if self.bed_wide < 1.3 else 2, self.bed_x, self.depth - 0.12
        step, second = self.bed_wide / count, self.textile(bump=0.4)
        for row in range(1 + self.chance(0.6)):
            tilt = self.between(0.35, 0.6) + 0.35 * row
            case = second if row == 1 and self.chance(0.6) else white
            for i in range(count):
                at = x + (i - (count - 1) / 2) * step, back - 0.14 - 0.19 * row, top + 0.2 - 0.05 * row
                turned = tilted(tilt, self.between(-0.08, 0.08))
                self.add(at, (min(0.36, step / 2 - 0.02), 0.085, 0.22), case, powers=(4, 2, 4), axes=turned)
        cushions = int(self.rng.integers(1, count + 2)) if self.chance(0.55) else 0
        cushion = self.textile(bump=0.3)
        for i in range(cushions):
            at = x + (i - (cushions - 1) / 2) * 0.42 + self.between(-0.04, 0.04), back - 0.55, top + 0.17
            self.add(at, (0.21, 0.075, 0.19), cushion, powers=(4, 2, 4), axes=tilted(0.6, self.between(-0.3, 0.3)))

    def bedside(self) -> None:
        """Add tables beside the bed, mostly with lamps."""
        up, wide, deep = self.between(0.45, 0.62), self.between(0.36, 0.5), self.between(0.34, 0.42)
        drawers = int(self.rng.integers(1, 4))
        leg, body = 0.12 if drawers < 3 else 0.03, replace(self.wood, grid=(1, drawers), face=1)
        across, tall, base = self.between(0.12, 0.18), self.between(0.09, 0.13), self.between(0.1, 0.16)
        evening, lamps, ball = self.mood == "evening", self.chance(0.85), self.chance(0.5)
        lit = evening or self.chance(0.2)
        paper = make_material("plain", linear((0.95, 0.88, 0.74)), glow=lit * (6.0 if evening else 3.5))
        stem = make_material("plain", self.tint((0.0, 0.6), (0.2, 0.9)))
        for side in (-1, 1):
            x, y = self.bed_x + side * (self.bed_wide / 2 + 0.1 + wide / 2), self.depth - 0.02 - deep / 2
            if x - wide / 2 < 0.03 or x + wide / 2 > self.width - 0.03 or self.chance(0.12):
                continue
            self.taken.append((x - wide / 2, x + wide / 2, self.depth - deep, self.depth))
            self.add((x, y, (up + leg) / 2), (wide / 2, deep / 2, (up - leg) / 2), body)
            self.legs(x, y, wide / 2, deep / 2, leg, 0.018)
            if lamps and not self.chance(0.12):
                foot = ((0.075, 0.075, base), (2, 2, 2)) if ball else ((0.03, 0.03, base), (2, 2, 16))
                self.add((x, y, up + base), foot[0], stem, powers=foot[1])
                self.add((x, y, up + 2 * base + 0.03), (0.012, 0.012, 0.05), stem, casts=False)
                middle = up + 2 * base + 0.04 + tall
                self.add((x, y, middle), (across, across, tall), paper, powers=(2, 2, 16), casts=False)
                if lit:
                    self.lamp((x, y, middle), ((0.08, 0, 0), (0, 0.03, 0.07)), self.between(1.1, 1.8) if evening else 0.8)

    def lamp(self, centre: Vector, spread: tuple[Vector, Vector], power: float) -> None:
        warm = linear((1.0, 0.87, 0.69)) * np.float32(power)
        self.lights.append(Light(np.array(centre, np.float32), np.array(spread, np.float32), warm))

    def daylight(self) -> tuple[Solid, Array, Array, Array]:
        """Add the window and its curtains.

        Returns:
            The pane, the sky's radiance (3,), the sun's irradiance (3,), and the direction to the sun (3,).
        """
        between, wall = self.between, "back" if self.chance(0.35) else "left"
        wide, tall, sill = between(1.0, 1.9), between(1.05, 1.5), between(0.55, 0.95)
        along = between(wide / 2 + 1.0, self.depth - wide / 2 - 0.55)
        if wall == "back":
            left, right = self.bed_x - self.bed_wide / 2, self.width - self.bed_x - self.bed_wide / 2
            beside, sill = max(left, right), max(sill, self.height - tall - 0.3)
            if beside > 1.35 and self.chance(0.7):
                wide, along = min(wide, beside - 0.5), left / 2 if left > right else self.width - right / 2
            else:
                along, sill = self.bed_x, max(1.3, self.height - tall - 0.22)
        else:
            self.taken.append((0, 0.3, along - wide / 2 - 0.2, along + wide / 2 + 0.2))
        tall = min(tall, self.height - sill - 0.2)
        self.window = wall, along, wide
        sky_tone, radiance, sun_tone, heights, _ = MOODS[self.mood]
        sky = linear(sky_tone) * np.float32(radiance * between(0.7, 1.3))
        shown = between(0.12, 0.5) if self.mood != "evening" else 0.8  # a camera's film holds more of the view than of the room
        trees, lawn = linear((0.3, 0.37, 0.25)), linear((0.45, 0.55, 0.33))
        view = make_material("sky", lawn, trees, scale=between(0.0, 0.45), glow=shown)
        pane = self.on_wall(wall, along, sill, (wide, tall, 0.012), view, casts=False)
        bar, panes = between(0.03, 0.06), int(self.rng.integers(1, 4))
        for i in range(panes + 1):
            thick = bar * (1.6 if i in (0, panes) else 1)
            self.on_wall(wall, along + (i / panes - 0.5) * wide, sill, (thick, tall, 0.05), self.trim, casts=False)
        for part in (0.0, 0.5, 1.0) if self.chance(0.35) else (0.0, 1.0):
            rail = (wide + bar * 1.6, bar * 1.6, 0.052)
            self.on_wall(wall, along, sill + part * tall - bar * 0.8, rail, self.trim, casts=False)
        self.on_wall(wall, along, sill - 0.07, (wide + 0.16, 0.035, 0.13), self.trim)
        inward = INWARD[3 if wall == "back" else 0]
        edges = np.diag(pane.half)[pane.half > 0.01]
        self.lights.append(Light(pane.centre + inward * np.float32(0.03), edges, sky * np.float32(wide * tall), inward))
        rise, turn = between(*heights), between(-0.7, 0.7)
        flat = np.array([-inward[1], inward[0], 0]) * np.sin(turn) - inward * np.cos(turn)
        to_sun = (flat * np.cos(rise) + np.array([0, 0, np.sin(rise)])).astype(np.float32)
        if self.chance(0.72):
            self.curtains(sill, tall, 0.02 * float(sky.mean()))  # thin cloth in front of the sky shines a little
        return pane, sky, linear(sun_tone) * np.float32(between(14, 30)), to_sun

    def curtains(self, sill: float, tall: float, glow: float) -> None:
        wall, along, wide = self.window
        colour = self.tint((0.0, 0.15), (0.75, 0.95)) if self.chance(0.5) else self.tint((0.12, 0.5), (0.35, 0.85))
        cloth = make_material("folds", colour, scale=self.between(0.07, 0.12), glow=glow)
        top, length, panel = min(sill + tall + 0.1, self.height - 0.05), self.length(wall), wide * self.between(0.16, 0.3)
        bottom = sill - 0.15 if self.over_bed() or self.chance(0.4) else 0.02
        for side in (-1, 1):
            middle = along + side * (wide / 2 + 0.18 - panel / 2)
            middle = min(max(middle, panel / 2 + 0.02), length - panel / 2 - 0.02)
            self.on_wall(wall, middle, bottom, (panel, top - bottom, 0.07), cloth, gap=0.07)
        rod = min(wide + 0.5, 2 * min(along, length - along))
        self.on_wall(wall, along, top, (rod, 0.025, 0.025), self.wood, gap=0.09, casts=False)

    def over_bed(self) -> bool:
        wall, along, wide = self.window
        return wall == "back" and abs(along - self.bed_x) < (self.bed_wide + wide) / 2 + 0.1

    def furniture(self) -> None:
        """Add what stands along the walls: door, wardrobe, dresser, plant; each only where it fits."""
        at = self.reserve("right", 0.95, 0.12, 0.1) if self.chance(0.7) else None
        if at is not None:
            leaf = make_material("plain", PAINTED) if self.chance(0.6) else self.wood
            self.on_wall("right", at, 0, (0.95, 2.08, 0.03), self.trim, casts=False)
            self.on_wall("right", at, 0, (0.82, 2.0, 0.045), replace(leaf, grid=(1, 2), face=0), casts=False)
        wall, wide = self.pick("left", "right", "right", "back"), float(self.rng.choice([0.9, 1.2, 1.5, 1.8]))
        at = self.reserve(wall, wide, 0.58, 0.0 if wall == "back" else 0.3) if self.chance(0.65) else None
        if at is not None:
            stuff, tall = self.timber() if self.chance(0.5) else self.wood, min(self.between(1.9, 2.3), self.height - 0.1)
            doors = replace(stuff, grid=(max(2, round(wide / 0.5)), 1), face=int(wall == "back"))
            self.on_wall(wall, at, 0.0, (wide, tall, 0.58), doors)
        wall, wide, up = self.pick("left", "right"), self.between(0.8, 1.4), self.between(0.7, 0.95)
        at = self.reserve(wall, wide, 0.45, 0.25) if self.chance(0.6) else None
        if at is not None:
            self.on_wall(wall, at, 0.06, (wide, up - 0.06, 0.43), replace(self.wood, grid=(2 if wide > 1 else 1, 3), face=0))
            self.on_wall(wall, at, up, (wide + 0.04, 0.025, 0.45), self.wood, casts=False)
            if wall != self.window[0]:
                self.picture(wall, at, up + 0.35, self.between(0.5, 0.8), self.between(0.5, 0.7))
        if self.chance(0.4) and self.reserve(self.pick("left", "right", "back"), 0.5, 0.5, 0.3) is not None:
            x0, x1, y0, y1 = self.taken[-1]
            self.plant((x0 + x1) / 2, (y0 + y1) / 2, self.between(0.22, 0.34))

    def plant(self, x: float, y: float, up: float) -> None:
        leaf = make_material("plain", linear((0.25, self.between(0.4, 0.55), 0.2)))
        pot = make_material("plain", self.tint((0.0, 0.5), (0.3, 0.9)))
        self.add((x, y, up / 2), (0.15, 0.15, up / 2), pot, powers=(2, 2, 16))
        for _ in range(13):
            axes, long = tilted(self.between(0.1, 0.9), self.between(0, 6.3)), self.between(0.18, 0.34)
            half = np.array([0.065, 0.012, long])
            edge = np.abs(axes).T @ half  # a leaf bends before it goes through a wall
            middle = np.clip(np.array([x, y, up]) + axes[2] * long * 0.9, edge, (self.width, self.depth, self.height) - edge)
            self.add(middle.tolist(), half.tolist(), leaf, powers=(2, 2, 2), axes=axes, casts=False)

    def picture(self, wall: str, along: float, bottom: float, wide: float, tall: float) -> None:
        tall, edge = min(tall, self.height - bottom - 0.15), 0.04 if self.chance(0.7) else 0.015
        self.on_wall(wall, along, bottom, (wide, tall, 0.025), self.wood if self.chance(0.6) else self.trim, casts=False)
        art = make_material("art", self.tint((0.1, 0.6), (0.2, 0.9), 0.3), linear((0.93, 0.92, 0.9)), scale=self.between(0, 1))
        self.on_wall(wall, along, bottom + edge / 2, (wide - edge, tall - edge, 0.03), art, casts=False)

    def dressing(self) -> None:
        """Add pictures over the bed, the rug and the ceiling lamp."""
        if not self.over_bed() and self.chance(0.75):
            count, bottom = int(self.rng.integers(1, 4)), self.between(1.4, 1.55)
            wide = min(self.bed_wide / count - 0.08, self.between(0.4, 1.1))
            tall = min(wide * self.between(0.65, 1.35), 0.75)
            for i in range(count):
                self.picture("back", self.bed_x + (i - (count - 1) / 2) * (wide + 0.1), bottom, wide, tall)
        if self.chance(0.65):
            half, long = min(self.bed_wide + self.between(0.4, 1.2), self.width - 0.3) / 2, self.between(0.5, 0.85)
            x = min(max(self.bed_x, half + 0.1), self.width - half - 0.1)
            rug = self.textile(self.pick("rings", "rings", "stripes", "checks", "carpet"))
            self.add((x, max(self.bed_foot, long + 0.1), 0.008), (half, long, 0.008), rug, casts=False)
        dark = self.mood == "evening" and len(self.lights) < 2
        if self.chance(0.6) or dark:
            lit = dark or (self.mood == "evening" and self.chance(0.6))
            x, y, drop, half = self.width / 2, self.depth * 0.55, self.between(0.05, 0.4), self.between(0.14, 0.22)
            globe, middle = make_material("plain", linear((0.97, 0.93, 0.84)), glow=5.0 * lit), self.height - drop - half * 0.6
            self.add((x, y, middle), (half, half, half * 0.6), globe, powers=(2, 2, 4), casts=False)
            self.add((x, y, self.height - drop / 2), (0.008, 0.008, drop / 2), self.trim, casts=False)
            if lit:
                self.lamp((x, y, middle), ((0.12, 0, 0), (0, 0.12, 0)), self.between(2.0, 3.5))

    def camera(self, room: Array, bed: range) -> Camera:
        """Try standpoints until the bed fills a fair share of the view and nothing stands close in front."""
        tries: list[tuple[float, Camera]] = []
        line = np.linspace(-0.95, 0.95, 20, dtype=np.float32)
        while len(tries) < 40 and (not tries or tries[-1][0] < 0.17):
            x, y, z = self.between(0.3, self.width - 0.3), self.between(0.12, 0.8), self.between(1.15, 1.7)
            position = np.array([x, y, z], np.float32)
            target = np.array([self.bed_x, self.depth - self.between(0.6, 1.3), self.between(0.65, 1.0)])
            forward = target + self.rng.normal(0, 0.12, 3) - position
            forward[2] *= self.between(0.3, 0.7)  # photographers keep verticals nearly upright
            forward /= np.linalg.norm(forward)
            right = np.cross(forward, (0, 0, 1)) / np.linalg.norm(forward[:2])
            frame = np.stack([right, np.cross(right, forward), forward]).astype(np.float32)
            camera = Camera(position, frame, float(1 / np.tan(np.radians(self.between(56, 78)) / 2)))
            collides = any(np.all(np.abs(position - s.centre) < s.extent() + 0.3) for s in self.solids)
            rays = camera.rays(np.tile(line, line.size), np.repeat(line, line.size))
            distance, ids = nearest(room, self.solids, position[:, None], rays, range(len(self.solids)))
            share = float(((ids >= PLANES + bed.start) & (ids < PLANES + bed.stop)).mean())
            crowd = float(((ids >= PLANES) & (distance < 1.1)).mean())
            tries.append((min(share, 0.2) - max(share - 0.45, 0) - 2 * max(crowd - 0.04, 0) - 10 * collides, camera))
        return max(tries, key=lambda scored: scored[0])[1]
