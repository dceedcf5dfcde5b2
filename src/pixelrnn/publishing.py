"""Publish weights on the hub, with a model card that describes them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from .errors import PixelRNNError
from .hub import CARD, WEIGHTS, upload
from .weights import TRAINED, bundled_weights, find_weights, read_tensors

RUN_FILES = ("metrics.csv", "loss_curve.png")  # not the images of a run, which show the photographs of its validation
RESEARCH = {"license": "other", "license_name": "research-use"}
METRICS = {  # a validation metric in the history of a run: the hub's name of it, and ours
    "hole_psnr": ("psnr", "PSNR over the missing pixels, dB"),
    "psnr": ("psnr", "PSNR of the whole image, dB"),
    "ssim": ("ssim", "SSIM of the whole image"),
    "mask_iou": ("iou", "IoU of the detected mask"),
    "nats": ("nats", "nats of an image's missing pixels"),
}


def push_to_hub(run: str | Path, repo: str, private: bool = False, licence: str | None = None) -> str:
    """Push weights to the hub, from which `Completer.from_pretrained("OWNER/NAME")` loads them.

    With the weights go the run's metrics.csv and loss_curve.png, an ONNX export that is no older than the weights, and a model
    card. The card is the README.md beside the weights; without one, it is written from the metadata of the weights, unless the
    repository has a card already. Photographs are not pushed.

    Args:
        run: the folder of a run, a .safetensors file that pixelrnn saved, or a bundled name.
        repo: OWNER/NAME; the repository is made where there is none.
        private: whether the repository must be private.
        licence: the hub's name of a licence, for weights that were trained from scratch.

    Returns:
        The address of the commit.

    Raises:
        PixelRNNError: the weights cannot be pushed, the licence of other weights holds, the push is refused, or the network
            fails.
    """
    weights = find_weights(run)
    if weights.suffix != ".safetensors":
        raise PixelRNNError(
            f"{weights}: only a .safetensors file that pixelrnn saved can be pushed, since it describes itself. Give one."
        )
    header, _ = read_tensors(weights)
    files: dict[str, Path | bytes] = {WEIGHTS: weights}
    keep_card = False
    if weights in bundled_weights().values():
        if licence:
            raise PixelRNNError(f"--license {licence}: the bundled weights are for research use. Leave it out.")
        files |= {CARD: _home("MODEL_CARD.md"), "CITATION.cff": _home("CITATION.cff")}
    else:
        files |= {name: path for name in RUN_FILES if weights.stem == TRAINED and (path := weights.parent / name).is_file()}
        exported, own = weights.with_suffix(".onnx"), weights.parent / CARD
        if exported.is_file() and exported.stat().st_mtime >= weights.stat().st_mtime:
            files["model.onnx"] = exported
        keep_card = not own.is_file()
        files[CARD] = write_card(header, repo, licence, "loss_curve.png" in files).encode() if keep_card else own
    return upload(files, repo, private, f"{header['model']}, pushed by pixelrnn", keep_card)


def write_card(header: dict[str, Any], repo: str, licence: str | None = None, curve: bool = False) -> str:
    """Write the model card of a checkpoint, with the hub's YAML at the top.

    Args:
        header: the header of the checkpoint; see `weights.read_tensors`.
        repo: OWNER/NAME on the hub.
        licence: the hub's name of a licence, for weights that were trained from scratch.
        curve: whether loss_curve.png lies beside the card.

    Raises:
        PixelRNNError: a licence is given, and the weights were trained on from others.
    """
    metadata = header.get("about", {})
    recipe = metadata.get("recipe", {})
    terms, words = _licence(header, recipe, licence)
    last = (metadata.get("history") or [{}])[-1]
    figures = [(kind, name, last[key]) for key, (kind, name) in METRICS.items() if np.isfinite(last.get(key, np.nan))]
    model = header["model"]
    result = {
        "task": {"type": "image-to-image", "name": "image completion"},
        "dataset": {"type": "validation", "name": "photographs held back from training"},
        "metrics": [{"type": kind, "name": name, "value": round(value, 4)} for kind, name, value in figures],
    }
    top = {
        **terms,
        "library_name": "pixelrnn",
        "pipeline_tag": "image-to-image",
        "tags": ["inpainting", "image-completion", "pixelrnn", model],
        "metrics": list(dict.fromkeys(kind for kind, _, _ in figures)),
        "model-index": [{"name": repo.rpartition("/")[2], "results": [result]}] if figures else [],
    }
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in top.items() if value), "---", f"# {repo}", ""]
    lines += [f"Weights of the model `{model}` of pixelrnn, which completes occluded photographs.", "", "```"]
    lines += [f"pip install 'pixelrnn[hub,train]'\npixelrnn complete PICTURE --weights {repo}", "```", "", "```python"]
    lines += ["from pixelrnn import Completer", "", f'result = Completer.from_pretrained("{repo}")("photo.jpg")', "```", ""]
    if figures:
        lines += ["## Figures", "", "The last validation, on photographs held back from training:", "", "| | |", "|---|---|"]
        lines += [*(f"| {name} | {value:.4g} |" for _, name, value in figures), ""]
    if curve:
        lines += ["![The loss while it was trained](loss_curve.png)", ""]
    if recipe:
        lines += ["## Training", "", "```yaml", *(f"{key}: {json.dumps(value)}" for key, value in recipe.items()), "```", ""]
    lines += ["## Limits", "", "What it fills in is a guess, and nobody should take it for what was there.", ""]
    return "\n".join([*lines, "## Licence", "", words, ""])


def _licence(header: dict[str, Any], recipe: dict[str, Any], licence: str | None) -> tuple[dict[str, str], str]:
    """The licence in the card's YAML and in words. Raises PixelRNNError where the licence of other weights holds."""
    start = recipe.get("init_from", "scratch")
    bundled = [read_tensors(path)[0] for path in bundled_weights().values()]
    if start == "bundled" and not any(
        other["model"] == header["model"] and other["config"] == header["config"] for other in bundled
    ):
        start = "scratch"  # no bundled weights fit this model, so none were started from
    if start in ("bundled", *bundled_weights()):
        terms, words = RESEARCH, "Trained on from pixelrnn's bundled weights, which are for research use; so are these."
    elif start != "scratch":
        terms, words = {}, "Trained on from other weights, whose licence holds for these."
    else:
        terms = {"license": licence} if licence else {}
        return terms, f"The weights: {licence}." if licence else "None was given for the weights: ask their owner."
    if licence:
        raise PixelRNNError(f"--license {licence}: {words} Leave it out, or put a README.md of your own beside the weights.")
    return terms, words


def _home(name: str) -> Path:
    """The path of a file that lies beside app.py, in the installed package or in the repository."""
    here = Path(__file__).parent
    return here / "app" / "home" / name if (here / "app" / "home").is_dir() else here.parents[1] / name
