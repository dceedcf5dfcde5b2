"""The one family of errors a user of pixelrnn has to catch."""


class PixelRNNError(Exception):
    """What was expected, what came, and what to do, in one line for the user."""
