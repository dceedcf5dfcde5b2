"""Measure how well fills pass for real: a critic, trained afresh for each method, tells them apart.

python recipes/critic.py PHOTOGRAPHS CASES/SET [CASES/SET ...] --method telea --method WEIGHTS ... [--json OUT]

Training: a method fills the described square hole, with its mask, in the central squares of 1,000 PHOTOGRAPHS at 256 px. The
critic is a small residual network with group norm, unlike the discriminators of training. It sees 128 x 128 px around the hole,
and the mask, and says whether the hole is filled or real.

Test: the critic sees every case twice, once filled and once real, with the truth's known pixels both times. Accuracy is over
both, 50% if the fills are perfect, with the 95% interval over images. AUC, the share of (filled, real) pairs that the critic
ranks correctly, needs no threshold.

Photographs, holes, initial weights, order and steps are the same for every method. No case may be among the PHOTOGRAPHS, which
is not checked. A method that was trained on the PHOTOGRAPHS may fill them better than the cases, and the critic then learns
less about its fills.
"""

import argparse
import json
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

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
PAIRS = 16  # (filled, real) of the same hole, in a batch


class Block(nn.Module):
    """Two 3 x 3 convolutions with group norm, added to the input; halves height and width (He et al. 2016)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(channels, out, 3, 2, 1, bias=False), nn.GroupNorm(8, out)
        self.second, self.norm2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.GroupNorm(8, out)
        self.shortcut = nn.Conv2d(channels, out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.norm1(self.first(x)))
        return F.relu(self.norm2(self.second(y)) + self.shortcut(F.avg_pool2d(x, 2)))


class Critic(nn.Module):
    """Maps an image (B, 3, H, W) in [0, 1] and a mask (B, 1, H, W) in {0, 1} to a logit (B,), above 0 for filled."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 96, 96)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, widths[0], 3, 1, 1)
        self.blocks = nn.Sequential(*(Block(a, b) for a, b in pairwise(widths)))
        self.head = nn.Linear(widths[-1], 1)

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.blocks(F.relu(self.stem(torch.cat([2 * image - 1, mask], dim=1))))  # (B, C, H / 16, W / 16)
        share = F.adaptive_avg_pool2d(mask, x.shape[-2:])
        logits: torch.Tensor = self.head((x * share).sum(dim=(2, 3)) / share.sum(dim=(2, 3)).clamp_min(1e-6))
        return logits[:, 0]


class Holes(NamedTuple):
    """Crops around holes, uint8 (N, 3, CROP, CROP): the original images and the filled ones, with the masks."""

    real: torch.Tensor
    filled: torch.Tensor
    mask: torch.Tensor  # bool (N, 1, CROP, CROP)

    def take(self, index: torch.Tensor, mirrored: torch.Tensor | None = None) -> "Holes":
        """The crops at `index` (n,); those where `mirrored`, bool (n,), is True are mirrored."""
        crops = [field[index] for field in self]
        if mirrored is not None:
            crops = [torch.where(mirrored[:, None, None, None], field.flip(3), field) for field in crops]
        return Holes(*crops)

    def logits(self, critic: Critic) -> torch.Tensor:
        """The critic's logits (2, N): of the filled crops, and of the real ones."""
        image = (torch.cat([self.filled, self.real]).float() / 255).contiguous(memory_format=torch.channels_last)
        logits: torch.Tensor = critic(image, self.mask.float().repeat(2, 1, 1, 1))
        return logits.view(2, -1)


def crop(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of CROP x CROP pixels within the image, around the middle of the missing pixels of `mask` (H, W)."""
    if not mask.any() or min(mask.shape) < CROP:
        raise PixelRNNError(
            f"expected a hole in an image of at least {CROP} x {CROP} pixels, got {mask.sum()} of {mask.shape}."
        )
    slices = []
    for side, indices in zip(mask.shape, np.nonzero(mask), strict=True):
        start = (int(indices.min()) + int(indices.max()) + 1 - CROP) // 2
        start = max(0, min(start, side - CROP))
        slices.append(slice(start, start + CROP))
    return slices[0], slices[1]


def fill(method: Method, cases: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Holes:
    """Fill each case (given, mask, truth) by a method, and crop it."""
    fields: list[list[np.ndarray]] = [[], [], []]  # of Holes
    for given, mask, truth in cases:
        result = method(given, mask)
        image: Any = getattr(result, "image", result)  # of a Completion, or of a classical method
        filled = paste_known(truth, image, mask)
        window = crop(mask)
        for crops, field in zip(fields, (truth, filled, mask[..., None]), strict=True):
            crops.append(field[window].transpose(2, 0, 1).copy())  # a copy, so that the whole image can be freed
    return Holes(*(torch.from_numpy(np.stack(crops)) for crops in fields))


def photographs(folder: Path, count: int) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """`count` photographs, spread evenly over `folder`, as (given, mask, truth), the hole black; the same at every call."""
    paths = list_images(folder)
    for number, place in enumerate(np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)):
        image = read_image(paths[place])
        side = min(image.shape[:2])
        top, left = ((length - side) // 2 for length in image.shape[:2])
        truth = resize(image[top : top + side, left : left + side], SIZE, SIZE)
        mask = described_square(np.random.default_rng(number), SIZE, SIZE)
        yield np.where(mask[..., None], np.uint8(0), truth), mask, truth


def train(holes: Holes, steps: int, seed: int) -> Critic:
    """Train a critic on `steps` batches of PAIRS, half of them mirrored; the same seed gives the same critic."""
    torch.manual_seed(seed)
    critic: Critic = Critic().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
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
    """The share of the critic's two answers that is right for each hole (N,), and the AUC over all pairs, in [0, 1]."""
    batches = [holes.take(index).logits(critic) for index in torch.arange(len(holes.mask)).split(PAIRS)]
    filled, real = torch.cat(batches, dim=1).numpy()
    order = np.sign(filled[:, None] - real)
    return ((filled > 0).astype(float) + (real <= 0)) / 2, float(order.mean() + 1) / 2


def score(method: Method, folder: Path, sets: list[Path], count: int, steps: int, seeds: int) -> dict[str, dict[str, Estimate]]:
    """A method's figures by set: "count", "accuracy" with its interval, and "auc"."""
    start = time.perf_counter()
    training = fill(method, photographs(folder, count))
    tests = {path.resolve().name: fill(method, (case.read() for case in read_cases(path))) for path in sets}
    print(f"  filled in {time.perf_counter() - start:.0f} s", flush=True)
    answers: dict[str, list[tuple[np.ndarray, float]]] = {name: [] for name in tests}
    for seed in range(seeds):
        start = time.perf_counter()
        critic = train(training, steps, seed)
        seconds = time.perf_counter() - start
        on_training = judge(critic, training.take(torch.arange(0, len(training.mask), 5)))[0].mean()
        for name, holes in tests.items():
            answers[name].append(judge(critic, holes))
        trained = f"trained in {seconds:.0f} s; {on_training:.1%} right on photographs it was trained on"
        print(f"  seed {seed}: {trained}", flush=True)
    figures = {}
    for name, by_seed in answers.items():
        right = np.mean([right for right, _ in by_seed], axis=0)
        accuracy = estimates([{"accuracy": float(share)} for share in right])
        figures[name] = {
            "count": Estimate(len(right)),
            **accuracy,
            "auc": Estimate(float(np.mean([auc for _, auc in by_seed]))),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--method", action="append", required=True, help=f"{', '.join(CLASSICAL)}, a bundled name or a file")
    parser.add_argument("--count", type=int, default=1000, help="photographs to train on")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    figures: dict[str, dict[str, dict[str, Estimate]]] = {}
    for name in args.method:
        print(name, flush=True)
        method: Method = classical(name) if name in CLASSICAL else Completer.from_pretrained(name)
        for set_, result in score(method, args.photographs, args.sets, args.count, args.steps, args.seeds).items():
            figures.setdefault(set_, {})[name] = result
    print("\n| set | method | pictures | accuracy % | AUC |\n| --- | --- | ---: | ---: | ---: |")
    for set_, methods in figures.items():
        for name, result in methods.items():
            mean, low, high = (f"{100 * value:.1f}" for value in result["accuracy"])
            print(f"| {set_} | {name} | {result['count'].mean} | {mean} ({low} to {high}) | {result['auc'].mean:.3f} |")
    if args.json is not None:
        settings = {"photographs": args.count, "steps": args.steps, "seeds": args.seeds}
        content = {
            set_: {
                name: {key: value.mean for key, value in result.items()} | {"interval": {"accuracy": result["accuracy"][1:]}}
                for name, result in methods.items()
            }
            for set_, methods in figures.items()
        }
        args.json.write_text(json.dumps({"settings": settings, "sets": content}, indent=1))


if __name__ == "__main__":
    main()
