"""Uploads and examples, checked before they are decoded."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..decode import Picture, read_picture
from ..errors import PixelRNNError
from ..folders import suffixes
from ..masks import read_mask

TYPES = [suffix[1:] for suffix in suffixes()]
MAX_BYTES = 50 * 2**20


@dataclass(frozen=True)
class Upload:
    """A file in memory. `key` identifies its content within one visit."""

    name: str
    key: str
    data: bytes

    @property
    def stem(self) -> str:
        return Path(self.name).stem

    def decode(self) -> Picture:
        """Decode the photograph. Raises PixelRNNError if it is not an image, or, before decoding, if it is too large."""
        if len(self.data) > MAX_BYTES:
            raise PixelRNNError(
                f"{self.name}: {len(self.data) / 2**20:.0f} MB, at most {MAX_BYTES // 2**20} MB are read. Upload a smaller one."
            )
        return read_picture(self._file())

    def _file(self) -> io.BytesIO:
        file = io.BytesIO(self.data)
        file.name = self.name  # for error messages
        return file

    def decode_mask(self) -> np.ndarray:
        """Decode the file as a mask, bool (H, W), True where missing. Raises what masks.read_mask raises."""
        return read_mask(self._file())
