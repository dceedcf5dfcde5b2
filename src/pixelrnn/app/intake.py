"""What comes in: uploads and examples, checked before they are decoded."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import PixelRNNError
from ..image import FORMATS, read_image

TYPES = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"]
MAX_BYTES, MAX_PIXELS = 50 * 2**20, 40_000_000


@dataclass(frozen=True)
class Upload:
    """A file in memory. `key` names its content within one visit."""

    name: str
    key: str
    data: bytes

    @property
    def stem(self) -> str:
        return Path(self.name).stem

    def decode(self) -> np.ndarray:
        """The picture, uint8 (H, W, 3). Raises PixelRNNError for what is no picture or too large, before it decodes."""
        if len(self.data) > MAX_BYTES:
            raise PixelRNNError(
                f"{self.name}: {len(self.data) / 2**20:.0f} MB, at most {MAX_BYTES // 2**20} MB are read. Upload a smaller one."
            )
        width, height = self._size()
        if width * height > MAX_PIXELS:
            most = MAX_PIXELS // 10**6
            raise PixelRNNError(
                f"{self.name}: {width} × {height} pixels, at most {most} megapixels are read. Upload a smaller one."
            )
        return read_image(self._file())

    def _size(self) -> tuple[int, int]:
        try:
            with Image.open(self._file(), formats=FORMATS) as opened:
                return opened.size
        except Exception:  # read_image says what is wrong with it
            return 0, 0

    def _file(self) -> io.BytesIO:
        file = io.BytesIO(self.data)
        file.name = self.name  # by which errors call it
        return file

    def decode_mask(self) -> np.ndarray:
        """The mask, bool (H, W), True (white) where missing. Raises what decode raises."""
        return self.decode().mean(2) >= 127.5
