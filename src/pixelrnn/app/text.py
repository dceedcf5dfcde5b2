"""Words that the page shows, and names of files, which are not to be more than words."""

import re

from .figures import CompletionView

INTRODUCTION = (
    "Give it a photograph with something in the way, get it back without. What is painted over is found and filled in; every "
    "other pixel stays as it is."
)
HOW_IT_WORKS = """
1. **It looks for what is painted over.** Flat colours, noise, stripes, words, scribbles and pieces of other pictures are
   found without help. What is sure is tinted and filled in. What is in doubt is outlined: tap + to take it, × to leave it. A
   real object, such as a person or a chair, is part of the photograph: brush over it.
2. **It fills that in.** A network that was trained on photographs of bedrooms scans the picture along rows and columns and
   draws what could be there. Known pixels come back exactly as they were.
3. **It goes on from there.** Keep makes the result the photograph to work on; undo goes back, over fills as well.
4. **It says how sure it is.** The uncertainty shows, in grey levels, how far off a filled pixel typically is.

**Its limits.** What it fills in is a guess, never what was really there. Large gaps look soft, like fog; faces and writing
cannot be restored; subjects other than rooms work as far as they resemble them. Sometimes paint is missed: then mark it.
"""
NO_WEIGHTS = (
    "There are no weights yet, so nothing can be completed. Train some with `python train.py`, or name a file with "
    "`streamlit run app.py -- --weights FILE`, and load this page again."
)
PRIVACY = (
    "Your pictures stay in the memory of the computer that runs this page, while the page is open. They are not saved, not "
    "logged and not passed on."
)
NOTHING_MARKED = "Nothing is marked, so there is nothing to fill in. Brush over what is in the way."

# of the editor: in editor.html by $name
LABELS = {
    "tools": "Marking tools",
    "tool": "Tool",
    "brush": "Brush",
    "brush_about": "Mark what is to be replaced (B)",
    "eraser": "Eraser",
    "eraser_about": "Take a mark away (E)",
    "box": "Box",
    "box_about": "Mark a rectangle (R)",
    "size": "Size",
    "size_about": "Brush size",
    "undo": "Undo",
    "undo_about": "Undo, over fills as well (Ctrl+Z)",
    "redo": "Redo",
    "redo_about": "Redo (Ctrl+Y)",
    "clear": "Clear",
    "clear_about": "Mark nothing",
    "detect": "Detect again",
    "detect_about": "Back to what was found without help",
    "view": "View",
    "both": "Side by side",
    "both_about": "The photograph beside the result (1)",
    "mark": "Photograph",
    "mark_about": "The photograph, to mark on (2)",
    "result": "Result",
    "result_about": "The result alone (3)",
    "slider": "Slider",
    "slider_about": "Drag the line to see before and after (4)",
    "doubt": "Uncertainty",
    "doubt_about": "Where the result may be wrong, and by how much (5)",
    "before": "Before",
    "before_about": "Hold to see the photograph as it came (C)",
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
    "brackets change its size, Enter completes, question mark tells all keys.",
    "done_about": "The result. A stroke on it keeps it and goes on from there.",
    "divider_about": "Border between before and after",
    "sure": "sure, 0",
    "doubt_unit": "grey levels of 255 that a filled pixel is typically off by",
    "steps": "Steps",
    "samples": "Samples",
    "weights": "Fill",
    "weights_about": "Which weights fill it in: sharp looks more like a photograph, expected has the least error on average "
    "and is softer",
    "auto": "Fill each stroke",
    "auto_about": "Every stroke is filled in when it ends, and the next one goes on from the result",
    "complete": "Complete",
    "complete_about": "Fill in what is marked (Enter)",
    "keep": "Keep",
    "keep_about": "Make the result the photograph to work on (K)",
    "cancel": "Stop",
    "download": "Download",
    "png": "Download PNG",
    "png_about": "Full size, every other pixel as it came",
    "jpg": "JPEG",
    "jpg_about": "Download a JPEG: smaller, and changes all pixels a little",
    "webp": "WebP",
    "webp_about": "Download a WebP: smaller than a PNG, every other pixel as it came",
    "zip": "All (ZIP)",
    "zip_about": "Download the result with its samples, the mask and the uncertainty",
    "copy": "Copy",
    "copy_about": "Copy the picture to the clipboard",
}
# sentences that editor.js chooses from
SAYS = {
    "opening": "Opening the photograph",
    "ahead": "{ahead} before you in the queue",
    "ask": "What may be painted over is outlined. Tap + to take it away and × to leave it, then press Complete.",
    "doubt": "Nothing was found for sure. What may be painted over is outlined: tap + to take it away, then press Complete. Or "
    "brush over what is in the way.",
    "nothing": "Nothing painted over was found. Brush over what is in the way, then press Complete.",
    "blank": "The mask has no white in it: nothing was marked, so nothing was changed. Brush over what is in the way.",
    "empty": "Nothing is marked. Brush over what is in the way.",
    "marked": "{share}% is marked. Press Complete to fill it in.",
    "stale": "{share}% is marked, which has changed since it was filled. Press Complete to fill it in.",
    "kept": "Kept. Brush over what else is in the way, or download it.",
    "waiting": "The result comes here.",
    "copied": "Copied.",
    "no_copy": "This browser lets nothing be copied here. Download the picture.",
    "take": "Take this away ({sure}% sure that it is painted over)",
    "leave": "Leave this as it is ({sure}% sure that it is painted over)",
    "step": "Step {step}",
    "first": "Photograph",
    "sample": "Sample {sample}",
    "likelihood": "Log-likelihood {nats} nats per missing pixel of the coarse picture: nearer to zero, or above, is more "
    "plausible",
    "largest": "unsure, {largest}",
}
KEYS = {
    "Wheel, pinch, + and −": "zoom, to where you point",
    "Space and drag, middle button, two fingers": "move what is enlarged",
    "Double click, 0": "the whole picture",
    "B, E, R": "brush, eraser, box",
    "[ and ], Alt and wheel": "brush size",
    "Arrow keys, then Space": "move the brush, and mark",
    "Enter": "complete",
    "K": "keep the result, and go on from it",
    "Ctrl+Z, Ctrl+Y": "undo and redo, over fills as well",
    "C, held down": "before",
    "1 to 5": "views",
    "Escape": "begin a box anew",
    "?": "this list",
}


def how_it_went(done: CompletionView) -> str:
    """How much was filled in, why, and how long that took."""
    how = {"given": "marked as missing", "transparent": "transparent"}.get(done.source, "found to be covered")
    if done.source.startswith("transparent and"):
        how = "transparent, or found to be covered"
    height, width = done.fill.mask.shape
    said = [
        f"{100 * done.share:.3g}% of the picture was {how}.",
        f"{width} × {height} pixels, completed in {done.seconds:.2f} s.",
    ]
    if done.notes:
        said.append(f"Of the file: {'; '.join(done.notes)}.")
    if done.source.startswith("detected by "):
        finder = done.source.removeprefix("detected by ")
        said.append(f"These weights cannot find what is missing; the weights “{finder}” found it for them.")
    return " ".join(said)


def plain(text: str) -> str:
    """`text` shown as it is: a file's name is not to become bold, a link or a picture from another host."""
    return re.sub(r"([\\`*_{}\[\]<>$~:#|!])", r"\\\1", text)
