"""Weights for others: what is pushed to the hub, and the model card that says what they are."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from .errors import PixelRNNError
from .hub import CARD, WEIGHTS, upload
from .weights import TRAINED, bundled_weights, find_weights, read_tensors

BESIDE = ("metrics.csv", "loss_curve.png")  # of a run; its pictures show the photographs that it validated on
RESEARCH = {"license": "other", "license_name": "research-use"}
METRICS = {  # what a run's history says of its validation: the hub's name of the metric, and ours
    "hole_psnr": ("psnr", "PSNR over the missing pixels, dB"),
    "psnr": ("psnr", "PSNR of the whole picture, dB"),
    "ssim": ("ssim", "SSIM of the whole picture"),
    "mask_iou": ("iou", "IoU of what is found"),
    "nats": ("nats", "nats of a picture's missing pixels"),
}


def push_to_hub(run: str | Path, repo: str, private: bool = False, licence: str | None = None) -> str:
    """Push weights to OWNER/NAME on the hub, from which `Completer.from_pretrained(OWNER/NAME)` loads them; the address of the
    commit.

    run: the folder of a run, a .safetensors file of ours, or a bundled name. With it go the run's metrics.csv and
    loss_curve.png, an export to ONNX that is no older than the weights, and a model card: README.md beside the weights, else
    one that is written from what they say of themselves, unless the repository has one. Photographs are not pushed.
    licence: the hub's name of one, for weights that were not trained on from others. Raises PixelRNNError.
    """
    weights = find_weights(run)
    if weights.suffix != ".safetensors":
        raise PixelRNNError(f"{weights}: a .safetensors file that pixelrnn saved is pushed, which says what it is. Give that.")
    header, _ = read_tensors(weights)
    files: dict[str, Path | bytes] = {WEIGHTS: weights}
    keep_card = False
    if weights in bundled_weights().values():
        if licence:
            raise PixelRNNError(f"--license {licence}: the bundled weights are for research use. Leave it out.")
        files |= {CARD: _home("MODEL_CARD.md"), "CITATION.cff": _home("CITATION.cff")}
    else:
        files |= {name: path for name in BESIDE if weights.stem == TRAINED and (path := weights.parent / name).is_file()}
        exported, own = weights.with_suffix(".onnx"), weights.parent / CARD
        if exported.is_file() and exported.stat().st_mtime >= weights.stat().st_mtime:
            files["model.onnx"] = exported
        keep_card = not own.is_file()
        files[CARD] = write_card(header, repo, licence, "loss_curve.png" in files).encode() if keep_card else own
    return upload(files, repo, private, f"{header['model']}, pushed by pixelrnn", keep_card)


def write_card(header: dict[str, Any], repo: str, licence: str | None = None, curve: bool = False) -> str:
    """The model card of a checkpoint whose header is given (weights.read_tensors), with the hub's YAML on top.

    Raises PixelRNNError for a licence of weights that were trained on from others.
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
    """The card's YAML and words on it."""
    start = recipe.get("init_from", "scratch")
    bundled = [read_tensors(path)[0] for path in bundled_weights().values()]
    if start == "bundled" and not any(one["model"] == header["model"] and one["config"] == header["config"] for one in bundled):
        start = "scratch"  # there were none to start from
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
    """A file that lies beside app.py: in the installed package, or in the repository."""
    here = Path(__file__).parent
    return here / "app" / "home" / name if (here / "app" / "home").is_dir() else here.parents[1] / name
