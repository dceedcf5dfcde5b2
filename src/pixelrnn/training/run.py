"""One training run, from a recipe to weights on disk. `train` reads from top to bottom."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar, Timer, WeightAveraging
from rich.console import Console
from torch import nn

from .. import checkpoint
from ..data.streamed import EndlessBatches
from ..errors import PixelRNNError
from ..weights import TRAINED as NAME
from .callbacks import DivergedError, History, LearningRate, StopNotFinite, StreamPlace, ValidationPace, running_average
from .datasets import make_datasets, make_loaders, size_in_words, steps_an_epoch
from .failures import one_line_errors, silence_hints, without_warnings
from .initial import initial_model
from .processes import Processes
from .recipe import Recipe, resumed_values
from .tasks import Task, find_task

KAGGLE = Path("/kaggle/working")
RUN_FILES = (f"{NAME}.pth", f"{NAME}.safetensors", "metrics.csv", "loss_curve.png", "pictures", "checkpoints")


def default_out() -> Path:
    """Return the default folder for results: /kaggle/working where it exists, else outputs/."""
    return KAGGLE if KAGGLE.is_dir() else Path("outputs")


def go_on(out: Path, folders: Sequence[str], given: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Read what the run in a folder was started with, to resume it.

    Args:
        out: The folder for results.
        folders: Folders of data that replace the run's own, if there are any.
        given: Recipe values, of which some may change.

    Returns:
        The folders of data and the recipe values.

    Raises:
        PixelRNNError: There is no run to resume, or a value may not change.
    """
    saved = torch.load(_last(out), map_location="cpu", weights_only=True)
    if "recipe" not in saved:
        raise PixelRNNError(f"{_last(out)}: made by a version that kept no recipe. Train in another folder.")
    return list(folders or saved["data"]), resumed_values(saved["recipe"], given)


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
    """Train a model, and write its weights and its history.

    `out` gets the weights of the epoch that the task keeps (see `tasks.TASKS`), as a plain state dict optimized_pixelrnn.pth
    and as our optimized_pixelrnn.safetensors; also metrics.csv, loss_curve.png, pictures/ and checkpoints/. After Ctrl-C, it
    gets all of that, too.

    Args:
        folders: The data, as `make_datasets` takes it.
        recipe: The recipe.
        options: Options of the model.
        out: The folder for results.
        resume: Resume the run in `out` from checkpoints/last.ckpt, whatever the recipe's `init_from`.
        device: "auto", "cpu" or "cuda".
        console: Where progress is printed; the terminal by default.
        overwrite: Remove a run that is in `out`.
        devices: Processes on this machine; by default what torchrun or SLURM says, or else 1.
        nodes: Machines; by default what torchrun or SLURM says, or else 1.

    Returns:
        The path of the .safetensors file.

    Raises:
        PixelRNNError: `out` already holds a run, the data or weights cannot be used, or the device does not exist.
        DivergedError: The loss is no longer finite; the best weights before it were written.
        KeyboardInterrupt: After Ctrl-C.
    """
    processes = Processes.from_environment(devices, nodes)
    resume = resume or (processes.restarted and _last(out, missing_ok=True).is_file())
    if processes.first and not resume:
        _refuse_existing_run(out, overwrite)
    console = console or Console()
    console.quiet |= not processes.first
    own_device = _device(device, processes)
    share = processes.share(recipe.batch_size)

    train_data, valid_data = make_datasets(folders, recipe, out)
    L.seed_everything(recipe.seed, verbose=False)
    last = _last(out) if resume else None
    model, source = initial_model(recipe, options, resume)
    task = find_task(model, recipe)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module = task.module(model, recipe)
    module.data = [str(folder) for folder in folders]
    if processes.first and not resume:
        _remove_run(out)

    timer = Timer(timedelta(minutes=recipe.minutes) if recipe.minutes else None, interval="step", verbose=False)
    history = History(out, console, timer)
    folder = out / "checkpoints"
    best = ModelCheckpoint(folder, "best", monitor=task.figure, mode=task.mode, enable_version_counter=False)
    newest = ModelCheckpoint(folder, "last", save_on_exception=processes.count == 1, enable_version_counter=False)
    loaders = make_loaders(train_data, valid_data, recipe, own_device, processes.rank, processes.count)
    silence_hints()
    trainer = L.Trainer(
        **_hardware(own_device, processes, recipe, task),
        use_distributed_sampler=False,
        max_epochs=-1 if recipe.minutes else recipe.epochs,
        limit_train_batches=steps_an_epoch(train_data, recipe) or 1.0,
        gradient_clip_val=recipe.grad_clip or None,
        callbacks=_callbacks(recipe, timer, history, best, newest, loaders[0], console.is_terminal),
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=console.is_terminal,
        enable_model_summary=False,
        default_root_dir=out,
    )

    shared = f"{processes.count} processes with {share} pictures a step each; " if processes.count > 1 else ""
    console.print(
        f"{recipe.model}, {sum(p.numel() for p in model.parameters()):,} parameters, {source}; "
        f"{size_in_words(train_data)} to train on, {len(valid_data)} to validate; {shared}results in {out}",
        highlight=False,
        soft_wrap=True,
    )
    stopped: BaseException | None = None
    try:
        with one_line_errors(recipe, processes), without_warnings():
            trainer.fit(module, *loaders, ckpt_path=last, weights_only=True if resume else None)
    except SystemExit:  # how Lightning ends after Ctrl-C
        stopped = KeyboardInterrupt()
    except DivergedError as error:
        stopped = error

    weights = out / f"{NAME}.safetensors"
    kept = Path({"best": best, "last": newest}[task.keep].best_model_path)
    kept = kept if kept.is_file() else _last(out, missing_ok=True)
    if processes.first and kept.is_file():
        _export(model, kept, out, recipe, history)
    if isinstance(stopped, DivergedError):
        hint = f"The weights before it are in {weights}" if kept.is_file() else "No weights were saved before it"
        raise DivergedError(f"{stopped} {hint}. Train with a smaller learning_rate, or with grad_clip=1.") from None
    if stopped is not None:
        raise stopped
    trainer.strategy.barrier()
    return weights


def _last(out: Path, missing_ok: bool = False) -> Path:
    """The checkpoint from which a run is resumed."""
    path = out / "checkpoints" / "last.ckpt"
    if not missing_ok and not path.is_file():
        raise PixelRNNError(f"{path}: nothing to go on from. Start without --resume.")
    return path


def _refuse_existing_run(out: Path, overwrite: bool) -> None:
    if not overwrite and any((out / name).exists() for name in (*RUN_FILES[:3], "checkpoints/last.ckpt")):
        raise PixelRNNError(
            f"{out}: already holds a run. --resume goes on with it, --overwrite removes it, and -o names another folder."
        )


def _remove_run(out: Path) -> None:
    for path in (out / name for name in RUN_FILES):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _device(name: str, processes: Processes) -> torch.device:
    """The device on which this process trains."""
    if name not in ("auto", "cpu", "cuda"):
        raise PixelRNNError(f"device {name}: expected auto, cpu or cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise PixelRNNError("device cuda: torch finds no GPU here that it can use. Leave out --device, or give cpu.")
    if name == "cuda" or (name == "auto" and torch.cuda.is_available()):
        return torch.device("cuda", processes.rank % processes.devices)
    return torch.device("cpu")


def _hardware(device: torch.device, processes: Processes, recipe: Recipe, task: Task) -> dict[str, Any]:
    """The trainer's options of devices, processes and precision."""
    cuda = device.type == "cuda"
    return {
        "accelerator": "gpu" if cuda else "cpu",
        "devices": processes.devices,
        "num_nodes": processes.nodes,
        "strategy": processes.strategy(unused_weights=task.unused_weights or recipe.guide_prob > 0),
        "precision": "bf16-mixed" if recipe.precision == "bf16" or (recipe.precision == "auto" and cuda) else "32-true",
    }


def _callbacks(
    recipe: Recipe,
    timer: Timer,
    history: History,
    best: ModelCheckpoint,
    newest: ModelCheckpoint,
    train_batches: Any,
    progress_bar: bool,
) -> list[Callback]:
    """The trainer's callbacks, in the order in which they are called."""
    pace = recipe.validate_minutes if recipe.validate_minutes is not None else (recipe.minutes or 0) / 20
    callbacks: list[Callback] = []
    if recipe.ema_decay:
        callbacks.append(WeightAveraging(avg_fn=partial(running_average, decay=recipe.ema_decay)))
    callbacks += [timer, LearningRate(recipe, timer), StopNotFinite(), ValidationPace(pace, timer), history, best, newest]
    if isinstance(train_batches, EndlessBatches):
        callbacks.append(StreamPlace(train_batches))
    if progress_bar:
        callbacks.append(RichProgressBar())
    return callbacks


def _export(model: nn.Module, path: Path, out: Path, recipe: Recipe, history: History) -> None:
    """Write the weights of a training checkpoint as optimized_pixelrnn.pth and .safetensors."""
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    prefix = "model."
    model.load_state_dict({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)})
    metadata = {"recipe": asdict(recipe), "history": history.rows[-1:], "torch": torch.__version__}
    checkpoint.save_plain(out / f"{NAME}.pth", model)
    checkpoint.save(out / f"{NAME}.safetensors", model, metadata)
