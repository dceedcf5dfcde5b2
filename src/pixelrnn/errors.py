"""The one family of errors a user of pixelrnn has to catch."""


class PixelRNNError(Exception):
    """What was expected, what came, and what to do, in one line for the user."""

    exit_code = 2  # of the command that ends with it


def nearest(word: str, known: list[str]) -> str:
    """The end of a sentence: ", did you mean ...?" where a known word is near, else a full stop."""
    import difflib  # of use to those alone who mistype

    found = difflib.get_close_matches(word, known, n=1)
    return f", did you mean {found[0]!r}?" if found else "."
