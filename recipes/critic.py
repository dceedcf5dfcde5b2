"""How well filled holes pass for real ones: a critic, trained afresh for each method, tells them apart.

python recipes/critic.py PHOTOGRAPHS CASES/SET [CASES/SET ...] --method telea --method WEIGHTS ... [--json OUT]

Of 1,000 PHOTOGRAPHS, the central squares at 256 px, each with the described square hole, a method fills the holes, mask given.
A small residual network with group norm, unlike any critic in training, sees 128 x 128 px around the hole, the mask beside it,
and says whether the hole is filled or real. Then every case is shown to it twice, once filled and once real, the known pixels
the truth's both times: accuracy over both, 50% where the fills are perfect, with the 95% interval over the pictures; AUC, the
share of (filled, real) pairs that it ranks rightly, needs no threshold. Photographs, holes, first weights, order and steps are
the same for every method. No case may be among the PHOTOGRAPHS, which is not checked; a method that was trained on the
PHOTOGRAPHS may fill them better than it fills the cases, and then the critic knows its fills less well.
"""

import argparse
import json
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from pixelrnn.data.occluders import described_square
from pixelrnn.decode import read_image
from pixelrnn.errors import PixelRNNError
from pixelrnn.evaluation.baselines import CLASSICAL, classical
from pixelrnn.evaluation.bootstrap import Estimate, estimates
from pixelrnn.evaluation.cases import read_cases
from pixelrnn.evaluation.scores import Method
from pixelrnn.folders import list_images
from pixelrnn.image import paste_known, resize
from pixelrnn.inference.completer import Completer

SIZE, CROP = 256, 128  # pixels a side, of a training photograph and of what the critic sees
PAIRS = 16  # of a hole filled and the same one real, in a batch


class Block(nn.Module):
    """Two 3 x 3 convolutions with group norm, added to the input; half the height and width (He et al. 2016)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(channels, out, 3, 2, 1, bias=False), nn.GroupNorm(8, out)
        self.second, self.norm2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.GroupNorm(8, out)
        self.shortcut = nn.Conv2d(channels, out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = F.relu(self.norm1(self.first(x)))
        return F.relu(self.norm2(self.second(inside)) + self.shortcut(F.avg_pool2d(x, 2)))


class Critic(nn.Module):
    """Says of picture (B, 3, H, W) in [0, 1] and mask (B, 1, H, W) in {0, 1} how surely the hole is filled, a logit (B,)."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 96, 96)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, widths[0], 3, 1, 1)
        self.blocks = nn.Sequential(*(Block(a, b) for a, b in pairwise(widths)))
        self.head = nn.Linear(widths[-1], 1)

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.blocks(F.relu(self.stem(torch.cat([2 * image - 1, mask], dim=1))))  # (B, C, H / 16, W / 16)
        share = F.adaptive_avg_pool2d(mask, x.shape[-2:])
        return self.head((x * share).sum(dim=(2, 3)) / share.sum(dim=(2, 3)).clamp_min(1e-6))[:, 0]


class Holes(NamedTuple):
    """Crops around holes: the pictures as they were and with the holes filled, uint8 (N, 3, CROP, CROP), and the masks."""

    real: torch.Tensor
    filled: torch.Tensor
    mask: torch.Tensor  # bool (N, 1, CROP, CROP)

    def take(self, index: torch.Tensor, mirrored: torch.Tensor | None = None) -> "Holes":
        """Those at `index` (n,), some `mirrored`, bool (n,)."""
        some = [part[index] for part in self]
        if mirrored is not None:
            some = [torch.where(mirrored[:, None, None, None], part.flip(3), part) for part in some]
        return Holes(*some)

    def logits(self, critic: Critic) -> torch.Tensor:
        """Of the holes filled and of the same ones real, (2, N)."""
        image = (torch.cat([self.filled, self.real]).float() / 255).contiguous(memory_format=torch.channels_last)
        return critic(image, self.mask.float().repeat(2, 1, 1, 1)).view(2, -1)


def crop(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of CROP x CROP pixels inside the picture, around the middle of what `mask` (H, W) has missing."""
    if not mask.any() or min(mask.shape) < CROP:
        raise PixelRNNError(
            f"expected a hole in a picture of at least {CROP} x {CROP} pixels, got {mask.sum()} of {mask.shape}."
        )
    parts = []
    for side, found in zip(mask.shape, np.nonzero(mask), strict=True):
        low = (int(found.min()) + int(found.max()) + 1 - CROP) // 2
        low = max(0, min(low, side - CROP))
        parts.append(slice(low, low + CROP))
    return parts[0], parts[1]


def fill(method: Method, pictures: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Holes:
    """What `method` makes of each (given, mask, truth), cropped."""
    made: list[list[np.ndarray]] = [[], [], []]
    for given, mask, truth in pictures:
        result = method(given, mask)
        filled = paste_known(truth, getattr(result, "image", result), mask)
        around = crop(mask)
        for several, one in zip(made, (truth, filled, mask[..., None]), strict=True):
            several.append(one[around].transpose(2, 0, 1).copy())  # lets the picture go
    return Holes(*(torch.from_numpy(np.stack(several)) for several in made))


def photographs(folder: Path, count: int) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """`count` photographs, spread evenly over `folder`, as (given, mask, truth), the hole black; the same at every call."""
    paths = list_images(folder)
    for number, place in enumerate(np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)):
        picture = read_image(paths[place])
        side = min(picture.shape[:2])
        top, left = ((length - side) // 2 for length in picture.shape[:2])
        truth = resize(picture[top : top + side, left : left + side], SIZE, SIZE)
        mask = described_square(np.random.default_rng(number), SIZE, SIZE)
        yield np.where(mask[..., None], np.uint8(0), truth), mask, truth


def train(holes: Holes, steps: int, seed: int) -> Critic:
    """A critic after `steps` batches of PAIRS, half of them mirrored; the same seed gives the same one."""
    torch.manual_seed(seed)
    critic = Critic().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(critic.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.002, total_steps=steps)  # a cosine, up and down
    filled = torch.tensor([[1.0], [0.0]])
    for _ in range(steps):
        logits = holes.take(torch.randperm(len(holes.mask))[:PAIRS], torch.rand(PAIRS) < 0.5).logits(critic)
        loss = F.binary_cross_entropy_with_logits(logits, filled.expand_as(logits))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return critic


@torch.inference_mode()
def judge(critic: Critic, holes: Holes) -> tuple[np.ndarray, float]:
    """The share of its two answers that is right for each hole (N,), and the AUC over all pairs, in [0, 1]."""
    parts = [holes.take(index).logits(critic) for index in torch.arange(len(holes.mask)).split(PAIRS)]
    filled, real = torch.cat(parts, dim=1).numpy()
    ahead = np.sign(filled[:, None] - real)
    return ((filled > 0).astype(float) + (real <= 0)) / 2, float(ahead.mean() + 1) / 2


def score(method: Method, folder: Path, sets: list[Path], count: int, steps: int, seeds: int) -> dict[str, dict[str, Estimate]]:
    """By set: "count", "accuracy" with its interval, and "auc"."""
    start = time.perf_counter()
    training = fill(method, photographs(folder, count))
    tests = {path.resolve().name: fill(method, (case.read() for case in read_cases(path))) for path in sets}
    print(f"  filled in {time.perf_counter() - start:.0f} s", flush=True)
    told: dict[str, list[tuple[np.ndarray, float]]] = {name: [] for name in tests}
    for seed in range(seeds):
        start = time.perf_counter()
        critic = train(training, steps, seed)
        seconds = time.perf_counter() - start
        known = judge(critic, training.take(torch.arange(0, len(training.mask), 5)))[0].mean()
        for name, holes in tests.items():
            told[name].append(judge(critic, holes))
        print(f"  seed {seed}: trained in {seconds:.0f} s; {known:.1%} right on photographs it was trained on", flush=True)
    made = {}
    for name, answers in told.items():
        right = np.mean([right for right, _ in answers], axis=0)
        accuracy = estimates([{"accuracy": float(one)} for one in right])
        made[name] = {"count": Estimate(len(right)), **accuracy, "auc": Estimate(float(np.mean([auc for _, auc in answers])))}
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--method", action="append", required=True, help=f"{', '.join(CLASSICAL)}, a bundled name or a file")
    parser.add_argument("--count", type=int, default=1000, help="photographs to train on")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    figures: dict[str, dict[str, dict[str, Estimate]]] = {}
    for name in asked.method:
        print(name, flush=True)
        method: Method = classical(name) if name in CLASSICAL else Completer.from_pretrained(name)
        for set_, found in score(method, asked.photographs, asked.sets, asked.count, asked.steps, asked.seeds).items():
            figures.setdefault(set_, {})[name] = found
    print("\n| set | method | pictures | accuracy % | AUC |\n| --- | --- | ---: | ---: | ---: |")
    for set_, methods in figures.items():
        for name, found in methods.items():
            mean, low, high = (f"{100 * value:.1f}" for value in found["accuracy"])
            print(f"| {set_} | {name} | {found['count'].mean} | {mean} ({low} to {high}) | {found['auc'].mean:.3f} |")
    if asked.json is not None:
        settings = {"photographs": asked.count, "steps": asked.steps, "seeds": asked.seeds}
        told = {
            set_: {
                name: {key: one.mean for key, one in found.items()} | {"interval": {"accuracy": found["accuracy"][1:]}}
                for name, found in methods.items()
            }
            for set_, methods in figures.items()
        }
        asked.json.write_text(json.dumps({"settings": settings, "sets": told}, indent=1))


if __name__ == "__main__":
    main()
