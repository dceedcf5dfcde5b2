"""The base class of all errors that a user of pixelrnn has to catch."""


class PixelRNNError(Exception):
    """An error for the user: one line that says what was expected, what was given, and what to do."""

    exit_code = 2  # of a command that ends with this error


def nearest(word: str, known: list[str]) -> str:
    """End a sentence with ", did you mean ...?" where a known word is close to `word`, else with a full stop."""
    import difflib  # needed only after a typing error

    matches = difflib.get_close_matches(word, known, n=1)
    return f", did you mean {matches[0]!r}?" if matches else "."
