"""One training run from a recipe to weights on disk."""

import json
import logging
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from ..data.streamed import EndlessBatches
from ..errors import PixelRNNError
from ..models import create_model, model_config, model_kind
from ..weights import TRAINED as NAME
from ..weights import bundled_weights
from .adversarial import AdversarialModule
from .callbacks import DivergedError, History, LearningRate, StopNotFinite, StreamPlace, ValidationPace, running_average
from .datasets import make_datasets, make_loaders, steps_an_epoch, told
from .likelihood import LikelihoodModule
from .modules import CompletionModule, RecipeModule
from .processes import Processes
from .recipe import SHARES, Recipe, continued

KAGGLE = Path("/kaggle/working")
# what Lightning warns of, and is meant
SETTLED = ("LeafSpec", "does not have many workers", "Checkpoint directory", "mid-epoch", "broadcast_buffers", "in eval mode")
WRITTEN = (f"{NAME}.pth", f"{NAME}.safetensors", "metrics.csv", "loss_curve.png", "pictures", "checkpoints")


def default_out() -> Path:
    """Where results go when no folder is named: /kaggle/working where it exists, else outputs/."""
    return KAGGLE if KAGGLE.is_dir() else Path("outputs")


def go_on(out: Path, folders: Sequence[str], given: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """The folders and the values of the run in `out`; other folders where some are named, and what of `given` may change.

    Raises PixelRNNError where there is none, and for a value that may not change.
    """
    saved = torch.load(_last(out), map_location="cpu", weights_only=True)
    if "recipe" not in saved:
        raise PixelRNNError(f"{_last(out)}: made by a version that kept no recipe. Train in another folder.")
    return list(folders or saved["data"]), continued(saved["recipe"], given)


def train(
    folders: Sequence[str | Path],
    recipe: Recipe,
    options: dict[str, Any],
    out: Path,
    resume: bool = False,
    device: str = "auto",
    console: Console | None = None,
    overwrite: bool = False,
    devices: int | None = None,
    nodes: int | None = None,
) -> Path:
    """Train, and write to `out`: optimized_pixelrnn.pth (plain state dict) and .safetensors (ours) of the epoch with the best
    hole PSNR in validation (the best IoU where the detector alone is trained, the last where a discriminator judges, the most
    likely validation pictures for an autoregressive model),
    metrics.csv, loss_curve.png, pictures/ and checkpoints/. Returns the path of the .safetensors.

    resume: go on from out/checkpoints/last.ckpt, whatever the recipe starts from; overwrite: remove the run that is there.
    devices, nodes: processes on this machine, and machines; what torchrun or SLURM say where they are not given, else 1.
    Ctrl-C writes all of that, too, then raises KeyboardInterrupt.
    Raises PixelRNNError for a run that is there already, data or weights that cannot be used, or a device that is not there;
    DivergedError for a loss that is not finite any more: the best weights before it are written.
    """
    processes = Processes.found(devices, nodes)
    resume = resume or (processes.restarted and _last(out, missing_ok=True).is_file())
    if processes.first and not resume:
        _refuse_a_run(out, overwrite)
    console = console or Console()
    console.quiet |= not processes.first
    cuda = _cuda(device)
    share = processes.share(recipe.batch_size)
    train_data, valid_data = make_datasets(folders, recipe, out)
    L.seed_everything(recipe.seed, verbose=False)
    model, source = _start(recipe, options, _last(out) if resume else None)
    _check_parts(model, recipe)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module = _module(model, recipe)
    module.data = [str(folder) for folder in folders]
    if processes.first and not resume:
        _remove_a_run(out)
    timer = Timer(timedelta(minutes=recipe.minutes) if recipe.minutes else None, interval="step", verbose=False)
    history = History(out, console, timer)
    best = _best(module, out)
    newest = ModelCheckpoint(out / "checkpoints", "last", save_on_exception=processes.count == 1, enable_version_counter=False)
    pace = recipe.validate_minutes if recipe.validate_minutes is not None else (recipe.minutes or 0) / 20
    callbacks: list[Callback] = [timer, LearningRate(recipe, timer), StopNotFinite(), ValidationPace(pace, timer), history]
    callbacks += [best, newest]
    if recipe.ema_decay:
        callbacks.insert(0, WeightAveraging(avg_fn=partial(running_average, decay=recipe.ema_decay)))
    where = torch.device("cuda", processes.rank % processes.devices) if cuda else torch.device("cpu")
    loaders = make_loaders(train_data, valid_data, recipe, where, processes.rank, processes.count)
    if isinstance(loaders[0], EndlessBatches):
        callbacks.append(StreamPlace(loaders[0]))
    if console.is_terminal:
        callbacks.append(RichProgressBar())
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # hints of devices and of its own services
    trainer = L.Trainer(
        accelerator="gpu" if cuda else "cpu",
        devices=processes.devices,
        num_nodes=processes.nodes,
        strategy=processes.strategy(
            partly=recipe.trainable != "all" or recipe.guide_prob > 0 or not isinstance(module, CompletionModule)
        ),
        use_distributed_sampler=False,
        precision="bf16-mixed" if recipe.precision == "bf16" or (recipe.precision == "auto" and cuda) else "32-true",
        max_epochs=-1 if recipe.minutes else recipe.epochs,
        limit_train_batches=steps_an_epoch(train_data, recipe) or 1.0,
        gradient_clip_val=recipe.grad_clip or None,
        callbacks=callbacks,
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=console.is_terminal,
        enable_model_summary=False,
        default_root_dir=out,
    )
    shared = f"{processes.count} processes with {share} pictures a step each; " if processes.count > 1 else ""
    console.print(
        f"{recipe.model}, {sum(p.numel() for p in model.parameters()):,} parameters, {source}; "
        f"{told(train_data)} to train on, {len(valid_data)} to validate; {shared}results in {out}",
        highlight=False,
        soft_wrap=True,
    )
    stopped: BaseException | None = None
    try:
        with _one_line(recipe, processes):
            _fit(trainer, module, *loaders, ckpt_path=_last(out) if resume else None, weights_only=True if resume else None)
    except SystemExit:  # how Lightning ends after Ctrl-C
        stopped = KeyboardInterrupt()
    except DivergedError as error:
        stopped = error
    weights = out / f"{NAME}.safetensors"
    # how real a completion looks is no figure of validation
    kept = Path(newest.best_model_path if isinstance(module, AdversarialModule) else best.best_model_path)
    kept = kept if kept.is_file() else _last(out, missing_ok=True)
    if processes.first and kept.is_file():
        _export(model, kept, out, recipe, history)
    if isinstance(stopped, DivergedError):
        kept_in = f"The weights before it are in {weights}" if kept.is_file() else "No weights were saved before it"
        raise DivergedError(f"{stopped} {kept_in}. Train with a smaller learning_rate, or with grad_clip=1.") from None
    if stopped is not None:
        raise stopped
    trainer.strategy.barrier()
    return weights


def _last(out: Path, missing_ok: bool = False) -> Path:
    """The checkpoint that a run goes on from."""
    path = out / "checkpoints" / "last.ckpt"
    if not missing_ok and not path.is_file():
        raise PixelRNNError(f"{path}: nothing to go on from. Start without --resume.")
    return path


def _refuse_a_run(out: Path, overwrite: bool) -> None:
    if not overwrite and any((out / name).exists() for name in (*WRITTEN[:3], "checkpoints/last.ckpt")):
        raise PixelRNNError(
            f"{out}: holds a run already. --resume goes on with it, --overwrite removes it, and -o names another folder."
        )


def _remove_a_run(out: Path) -> None:
    for path in (out / name for name in WRITTEN):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _cuda(device: str) -> bool:
    if device not in ("auto", "cpu", "cuda"):
        raise PixelRNNError(f"device {device}: expected auto, cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise PixelRNNError("device cuda: no GPU that torch can use here. Leave out --device, or give cpu.")
    return device == "cuda" or (device == "auto" and torch.cuda.is_available())


def _check_parts(model: nn.Module, recipe: Recipe) -> None:
    whole = model_kind(model) == "autoregressive" or not model.detects
    if whole and (recipe.trainable != "all" or recipe.guide_prob):
        raise PixelRNNError(f"trainable, guide_prob: model {recipe.model} has no detector and takes no guide. Leave them out.")


def _module(model: Any, recipe: Recipe) -> RecipeModule:
    """What learns, by the kind of model and of losses."""
    if model_kind(model) == "autoregressive":
        return LikelihoodModule(model, recipe)
    if any(getattr(recipe, share) for share in SHARES):
        return AdversarialModule(model, recipe)
    return CompletionModule(model, recipe)


def _best(module: RecipeModule, out: Path) -> ModelCheckpoint:
    """Keeps the epoch with the best figure of validation."""
    by_likelihood = isinstance(module, LikelihoodModule)
    measure = "val_loss" if by_likelihood else "mask_iou" if module.recipe.trainable == "detector" else "hole_psnr"
    return ModelCheckpoint(
        out / "checkpoints", "best", monitor=measure, mode="min" if by_likelihood else "max", enable_version_counter=False
    )


@contextmanager
def _one_line(recipe: Recipe, processes: Processes) -> Iterator[None]:
    """What torch says where a process that reads pictures, or one that trains, has died, as one line for the user."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if recipe.workers and re.search(r"shared memory|\bshm\b|bus error|No space left|torch_\d+_\d+", text, re.I):
            free = shutil.disk_usage("/dev/shm").free / 2**20 if Path("/dev/shm").is_dir() else 0
            raise PixelRNNError(
                f"workers={recipe.workers}: they hand over pictures in shared memory, of which {free:.0f} MB are free. "
                "Give workers=0, or more of it (docker run --shm-size=2g)."
            ) from None
        if recipe.workers and "DataLoader worker" in text:
            raise PixelRNNError(
                f"workers={recipe.workers}: one of them was ended from outside, as happens where memory is short. "
                "Give fewer, and --resume goes on."
            ) from None
        if processes.count > 1 and re.search(r"gloo|nccl|closed by peer|Connection|timed out", text, re.I):
            raise LostError("another process of this training has ended. --resume goes on from the last checkpoint.") from None
        raise


class LostError(PixelRNNError):
    """A run whose other processes are gone."""

    exit_code = 1


def _fit(trainer: L.Trainer, *arguments: Any, **options: Any) -> None:
    """trainer.fit without what Lightning says that no user of ours can act on."""
    with warnings.catch_warnings():
        for message in SETTLED:
            warnings.filterwarnings("ignore", f".*{message}")
        trainer.fit(*arguments, **options)


def _start(recipe: Recipe, options: dict[str, Any], last: Path | None) -> tuple[nn.Module, str]:
    """The model to train, and where its weights come from, in words; those of the checkpoint `last`, where one is given."""
    fresh = create_model(recipe.model, **options)
    if last is not None:  # Lightning restores the weights
        return fresh, "going on from the last checkpoint"
    if recipe.init_from == "scratch":
        return fresh, "starting from fresh weights"
    if recipe.init_from == "bundled":
        bundled = _bundled(fresh, options)
        if bundled is None:
            return fresh, f"starting from fresh weights: none are bundled for this {'config' if options else 'model'}"
        return checkpoint.load(bundled).model.train(), "starting from the bundled weights"
    loaded = checkpoint.load(recipe.init_from)
    if loaded.name != recipe.model or (options and loaded.model.config != fresh.config):
        raise PixelRNNError(
            f"init_from {recipe.init_from}: these are weights of {loaded.name} {loaded.model.config}, "
            f"not of {recipe.model} {fresh.config}."
        )
    return loaded.model.train(), f"starting from {recipe.init_from}"


def _bundled(fresh: nn.Module, options: dict[str, Any]) -> Path | None:
    """The bundled checkpoint of the same model and, where options are given, the same config; None where there is none."""
    config = json.loads(json.dumps(model_config(fresh)))
    for path in bundled_weights().values():
        with safe_open(path, framework="pt") as opened:  # the header alone: the weights may be of another network
            header = json.loads(opened.metadata()["pixelrnn"])
        if header["model"] == fresh.name and (not options or header["config"] == config):
            return path
    return None


def _export(model: nn.Module, path: Path, out: Path, recipe: Recipe, history: History) -> None:
    """The weights of a training checkpoint as optimized_pixelrnn.pth and .safetensors in `out`."""
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    model.load_state_dict({key[6:]: value for key, value in state.items() if key.startswith("model.")})
    metadata = {"recipe": asdict(recipe), "history": history.rows[-1:], "torch": torch.__version__}
    checkpoint.save_plain(out / f"{NAME}.pth", model)
    checkpoint.save(out / f"{NAME}.safetensors", model, metadata)
