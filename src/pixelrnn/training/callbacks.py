"""Callbacks: the learning rate's schedule, when to validate, when to stop, and a run's history in figures and images."""

import csv
from math import cos, pi
from pathlib import Path
from typing import Any

import lightning as L
import matplotlib as mpl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, Timer
from matplotlib.figure import Figure
from rich.console import Console

from ..data.streamed import EndlessBatches
from ..decode import read_image
from ..encode import write_atomically, write_image
from ..errors import PixelRNNError
from ..image import to_uint8
from .modules import CompletionModule
from .recipe import Recipe

mpl.use("Agg")
SHOWN = (1, 5, 10, 20)  # the validations in pictures/over_epochs.jpg
NEVER = 2**62  # an epoch that no run reaches


class LearningRate(Callback):
    """Sets the learning rate by the run's progress, in time if the recipe has a budget of minutes, else in steps."""

    def __init__(self, recipe: Recipe, timer: Timer | None) -> None:
        self.recipe, self.timer = recipe, timer

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, index: int) -> None:
        if self.recipe.schedule == "constant":
            return
        if self.timer is not None and self.recipe.minutes:
            progress = trainer.strategy.broadcast(self.timer.time_elapsed() / (60 * self.recipe.minutes))  # one clock for all
        else:
            progress = trainer.global_step / trainer.estimated_stepping_batches
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = group["peak"] * one_cycle(min(progress, 1.0))


def running_average(average: torch.Tensor, new: torch.Tensor, count: torch.Tensor | int, decay: float) -> torch.Tensor:
    """Update an exponential moving average of weights.

    Args:
        average: The average of the values so far.
        new: The next value.
        count: Number of values so far. The decay grows with it, so that the average soon forgets untrained weights.
        decay: The largest decay.

    Returns:
        The new average.
    """
    return average.lerp(new, 1 - min(decay, (1 + float(count)) / (10 + float(count))))


def one_cycle(progress: float) -> float:
    """Compute the one-cycle schedule: up linearly from 0.04 to 1 over a tenth of the run, then down a cosine to 0.01.

    Args:
        progress: The share of the run that is done, in [0, 1].

    Returns:
        The learning rate as a share of its peak.
    """
    if progress < 0.1:
        return 0.04 + 0.96 * progress / 0.1
    return 0.01 + 0.99 * (1 + cos(pi * (progress - 0.1) / 0.9)) / 2


class DivergedError(PixelRNNError):
    """The loss of a run is no longer finite."""

    exit_code = 1


class StopNotFinite(Callback):
    """Stops the run before a step that would make weights not finite, and if the validation loss is not finite."""

    def on_before_optimizer_step(self, trainer: L.Trainer, module: L.LightningModule, optimizer: torch.optim.Optimizer) -> None:
        # a loss that is not finite has gradients that are not; they are averaged over all processes by now, so all of them stop
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            self._stop(trainer)

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.sanity_checking and not torch.isfinite(trainer.callback_metrics["val_loss"]):
            self._stop(trainer)

    def _stop(self, trainer: L.Trainer) -> None:
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint):
                callback.save_on_exception = False  # keep the last good checkpoint
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        raise DivergedError(f"step {trainer.global_step + 1}: the loss is no longer finite, at learning rate {rate:.3g}.")


class ValidationPace(Callback):
    """Validates after an epoch only if some minutes have passed since the last validation, and at the end of the run.

    With few images, an epoch lasts seconds, and validating after each would take most of the time.

    Args:
        minutes: The least time between two validations; 0 validates after every epoch.
        timer: The timer of the run.
    """

    def __init__(self, minutes: float, timer: Timer) -> None:
        self.seconds, self.timer, self.last = 60 * minutes, timer, -float("inf")

    def state_dict(self) -> dict[str, Any]:
        return {"last": self.last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.last = state["last"]

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if not self.seconds or not (trainer.should_stop or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch):
            return
        due = trainer.strategy.broadcast(self.timer.time_elapsed() - self.last >= self.seconds)  # one clock for all processes
        ends = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        trainer.check_val_every_n_epoch = 1 if due or ends else NEVER

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.last = self.timer.time_elapsed()


class StreamPlace(Callback):
    """Keeps in each checkpoint how far a stream was read, and resumes there.

    Lightning does so only for a run that was stopped within an epoch.
    """

    def __init__(self, batches: EndlessBatches) -> None:
        self.batches = batches

    def state_dict(self) -> dict[str, Any]:
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.batches.load_state_dict(state)


class History(Callback):
    """Writes a row of metrics.csv, the loss curve and a grid of images after each validation, and prints the row.

    Args:
        folder: The folder for results.
        console: Where the rows are printed.
        timer: The timer of the run.
    """

    def __init__(self, folder: Path, console: Console, timer: Timer) -> None:
        self.folder, self.console, self.timer = folder, console, timer
        self.rows: list[dict[str, float]] = []
        self.validated = False

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows = state["rows"]

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.validated = not trainer.sanity_checking
        if not (self.validated and trainer.is_global_zero and isinstance(module, CompletionModule)):
            return
        if module.first_images is not None:
            self._write_images(module.first_images, trainer.current_epoch + 1)

    def _write_images(self, images: torch.Tensor, epoch: int) -> None:
        """Write (N, 3, 3, H, W), occluded, completed and original, as a grid, and the completed ones over epochs."""
        count, _, _, height, width = images.shape
        grid = to_uint8(images.permute(2, 1, 3, 0, 4).reshape(3, 3 * height, count * width).numpy())
        pictures, epochs = self.folder / "pictures", [*(int(row["epoch"]) for row in self.rows), epoch]
        write_image(pictures / f"epoch_{epochs[-1]:03d}.jpg", grid)
        if len(epochs) in SHOWN:
            # read back from the files, so that a resumed run includes the epochs before it was stopped
            files = [pictures / f"epoch_{epochs[shown - 1]:03d}.jpg" for shown in SHOWN if shown <= len(epochs)]
            completed = [read_image(file)[height : 2 * height] for file in files if file.exists()]
            write_image(pictures / "over_epochs.jpg", np.concatenate([grid[:height], *completed, grid[2 * height :]]))

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not self.validated:
            return
        self.validated = False
        row = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, "minutes": self.timer.time_elapsed() / 60}
        row |= {key: float(value) for key, value in sorted(trainer.callback_metrics.items())}
        row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        self.rows.append(row)
        if not trainer.is_global_zero:
            return
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
        quality.plot(epochs, [row.get("hole_psnr", np.nan) for row in self.rows], marker=".")
        quality.set(xlabel="epoch", ylabel="dB", title="PSNR of the missing pixels, validation")
        for key, label in (("structure_rmse", "structure, coarser than 4 px"), ("texture_rmse", "texture, finer")):
            error.plot(epochs, [row.get(key, np.nan) for row in self.rows], marker=".", label=label)
        error.set(xlabel="epoch", ylabel="grey levels", title="RMS error of the missing pixels, validation")
        error.legend()
        for axes in (loss, quality, error):
            axes.grid(alpha=0.3)
        figure.savefig(path, format="png", dpi=120)
