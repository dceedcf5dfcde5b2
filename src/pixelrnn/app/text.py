"""Words that the page shows, and names of files, which are not to be more than words."""

import re

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
3. **It says how sure it is.** The uncertainty shows, in grey levels, how far off a filled pixel typically is.

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


def plain(text: str) -> str:
    """`text` shown as it is: a file's name is not to become bold, a link or a picture from another host."""
    return re.sub(r"([\\`*_{}\[\]<>$~:#|!])", r"\\\1", text)
