"""The web page: `streamlit run app.py`, with weights of your own `streamlit run app.py -- --weights FILE`."""

import os
from pathlib import Path

# two threads that spin while they wait are slower than one on a busy machine; must be set before torch is imported
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from pixelrnn.app.page import main

main(Path(__file__).parent)
