"""A network behind one call on numpy arrays. Today torch; the door through which another engine comes."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from .errors import PixelRNNError


class Output(NamedTuple):
    """What a network says of one picture, as float32 arrays."""

    image: np.ndarray  # (3, H, W) in [0, 1], before known pixels are pasted back
    mask_logits: np.ndarray | None  # (H, W), above 0 where it sees an occlusion; None where it cannot say
    log_std: np.ndarray | None  # (H, W), log standard deviation of the error; None where it cannot say


class TorchBackend:
    """The weights of a file or bundled name, run by torch on `device`: cpu or cuda.

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

    def __call__(self, image: np.ndarray, mask: np.ndarray | None = None) -> Output:
        """image: float32 (3, H, W) in [0, 1]; mask: bool (H, W), True where missing, or None to let the network find it."""
        import torch

        def batch(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array)[None].to(self.device, memory_format=torch.channels_last)

        with torch.inference_mode():
            prediction = self.model(batch(image), None if mask is None else batch(mask[None].astype(np.float32)))
        picture, logits, log_std = (None if part is None else part[0].float().cpu().numpy() for part in prediction)
        assert picture is not None
        return Output(picture, None if logits is None else logits[0], None if log_std is None else log_std[0])
