"""What goes on beside the steps: the learning rate's course, and the history of a run in figures and pictures."""

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
SHOWN = (1, 5, 10, 20)  # validations, beside each other in pictures/over_epochs.jpg
NEVER = 2**62  # an epoch that no run reaches


class LearningRate(Callback):
    """Sets the rate by the share of the run that is over, in steps or in time, whichever the recipe counts."""

    def __init__(self, recipe: Recipe, timer: Timer | None) -> None:
        self.recipe, self.timer = recipe, timer

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, index: int) -> None:
        if self.recipe.schedule == "constant":
            return
        if self.timer is not None and self.recipe.minutes:
            over = trainer.strategy.broadcast(self.timer.time_elapsed() / (60 * self.recipe.minutes))  # one clock for all
        else:
            over = trainer.global_step / trainer.estimated_stepping_batches
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = group["peak"] * one_cycle(min(over, 1.0))


def running_average(average: torch.Tensor, new: torch.Tensor, count: torch.Tensor | int, decay: float) -> torch.Tensor:
    """Exponential moving average after `count` values; its decay grows to `decay`: untrained weights are soon forgotten."""
    return average.lerp(new, 1 - min(decay, (1 + float(count)) / (10 + float(count))))


def one_cycle(over: float) -> float:
    """Share of the peak rate when `over` in [0, 1] of the run is over: from 0.04 up to 1 at a tenth, down a cosine to 0.01."""
    if over < 0.1:
        return 0.04 + 0.96 * over / 0.1
    return 0.01 + 0.99 * (1 + cos(pi * (over - 0.1) / 0.9)) / 2


class DivergedError(PixelRNNError):
    """A run whose loss or weights are not finite any more."""

    exit_code = 1


class StopNotFinite(Callback):
    """Ends the run before a step that would spoil the weights, and where the loss of validation is not finite."""

    def on_before_optimizer_step(self, trainer: L.Trainer, module: L.LightningModule, optimizer: torch.optim.Optimizer) -> None:
        # a loss that is not finite has such gradients; those of all processes are averaged by now, so that all of them stop
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            self._stop(trainer)

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.sanity_checking and not torch.isfinite(trainer.callback_metrics["val_loss"]):
            self._stop(trainer)

    def _stop(self, trainer: L.Trainer) -> None:
        for saver in trainer.checkpoint_callbacks:
            if isinstance(saver, ModelCheckpoint):
                saver.save_on_exception = False  # the last checkpoint stays what it is
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        raise DivergedError(f"step {trainer.global_step + 1}: the loss is not finite any more, at learning rate {rate:.3g}.")


class ValidationPace(Callback):
    """Validates at the end of an epoch only where so many minutes have passed since the last time, and at the end of the run:
    epochs of a few pictures last seconds.
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
    """Keeps in each checkpoint how far a stream was read, and goes on there: Lightning itself does so for a run that was
    stopped within an epoch alone.
    """

    def __init__(self, batches: EndlessBatches) -> None:
        self.batches = batches

    def state_dict(self) -> dict[str, Any]:
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.batches.load_state_dict(state)


class History(Callback):
    """Writes, after each validation, a row of metrics.csv, the loss curve and a grid of validation pictures; prints the row."""

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
        if module.first_pictures is None:
            return
        count, _, _, height, width = module.first_pictures.shape
        grid = to_uint8(module.first_pictures.permute(2, 1, 3, 0, 4).reshape(3, 3 * height, count * width).numpy())
        pictures, epochs = self.folder / "pictures", [*(int(row["epoch"]) for row in self.rows), trainer.current_epoch + 1]
        write_image(pictures / f"epoch_{epochs[-1]:03d}.jpg", grid)
        if len(epochs) in SHOWN:
            # read back, so that a resumed run shows the epochs before it was stopped
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
