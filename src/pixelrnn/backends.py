"""A network behind one call on numpy arrays. Today torch; the door through which another engine comes."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .errors import PixelRNNError

if TYPE_CHECKING:
    import torch


class Output(NamedTuple):
    """What a network says of one picture, as float32 arrays."""

    image: np.ndarray  # (3, H, W) in [0, 1], before known pixels are pasted back
    log_std: np.ndarray | None  # (H, W), log standard deviation of the error; None where it cannot say


class TorchBackend:
    """The weights of a file or bundled name, run by torch on `device`: cpu or cuda. reads_mask: whether a mask has effects.

    Raises PixelRNNError for weights that cannot be read or a device that is not there.
    """

    def __init__(self, weights: str | Path, device: str = "cpu") -> None:
        import torch

        from .checkpoint import load

        if device not in ("cpu", "cuda"):
            raise PixelRNNError(f"device {device!r}: expected cpu or cuda.")
        if device == "cuda" and not torch.cuda.is_available():
            raise PixelRNNError("device cuda: no GPU that torch can use here. Choose cpu.")
        loaded = load(weights)
        self.name, self.about, self.device = loaded.name, loaded.about, device
        self.model = loaded.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.reads_mask = hasattr(self.model, "fill")

    def __call__(self, image: np.ndarray, mask: np.ndarray, guide: np.ndarray | None = None) -> Output:
        """Complete one picture: image float32 (3, H, W) in [0, 1]; mask bool (H, W), True where missing; guide float32
        (3, h, w) in [0, 1], of any size. Raises PixelRNNError for a guide that the model cannot take."""
        import torch

        coarse = None if guide is None else self._batch(guide)
        with torch.inference_mode():
            try:
                prediction = self.model(self._batch(image), self._batch(mask[None].astype(np.float32)), coarse)
            except ValueError as error:
                raise PixelRNNError(f"{self.name}: {error}") from None
        log_std = None if prediction.log_std is None else prediction.log_std[0, 0].float().cpu().numpy()
        return Output(prediction.image[0].float().cpu().numpy(), log_std)

    def detect(self, image: np.ndarray) -> np.ndarray | None:
        """The occlusion in float32 (3, H, W) in [0, 1] as float32 (H, W), above 0 where covered; None if it cannot say."""
        import torch

        if not hasattr(self.model, "detect"):
            return None
        with torch.inference_mode():
            logits: np.ndarray = self.model.detect(self._batch(image))[0, 0].float().cpu().numpy()
        return logits

    def _batch(self, array: np.ndarray) -> "torch.Tensor":
        import torch

        return torch.from_numpy(array)[None].to(self.device, memory_format=torch.channels_last)
