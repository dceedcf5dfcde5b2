"""`python train.py`: train on data/, draw the loss curve, save optimized_pixelrnn.pth; the same as `pixelrnn train`."""

import sys

from pixelrnn.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
