"""Print the model card's tables of the bundled weights: python recipes/figures.py FIGURES.json

FIGURES.json comes from

pixelrnn evaluate CASES/{pairs,square,box128,freeform,color,large} --blind --clean VALIDATION \\
    --against telea,ns,biharmonic,mean --json FIGURES.json
"""

import json
import sys
from pathlib import Path
from typing import Any

OURS, SHARP = "bedrooms-expected", "bedrooms-sharp"
NAMES = {"telea": "Telea", "ns": "Navier-Stokes", "biharmonic": "biharmonic", "mean": "mean fill"}


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]) + "\n"


def main(figures: dict[str, Any]) -> None:
    ours, blind = OURS, f"{OURS} (blind)"
    rows = []
    for name, methods in figures["sets"].items():
        mine, telea = methods[ours], methods["telea"]
        low, high = mine["interval"]["hole_psnr"]
        rows.append(
            [
                f"`{name}`",
                str(mine["count"]),
                f"{mine['missing']:.0%}",
                f"**{mine['hole_psnr']:.2f}** ({low:.2f} to {high:.2f})",
            ]
            + [f"{methods[method]['hole_psnr']:.2f}" for method in (blind, SHARP, *NAMES)]
            + [f"**{mine['psnr']:.2f}** / {telea['psnr']:.2f}", f"**{mine['ssim']:.4f}** / {telea['ssim']:.4f}"]
        )
    head = ["set", "pictures", "missing", "hole PSNR, ours", "ours, blind", "ours, sharp", *NAMES.values()]
    head += ["PSNR, ours / Telea", "SSIM, ours / Telea"]
    print(table(head, rows))
    rows = [
        [f"`{name}`"]
        + [f"{methods[ours]['hole_psnr'] - methods[other]['hole_psnr']:.2f}" for other in ("telea", blind)]
        + [f"{methods[blind][key]:.3f}" for key in ("ungrown_iou", "ungrown_precision", "ungrown_recall", "mask_iou")]
        for name, methods in figures["sets"].items()
    ]
    print(table(["set", "dB above Telea", "dB above blind", "IoU of the detection", "precision", "recall", "IoU, grown"], rows))
    rows = []
    for name, methods in figures["sets"].items():
        for label in (OURS, SHARP, "telea"):
            scores = methods[label]
            low, high = scores["interval"]["energy_ratio"]
            above = scores["hole_psnr"] - methods["telea"]["hole_psnr"]
            ratio = f"{scores['energy_ratio']:.3f} ({low:.3f} to {high:.3f})"
            others = [f"{scores[key]:.3f}" for key in ("energy_ratio_median", "gms", "step_ratio")]
            rows.append([f"`{name}`", label, ratio, *others, f"{above:+.2f}"])
    print(table(["set", "method", "gradient energy", "median", "GMS", "step at the border", "dB above Telea"], rows))
    rows = []
    for name, methods in figures["calibration"].items():
        for method in (OURS, SHARP):
            for kind, scores in methods[method].items():
                shares = [f"{scores['within']:.1%}", " ".join(f"{100 * share:.0f}" for share in scores["fifths"])]
                correlations = (scores["correlation"], scores["correlation_per_image"])
                ranks = [f"{value:.2f}" if value is not None else "" for value in correlations]
                rows.append([f"`{name}`", f"{kind}, {method}", *shares, *ranks])
    print(table(["set", "deviation", "within one", "by fifth, %", "rank correlation", "median per picture"], rows))
    print(json.dumps(figures["clean"]))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
