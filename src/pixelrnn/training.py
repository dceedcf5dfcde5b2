"""Training on Lightning: a recipe, the module that minimises its loss, callbacks that keep its history, and `train`."""

import csv
import json
import logging
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from functools import partial
from math import cos, pi
from pathlib import Path
from typing import Any

import lightning as L
import matplotlib as mpl
import numpy as np
import torch
import yaml
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar, Timer, WeightAveraging
from matplotlib.figure import Figure
from rich.console import Console
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from . import checkpoint
from .data import OccludedPhotographs, Pair, PairedDataset, find_pairs, is_paired, split, split_by_number
from .errors import PixelRNNError
from .image import list_images, read_image, to_uint8, write_atomically, write_image
from .losses import combined_loss, deviation_loss, hole_l1_loss, hole_rmse_loss, mask_loss
from .metrics import psnr, split_error, ssim
from .models import Prediction, create_model
from .models.registry import nearest

mpl.use("Agg")
KAGGLE = Path("/kaggle/working")
NAME = "optimized_pixelrnn"
SHOWN_EPOCHS = (1, 5, 10, 20)  # beside each other in pictures/over_epochs.jpg


@dataclass(frozen=True)
class Recipe:
    """One training run; the defaults are the described one. A recipe file is flat YAML with these keys and those of the model's
    config."""

    model: str = "optimized_pixelrnn"
    size: int = 256  # side of the pictures in pixels
    epochs: int = 20
    minutes: float | None = None  # a budget of time instead of epochs
    epoch_steps: int | None = None  # cut epochs to so many steps, on large folders
    batch_size: int = 16
    learning_rate: float = 0.001
    schedule: str = "constant"  # or "one_cycle": up over the first tenth, then down a cosine to a hundredth
    loss: str = "combined"  # over the whole picture; or over the missing pixels, "hole_l1" or "hole_rmse"
    part: str = "all"  # what learns: or the "filler" or the "detector" alone, where a model has them
    mse_weight: float = 0.8
    ssim_weight: float = 0.2
    # "given" and "square": pairs as they are, photographs at random or with the described square; "random" and "squares": the
    # originals of pairs, too, are occluded afresh each time they are read
    occlusion: str = "given"
    clean: float | None = None  # share of photographs left whole, for the detector's sake; None: 0.05 for "random", else 0
    valid_from: int | None = None  # pairs with this number and above validate; photographs all train
    valid_fraction: float = 0.1  # else this share of each folder, drawn by the seed
    guided: float = 0.0  # share of pictures that come with the truth's own coarse one as guide
    ema: float = 0.0  # decay of the averaged weights; 0 is off
    clip: float = 0.0  # largest gradient norm; 0 is off
    seed: int = 0
    start_from: str = "bundled"  # the bundled weights where they are of this model; "scratch": fresh ones; or a file or a name
    workers: int = 0  # processes that read pictures; 0 reads in the training process


def read_recipe(path: Path | None, overrides: Sequence[str] = ()) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a YAML file (None: the described run) with `key=value` overrides, and its options for the model.

    Raises PixelRNNError for a missing or malformed file and for a value of the wrong type.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = yaml.safe_load(path.read_text()) or {}
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise PixelRNNError(f"{path}: not a readable recipe ({error}). Expected flat YAML, as in recipes/.") from None
        if not isinstance(values, dict):
            raise PixelRNNError(f"{path}: expected 'key: value' lines, as in recipes/.")
    for override in overrides:
        key, _, text = override.partition("=")
        values[key] = yaml.safe_load(text)
    known = {field.name: field.type for field in fields(Recipe)}
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key not in known}
    chosen = {key: value for key, value in values.items() if key in known}
    for key, value in chosen.items():
        allowed: Any = known[key]
        if isinstance(value, int) and not isinstance(value, bool) and isinstance(1.0, allowed):
            chosen[key] = float(value)
        elif not isinstance(value, allowed) or isinstance(value, bool):
            raise PixelRNNError(f"recipe: {key} must be {getattr(allowed, '__name__', allowed)}, got {value!r}.")
    for key, choices in {
        "schedule": ("constant", "one_cycle"),
        "loss": ("combined", "hole_l1", "hole_rmse"),
        "part": ("all", "filler", "detector"),
        "occlusion": ("given", "random", "squares", "square"),
    }.items():
        if chosen.get(key, choices[0]) not in choices:
            raise PixelRNNError(f"recipe: {key} must be one of {', '.join(choices)}, got {chosen[key]!r}.")
    try:
        create_model(chosen.get("model", Recipe.model), **options)
    except PixelRNNError as error:
        if options and any(key in str(error) for key in options):
            key = next(key for key in options if key in str(error))
            raise PixelRNNError(f"recipe: no key {key!r}{nearest(key, list(known))} {error}") from None
        raise
    return Recipe(**chosen), options


def make_datasets(
    folders: Sequence[Path], recipe: Recipe
) -> tuple[ConcatDataset[dict[str, Any]], ConcatDataset[dict[str, Any]]]:
    """(training, validation) from folders in the paired layout or of clean photographs."""
    pairs: tuple[list[Pair], list[Pair]] = ([], [])
    photographs: tuple[list[Path], list[Path]] = ([], [])
    for folder in folders:
        if not folder.is_dir():
            raise PixelRNNError(
                f"{folder}: no such folder. Give a folder of photographs or of pairs, "
                f"or render bedrooms there: pixelrnn demo-data {folder}/"
            )
        if is_paired(folder):
            found = find_pairs(folder)
            parts = (
                split(found, recipe.valid_fraction, recipe.seed)
                if recipe.valid_from is None
                else split_by_number(found, recipe.valid_from)
            )
            if recipe.occlusion in ("given", "square"):
                pairs[0].extend(parts[0])
            else:
                photographs[0].extend(pair.original for pair in parts[0])
            pairs[1].extend(parts[1])
        elif recipe.valid_from is None:
            for whole, part in zip(photographs, split(list_images(folder), recipe.valid_fraction, recipe.seed), strict=True):
                whole.extend(part)
        else:
            photographs[0].extend(list_images(folder))
    if not pairs[1] and not photographs[1]:
        raise PixelRNNError("no pictures to validate on: valid_from needs a folder in the paired layout.")

    style = "random" if recipe.occlusion == "given" else recipe.occlusion
    clean = recipe.clean if recipe.clean is not None else 0.05 * (style == "random")

    def join(i: int, augment: bool) -> ConcatDataset[dict[str, Any]]:
        sources: list[Dataset[dict[str, Any]]] = []
        if pairs[i]:
            sources.append(PairedDataset(pairs[i], recipe.size))
        if photographs[i]:
            sources.append(OccludedPhotographs(photographs[i], recipe.size, recipe.seed, augment, clean, style))
        return ConcatDataset(sources)

    return join(0, augment=True), join(1, augment=False)


class CompletionModule(L.LightningModule):
    """One completion model under one recipe."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe
        self.first_pictures: torch.Tensor | None = None  # (N, 3, 3, H, W) of the last validation: occluded, completed, original

    def loss(self, prediction: Prediction, batch: dict[str, Any]) -> torch.Tensor:
        """The recipe's loss of the picture, and those of the occlusion and the deviation where the model gives them."""
        recipe, target, mask = self.recipe, batch["target"], batch["mask"]
        if recipe.part == "detector" and prediction.mask_logits is not None:
            return mask_loss(prediction.mask_logits, mask)
        if recipe.loss == "combined":
            loss = combined_loss(prediction.image, target, recipe.mse_weight, recipe.ssim_weight)
        else:
            loss = {"hole_l1": hole_l1_loss, "hole_rmse": hole_rmse_loss}[recipe.loss](prediction.image, target, mask)
        if prediction.mask_logits is not None:
            loss = loss + 0.1 * mask_loss(prediction.mask_logits, mask)
        if prediction.log_std is not None:
            loss = loss + 0.1 * deviation_loss(prediction.log_std, prediction.image, target, mask)
        return loss

    def training_step(self, batch: dict[str, Any], index: int) -> torch.Tensor:
        image, mask, model = batch["image"].contiguous(memory_format=torch.channels_last), batch["mask"], self.model
        if self.recipe.part == "detector":
            loss = mask_loss(model.detect(image), mask)  # type: ignore[operator]
        elif hasattr(model, "fill"):
            picture, log_std = model.fill(image, mask, *self.guide(batch["target"]))  # type: ignore[operator]
            logits = model.detect(image) if self.recipe.part == "all" else None  # type: ignore[operator]
            loss = self.loss(Prediction(picture, logits, log_std), batch)
        else:
            loss = self.loss(model(image, mask), batch)
        self.log("train_loss", loss, on_epoch=True, on_step=False, prog_bar=True, batch_size=len(image))
        return loss

    def guide(self, target: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """The truth (B, 3, H, W) reduced to an eighth to a half of its side, with noise, and which pictures get it, bool (B,);
        nothing where the recipe has no guide."""
        if not self.recipe.guided:
            return None, None
        generator = torch.Generator().manual_seed(self.recipe.seed + self.global_step)
        guided = torch.rand(len(target), generator=generator) < self.recipe.guided
        side = max(1, round(min(target.shape[-2:]) * 2 ** (-1 - 2 * float(torch.rand((), generator=generator)))))
        coarse = F.adaptive_avg_pool2d(target, side)
        noise = 0.08 * torch.rand(len(target), 1, 1, 1, generator=generator) * torch.randn(coarse.shape, generator=generator)
        return (coarse + noise.to(coarse.device)).clamp(0, 1), guided.to(coarse.device)

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        image, target, mask = batch["image"].contiguous(memory_format=torch.channels_last), batch["target"], batch["mask"]
        prediction = self.model(image, mask)
        if hasattr(self.model, "detect") and self.recipe.part != "filler":
            prediction = prediction._replace(mask_logits=self.model.detect(image))  # type: ignore[operator]
        pasted = torch.where(mask > 0, prediction.image, target)
        structure, texture = split_error(255 * (pasted - target), mask)  # in grey levels
        figures = {
            "val_loss": self.loss(prediction, batch),
            "hole_psnr": psnr(pasted, target, mask).nanmean(),
            "raw_psnr": psnr(prediction.image, target).mean(),
            "psnr": psnr(pasted, target).mean(),
            "ssim": ssim(pasted, target).mean(),
            "structure_rmse": structure.nanmean(),
            "texture_rmse": texture.nanmean(),
        }
        if prediction.mask_logits is not None:
            seen, true = prediction.mask_logits > 0, mask > 0
            union = (seen | true).sum(dim=(1, 2, 3)).clamp_min(1)
            figures["mask_iou"] = ((seen & true).sum(dim=(1, 2, 3)) / union).mean()
        self.log_dict(figures, on_epoch=True, on_step=False, batch_size=len(image))
        if index == 0:
            self.first_pictures = torch.stack([image, prediction.image, target], dim=1)[:8].float().cpu()

    def on_train_epoch_start(self) -> None:
        for part in self.trainer.train_dataloader.dataset.datasets:  # type: ignore[union-attr]
            if isinstance(part, OccludedPhotographs):
                part.set_epoch(self.current_epoch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = asdict(self.model.config)  # type: ignore[call-overload]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.recipe.learning_rate)


class LearningRate(Callback):
    """Sets the rate by the share of the run that is over, in steps or in time, whichever the recipe counts."""

    def __init__(self, recipe: Recipe, timer: Timer | None) -> None:
        self.recipe, self.timer = recipe, timer

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, index: int) -> None:
        if self.recipe.schedule == "constant":
            return
        if self.timer is not None and self.recipe.minutes is not None:
            over = self.timer.time_elapsed() / (60 * self.recipe.minutes)
        else:
            over = trainer.global_step / trainer.estimated_stepping_batches
        rate = self.recipe.learning_rate * one_cycle(min(over, 1.0))
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = rate


def running_average(average: torch.Tensor, new: torch.Tensor, count: torch.Tensor | int, decay: float) -> torch.Tensor:
    """Exponential moving average after `count` values; its decay grows to `decay`: untrained weights are soon forgotten."""
    return average.lerp(new, 1 - min(decay, (1 + float(count)) / (10 + float(count))))


def one_cycle(over: float) -> float:
    """Share of the peak rate when `over` in [0, 1] of the run is over: from 0.04 up to 1 at a tenth, down a cosine to 0.01."""
    if over < 0.1:
        return 0.04 + 0.96 * over / 0.1
    return 0.01 + 0.99 * (1 + cos(pi * (over - 0.1) / 0.9)) / 2


class History(Callback):
    """Writes, each epoch, a row of metrics.csv, the loss curve and a grid of validation pictures; prints the row."""

    def __init__(self, folder: Path, console: Console, timer: Timer) -> None:
        self.folder, self.console, self.timer = folder, console, timer
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows = state["rows"]

    def on_validation_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.sanity_checking or not isinstance(module, CompletionModule) or module.first_pictures is None:
            return
        count, _, _, height, width = module.first_pictures.shape
        grid = to_uint8(module.first_pictures.permute(2, 1, 3, 0, 4).reshape(3, 3 * height, count * width).numpy())
        pictures, epoch = self.folder / "pictures", trainer.current_epoch + 1
        write_image(pictures / f"epoch_{epoch:03d}.jpg", grid)
        if epoch in SHOWN_EPOCHS:
            # read back, so that a resumed run shows the epochs before it was stopped
            files = [pictures / f"epoch_{shown:03d}.jpg" for shown in SHOWN_EPOCHS if shown <= epoch]
            completed = [read_image(file)[height : 2 * height] for file in files if file.exists()]
            write_image(pictures / "over_epochs.jpg", np.concatenate([grid[:height], *completed, grid[2 * height :]]))

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        row = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, "minutes": self.timer.time_elapsed() / 60}
        row |= {key: float(value) for key, value in sorted(trainer.callback_metrics.items())}
        row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        self.rows.append(row)
        write_atomically(self.folder / "metrics.csv", self._write_csv)
        write_atomically(self.folder / "loss_curve.png", self._draw)
        self.console.print(
            "  ".join(f"{key} {value:.6g}" for key, value in row.items() if key != "learning_rate"),
            highlight=False,
            soft_wrap=True,
        )

    def _write_csv(self, path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self.rows[-1]))
            writer.writeheader()
            writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in self.rows)

    def _draw(self, path: Path) -> None:
        figure = Figure(figsize=(15, 4), layout="constrained")
        loss, quality, error = figure.subplots(1, 3)
        epochs = [row["epoch"] for row in self.rows]
        for key, label in (("train_loss", "training"), ("val_loss", "validation")):
            loss.plot(epochs, [row[key] for row in self.rows], marker=".", label=label)
        loss.set(xlabel="epoch", ylabel="loss", title="Loss")
        loss.legend()
        quality.plot(epochs, [row["hole_psnr"] for row in self.rows], marker=".")
        quality.set(xlabel="epoch", ylabel="dB", title="PSNR of the missing pixels, validation")
        for key, label in (("structure_rmse", "structure, coarser than 4 px"), ("texture_rmse", "texture, finer")):
            error.plot(epochs, [row.get(key, np.nan) for row in self.rows], marker=".", label=label)
        error.set(xlabel="epoch", ylabel="grey levels", title="RMS error of the missing pixels, validation")
        error.legend()
        for axes in (loss, quality, error):
            axes.grid(alpha=0.3)
        figure.savefig(path, format="png", dpi=120)


def default_out() -> Path:
    """Where results go when no folder is named: /kaggle/working where it exists, else outputs/."""
    return KAGGLE if KAGGLE.is_dir() else Path("outputs")


def train(
    folders: Sequence[Path],
    recipe: Recipe,
    options: dict[str, Any],
    out: Path,
    resume: bool = False,
    device: str = "auto",
    console: Console | None = None,
) -> Path:
    """Train, and write to `out`: optimized_pixelrnn.pth (plain state dict) and .safetensors (ours) of the epoch with the best
    hole PSNR in validation (the best IoU where the detector alone is trained), metrics.csv, loss_curve.png, pictures/ and
    checkpoints/. Returns the path of the .safetensors.

    resume: go on from out/checkpoints/last.ckpt, whatever the recipe starts from. Ctrl-C writes all of that, too, then raises
    KeyboardInterrupt.
    Raises PixelRNNError for data or weights that cannot be used, or a device that is not there.
    """
    console = console or Console()
    train_data, valid_data = make_datasets(folders, recipe)
    L.seed_everything(recipe.seed, verbose=False)
    last = out / "checkpoints" / "last.ckpt"
    if resume and not last.is_file():
        raise PixelRNNError(f"{last}: nothing to go on from. Start without --resume.")
    model, source = _start(recipe, options, last if resume else None)
    if not hasattr(model, "fill") and (recipe.part != "all" or recipe.guided):
        raise PixelRNNError(f"part, guided: model {recipe.model} has no detector and takes no guide. Leave them out.")
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    timer = Timer(timedelta(minutes=recipe.minutes) if recipe.minutes else None, interval="step", verbose=False)
    history = History(out, console, timer)
    measure = "mask_iou" if recipe.part == "detector" else "hole_psnr"
    best = ModelCheckpoint(out / "checkpoints", "best", monitor=measure, mode="max", enable_version_counter=False)
    newest = ModelCheckpoint(out / "checkpoints", "last", save_on_exception=True, enable_version_counter=False)
    callbacks: list[Callback] = [timer, LearningRate(recipe, timer), history, best, newest]
    if recipe.ema:
        callbacks.insert(0, WeightAveraging(avg_fn=partial(running_average, decay=recipe.ema)))
    if console.is_terminal:
        callbacks.append(RichProgressBar())
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if device == "cuda" and not torch.cuda.is_available():
        raise PixelRNNError("device cuda: no GPU that torch can use here. Leave out --device, or give cpu.")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # hints of devices and of its own services
    trainer = L.Trainer(
        accelerator="gpu" if cuda else "cpu",
        devices=1,
        # bf16 on the CPU only pays with AMX or AVX512-BF16, which few laptops have
        precision="bf16-mixed" if cuda else "32-true",
        max_epochs=-1 if recipe.minutes else recipe.epochs,
        limit_train_batches=recipe.epoch_steps or 1.0,
        gradient_clip_val=recipe.clip or None,
        callbacks=callbacks,
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=console.is_terminal,
        enable_model_summary=False,
        default_root_dir=out,
    )
    loader: dict[str, Any] = {"batch_size": recipe.batch_size, "num_workers": recipe.workers, "pin_memory": cuda}
    console.print(
        f"{recipe.model}, {sum(p.numel() for p in model.parameters()):,} parameters, {source}; "
        f"{len(train_data)} pictures to train on, {len(valid_data)} to validate; results in {out}",
        highlight=False,
        soft_wrap=True,
    )
    interrupted = False
    try:
        _fit(
            trainer,
            CompletionModule(model, recipe),
            DataLoader(train_data, shuffle=True, drop_last=len(train_data) > recipe.batch_size, **loader),
            DataLoader(valid_data, **loader),
            ckpt_path=last if resume else None,
            weights_only=True if resume else None,
        )
    except SystemExit:  # how Lightning ends after Ctrl-C
        interrupted = True
    weights = _export(model, best.best_model_path or str(last), out, recipe, history)
    if interrupted:
        raise KeyboardInterrupt
    return weights


def _fit(trainer: L.Trainer, *arguments: Any, **options: Any) -> None:
    """trainer.fit without what Lightning says that no user of ours can act on."""
    with warnings.catch_warnings():
        for message in (".*LeafSpec", ".*does not have many workers", ".*Checkpoint directory", ".*mid-epoch"):
            warnings.filterwarnings("ignore", message)
        trainer.fit(*arguments, **options)


def _start(recipe: Recipe, options: dict[str, Any], last: Path | None) -> tuple[nn.Module, str]:
    """The model to train, and where its weights come from, in words; that of the checkpoint `last`, where one is given."""
    if last is not None:  # Lightning restores the weights
        config = torch.load(last, map_location="cpu", weights_only=True, mmap=True).get("config", {})
        return create_model(recipe.model, **config | options), "going on from the last checkpoint"
    fresh = create_model(recipe.model, **options)
    if recipe.start_from == "scratch":
        return fresh, "starting from fresh weights"
    if recipe.start_from == "bundled":
        bundled = _bundled(fresh, options)
        if bundled is None:
            return fresh, f"starting from fresh weights: none are bundled for this {'config' if options else 'model'}"
        return checkpoint.load(bundled).model.train(), "starting from the bundled weights"
    loaded = checkpoint.load(recipe.start_from)
    if loaded.name != recipe.model or (options and loaded.model.config != fresh.config):
        raise PixelRNNError(
            f"start_from {recipe.start_from}: these are weights of {loaded.name} {loaded.model.config}, "
            f"not of {recipe.model} {fresh.config}."
        )
    return loaded.model.train(), f"starting from {recipe.start_from}"


def _bundled(fresh: nn.Module, options: dict[str, Any]) -> Path | None:
    """The bundled checkpoint of the same model and, where options are given, the same config; None where there is none."""
    config = json.loads(json.dumps(asdict(fresh.config)))  # type: ignore[call-overload]
    for path in checkpoint.bundled_weights().values():
        with safe_open(path, framework="pt") as opened:  # the header alone: the weights may be of another network
            header = json.loads(opened.metadata()["pixelrnn"])
        if header["model"] == fresh.name and (not options or header["config"] == config):
            return path
    return None


def _export(model: nn.Module, path: str, out: Path, recipe: Recipe, history: History) -> Path:
    """The weights of a training checkpoint as optimized_pixelrnn.pth and .safetensors in `out`."""
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    model.load_state_dict({key.removeprefix("model."): value for key, value in state.items()})
    about = {"recipe": asdict(recipe), "history": history.rows[-1:], "torch": torch.__version__}
    checkpoint.save_plain(out / f"{NAME}.pth", model)
    checkpoint.save(out / f"{NAME}.safetensors", model, about)
    return out / f"{NAME}.safetensors"
