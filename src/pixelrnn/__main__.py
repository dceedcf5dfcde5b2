"""`python -m pixelrnn` is the command `pixelrnn`."""

from .cli import main

main()
