"""One training run from a recipe to weights on disk."""

import json
import logging
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar, Timer, WeightAveraging
from rich.console import Console
from safetensors import safe_open
from torch import nn

from .. import checkpoint
from ..errors import PixelRNNError
from ..models import create_model, model_kind
from ..weights import bundled_weights
from .adversarial import AdversarialModule
from .callbacks import History, LearningRate, running_average
from .datasets import make_datasets, make_loaders, steps_an_epoch
from .likelihood import LikelihoodModule
from .modules import CompletionModule
from .recipe import SHARES, Recipe

KAGGLE = Path("/kaggle/working")
NAME = "optimized_pixelrnn"


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
    hole PSNR in validation (the best IoU where the detector alone is trained, the last where a discriminator judges, the most
    likely validation pictures for an autoregressive model),
    metrics.csv, loss_curve.png, pictures/ and checkpoints/. Returns the path of the .safetensors.

    resume: go on from out/checkpoints/last.ckpt, whatever the recipe starts from. Ctrl-C writes all of that, too, then raises
    KeyboardInterrupt.
    Raises PixelRNNError for data or weights that cannot be used, or a device that is not there.
    """
    console = console or Console()
    train_data, valid_data = make_datasets(folders, recipe, out)
    L.seed_everything(recipe.seed, verbose=False)
    last = out / "checkpoints" / "last.ckpt"
    if resume and not last.is_file():
        raise PixelRNNError(f"{last}: nothing to go on from. Start without --resume.")
    model, source = _start(recipe, options, last if resume else None)
    by_likelihood = model_kind(model) == "autoregressive"
    if (by_likelihood or not model.detects) and (recipe.part != "all" or recipe.guided):
        raise PixelRNNError(f"part, guided: model {recipe.model} has no detector and takes no guide. Leave them out.")
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    timer = Timer(timedelta(minutes=recipe.minutes) if recipe.minutes else None, interval="step", verbose=False)
    history = History(out, console, timer)
    adversarial = any(getattr(recipe, share) for share in SHARES)
    if adversarial and recipe.part != "filler":
        raise PixelRNNError(f"{', '.join(SHARES)}: what fills is trained by them alone. Add part=filler.")
    measure = "val_loss" if by_likelihood else "mask_iou" if recipe.part == "detector" else "hole_psnr"
    mode = "min" if by_likelihood else "max"
    best = ModelCheckpoint(out / "checkpoints", "best", monitor=measure, mode=mode, enable_version_counter=False)
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
        precision="bf16-mixed" if recipe.precision == "bf16" or (recipe.precision == "auto" and cuda) else "32-true",
        max_epochs=-1 if recipe.minutes else recipe.epochs,
        limit_train_batches=steps_an_epoch(train_data, recipe) or 1.0,
        gradient_clip_val=recipe.clip or None,
        callbacks=callbacks,
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=console.is_terminal,
        enable_model_summary=False,
        default_root_dir=out,
    )
    console.print(
        f"{recipe.model}, {sum(p.numel() for p in model.parameters()):,} parameters, {source}; "
        f"{len(train_data)} pictures to train on, {len(valid_data)} to validate; results in {out}",
        highlight=False,
        soft_wrap=True,
    )
    module = LikelihoodModule if by_likelihood else AdversarialModule if adversarial else CompletionModule
    interrupted = False
    try:
        _fit(
            trainer,
            module(model, recipe),
            *make_loaders(train_data, valid_data, recipe, torch.device("cuda" if cuda else "cpu")),
            ckpt_path=last if resume else None,
            weights_only=True if resume else None,
        )
    except SystemExit:  # how Lightning ends after Ctrl-C
        interrupted = True
    # how real a completion looks is no figure of validation
    weights = _export(model, str(last) if adversarial else best.best_model_path or str(last), out, recipe, history)
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
        config = torch.load(last, map_location="cpu", weights_only=True).get("config", {})
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
    for path in bundled_weights().values():
        with safe_open(path, framework="pt") as opened:  # the header alone: the weights may be of another network
            header = json.loads(opened.metadata()["pixelrnn"])
        if header["model"] == fresh.name and (not options or header["config"] == config):
            return path
    return None


def _export(model: nn.Module, path: str, out: Path, recipe: Recipe, history: History) -> Path:
    """The weights of a training checkpoint as optimized_pixelrnn.pth and .safetensors in `out`."""
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    model.load_state_dict({key[6:]: value for key, value in state.items() if key.startswith("model.")})
    about = {"recipe": asdict(recipe), "history": history.rows[-1:], "torch": torch.__version__}
    checkpoint.save_plain(out / f"{NAME}.pth", model)
    checkpoint.save(out / f"{NAME}.safetensors", model, about)
    return out / f"{NAME}.safetensors"
