"""The words that the page shows, and an escape for text that is shown as Markdown."""

import re

from .views import CompletionView

INTRODUCTION = (
    "Upload a photograph with something in the way and get it back without. What is painted over is found and filled in; all "
    "other pixels stay exactly as they are."
)
HOW_IT_WORKS = """
1. **It looks for what is painted over.** Flat colours, noise, stripes, scribbles and large writing are found without help;
   small writing, gradients and pieces of other pictures are often missed. What is certain is tinted and filled in. What is
   uncertain is outlined: tap + to select it, × to leave it as it is. A real object, such as a person or a chair, is part of
   the photograph: brush over it.
2. **It fills that in.** A network that was trained on photographs of bedrooms scans the picture along rows and columns and
   draws what could be there. Known pixels come back exactly as they were.
3. **You can continue from there.** Keep makes the result the photograph to work on. Undo goes back, over fills as well.
4. **It says how certain it is.** The uncertainty shows, in grey levels, how far off a filled pixel typically is.

**Its limits.** What it fills in is a guess, never what was really there. Large gaps look soft, like fog; faces and writing
cannot be restored. It works on subjects other than rooms only as far as they resemble rooms. If paint is missed, mark it
with the brush.
"""
NO_WEIGHTS = (
    "There are no weights yet, so nothing can be completed. Train a model with `python train.py`, or name a file with "
    "`streamlit run app.py -- --weights FILE`, and load this page again."
)
PRIVACY = (
    "Your pictures stay in the memory of the computer that runs this page, and only while the page is open. They are not "
    "saved, logged or passed on."
)
NOTHING_MARKED = "Nothing is marked, so there is nothing to fill in. Brush over what is in the way."

# the labels of the editor, which editor.html names as $name
LABELS = {
    "tools": "Marking tools",
    "tool": "Tool",
    "brush": "Brush",
    "brush_about": "Mark what to replace (B)",
    "eraser": "Eraser",
    "eraser_about": "Erase marks (E)",
    "box": "Box",
    "box_about": "Mark a rectangle (R)",
    "size": "Size",
    "size_about": "Brush size",
    "undo": "Undo",
    "undo_about": "Undo, including fills (Ctrl+Z)",
    "redo": "Redo",
    "redo_about": "Redo (Ctrl+Y)",
    "clear": "Clear",
    "clear_about": "Unmark everything",
    "detect": "Detect again",
    "detect_about": "Go back to what was detected automatically",
    "view": "View",
    "both": "Side by side",
    "both_about": "The photograph beside the result (1)",
    "mark": "Photograph",
    "mark_about": "The photograph, for marking (2)",
    "result": "Result",
    "result_about": "The result alone (3)",
    "slider": "Slider",
    "slider_about": "Drag the line to see before and after (4)",
    "doubt": "Uncertainty",
    "doubt_about": "Where the result may be wrong, and by how much (5)",
    "before": "Before",
    "before_about": "Hold to see the original photograph (C)",
    "after": "After",
    "smaller_about": "Zoom out",
    "larger_about": "Zoom in",
    "fit_about": "The whole picture (0, or a double click)",
    "help_about": "Keys (?)",
    "help_title": "Mouse, fingers and keys",
    "close": "Close",
    "work_title": "Photograph",
    "done_title": "Result",
    "stage_about": "The photograph, tinted where it is taken as missing. Arrow keys move the brush, Space marks, square "
    "brackets change its size, Enter completes, question mark lists all keys.",
    "done_about": "The result. A stroke on it keeps it and continues from there.",
    "divider_about": "Border between before and after",
    "sure": "certain, 0",
    "doubt_unit": "how far off a filled pixel typically is, in grey levels of 255",
    "steps": "Steps",
    "samples": "Samples",
    "weights": "Fill",
    "weights_about": "The weights to fill with: sharp looks more like a photograph, expected has the smallest average error "
    "and is softer",
    "auto": "Fill each stroke",
    "auto_about": "Fill in every stroke when it ends; the next one continues from the result",
    "complete": "Complete",
    "complete_about": "Fill in what is marked (Enter)",
    "keep": "Keep",
    "keep_about": "Make the result the photograph to work on (K)",
    "cancel": "Stop",
    "download": "Download",
    "png": "Download PNG",
    "png_about": "Full size; all other pixels unchanged",
    "jpg": "JPEG",
    "jpg_about": "Download a JPEG: smaller, but changes all pixels slightly",
    "webp": "WebP",
    "webp_about": "Download a WebP: smaller than a PNG; all other pixels unchanged",
    "zip": "All (ZIP)",
    "zip_about": "Download the result with its samples, the mask and the uncertainty",
    "copy": "Copy",
    "copy_about": "Copy the picture to the clipboard",
}
# the sentences that the editor's JavaScript chooses from
SAYS = {
    "opening": "Opening the photograph",
    "ahead": "{ahead} before you in the queue",
    "ask": "What may be painted over is outlined. Tap + to replace it or × to leave it, then press Complete.",
    "doubt": "Nothing was found with certainty. What may be painted over is outlined: tap + to replace it, then press "
    "Complete. Or brush over what is in the way.",
    "nothing": "Nothing painted over was found. Brush over what is in the way, then press Complete.",
    "blank": "The mask has no white in it: nothing was marked, so nothing was changed. Brush over what is in the way.",
    "empty": "Nothing is marked. Brush over what is in the way.",
    "marked": "{share}% is marked. Press Complete to fill it in.",
    "stale": "{share}% is marked. The marked area has changed since it was filled. Press Complete to fill it in.",
    "kept": "Kept. Brush over anything else that is in the way, or download it.",
    "waiting": "The result will appear here.",
    "copied": "Copied.",
    "no_copy": "This browser does not allow copying here. Download the picture.",
    "take": "Replace this ({sure}% certain that it is painted over)",
    "leave": "Leave this as it is ({sure}% certain that it is painted over)",
    "step": "Step {step}",
    "first": "Photograph",
    "sample": "Sample {sample}",
    "likelihood": "Log-likelihood: {nats} nats per missing pixel of the coarse picture. The higher, the more plausible",
    "largest": "uncertain, {largest}",
}
KEYS = {
    "Wheel, pinch, + and −": "zoom in or out where you point",
    "Space and drag, middle button, two fingers": "move the enlarged picture",
    "Double click, 0": "the whole picture",
    "B, E, R": "brush, eraser, box",
    "[ and ], Alt and wheel": "brush size",
    "Arrow keys, then Space": "move the brush, and mark",
    "Enter": "complete",
    "K": "keep the result and continue from it",
    "Ctrl+Z, Ctrl+Y": "undo and redo, including fills",
    "C, held down": "show the original",
    "1 to 5": "views",
    "Escape": "cancel the box",
    "?": "this list",
}


def describe(completion: CompletionView) -> str:
    """Return sentences on how much was filled in, why, and how long it took."""
    source = completion.source
    cause = {"given": "marked as missing", "transparent": "transparent"}.get(source, "found to be covered")
    if source.startswith("transparent and"):
        cause = "transparent, or found to be covered"
    height, width = completion.fill.mask.shape
    sentences = [
        f"{100 * completion.share:.3g}% of the picture was {cause}.",
        f"{width} × {height} pixels, completed in {completion.seconds:.2f} s.",
    ]
    if completion.notes:
        sentences.append(f"About the file: {'; '.join(completion.notes)}.")
    if source.startswith("detected by "):
        detector = source.removeprefix("detected by ")
        sentences.append(f"These weights cannot find what is missing; the weights “{detector}” found it for them.")
    return " ".join(sentences)


def plain(text: str) -> str:
    """Escape text for Markdown, so that a file name cannot become bold, a link or an image from another host."""
    return re.sub(r"([\\`*_{}\[\]<>$~:#|!])", r"\\\1", text)
