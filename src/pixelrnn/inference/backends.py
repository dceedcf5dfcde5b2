"""A network behind one call on numpy arrays, run by ONNX Runtime or by torch."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ..errors import PixelRNNError
from ..weights import DETECT, FILL, bundled_weights, find_weights, read_tensors

if TYPE_CHECKING:
    import torch

# before ONNX Runtime is imported: its builds for Linux count for Microsoft how it is used, from 1.32 on or before
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

THREADS = 2  # small operations gain nothing from more
EVIDENCE = 4  # planes of evidence.evidence
SEAL = b"sha256 of this file with these digits as zeros: "  # in an ONNX file's metadata, before 64 hexadecimal digits


class Output(NamedTuple):
    """What a network says of one picture, as float32 arrays."""

    image: np.ndarray  # (3, H, W) in [0, 1], before known pixels are pasted back
    log_std: np.ndarray | None  # (H, W), log standard deviation of the error; None where it cannot say


class Backend(Protocol):
    """A network on one picture. reads_mask: whether a mask has effects, and a guide can be given. detects: whether it finds
    what is painted over.
    """

    name: str
    reads_mask: bool
    detects: bool

    def __call__(self, image: np.ndarray, mask: np.ndarray, guide: np.ndarray | None = None) -> Output:
        """Complete one picture: image float32 (3, H, W) in [0, 1]; mask bool (H, W), True where missing; guide float32
        (3, h, w) in [0, 1], of any size. Raises PixelRNNError for a guide that the model cannot take.
        """
        ...

    def detect(self, image: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """The occlusion in float32 (3, H, W) in [0, 1] with its evidence `seen`, (4, H, W), as float32 (H, W), above 0 where
        covered; of a network that `detects`.
        """
        ...


def open_backend(weights: str | Path, device: str = "cpu", backend: str = "auto") -> Backend:
    """The weights of a file or bundled name, ready to run.

    backend: "onnx" (ONNX Runtime, CPU), "torch", or "auto": ONNX Runtime on the CPU for bundled weights and .onnx files, torch
    for all else. device: cpu or cuda. Raises PixelRNNError for weights that cannot be read, a device or an engine that is not
    there, and weights that the engine cannot run.
    """
    if backend not in ("auto", "onnx", "torch"):
        raise PixelRNNError(f"backend {backend!r}: expected auto, onnx or torch.")
    if device not in ("cpu", "cuda"):
        raise PixelRNNError(f"device {device!r}: expected cpu or cuda.")
    path = find_weights(weights)
    exported, bundled = path.with_suffix(".onnx"), path in bundled_weights().values()
    if backend == "auto":  # beside weights of one's own an older export may lie
        backend = "onnx" if device == "cpu" and (bundled or path.suffix == ".onnx") else "torch"
    if backend == "torch":
        if path.suffix == ".onnx":
            raise PixelRNNError(f"{path}: torch cannot run an ONNX file. Give the checkpoint, or --backend onnx --device cpu.")
        return TorchBackend(path, device)
    if device != "cpu":
        raise PixelRNNError("backend onnx: runs on the cpu alone. Choose --device cpu or --backend torch.")
    if bundled:
        return BundledBackend(path)
    if not exported.is_file():
        raise PixelRNNError(f"{exported}: no such ONNX file. Write it first: pixelrnn export {path}")
    return OnnxBackend(exported)


class Session:
    """An ONNX Runtime session, opened in this process by `open_it`, and anew in one that was forked from it: its threads do not
    live there.
    """

    def __init__(self, open_it: Callable[[], Any], pool: ThreadPoolExecutor | None = None) -> None:
        self._open, self._process = open_it, os.getpid()
        self._left: list[Any] = []  # closing a parent's session would wait for threads that do not live here
        self._opened: Any = open_it() if pool is None else pool.submit(open_it)

    def get(self) -> Any:
        if self._process != os.getpid():
            self._left.append(self._opened)
            self._opened, self._process = self._open(), os.getpid()
        return self._opened.result() if isinstance(self._opened, Future) else self._opened


class OnnxBackend:
    """A file that pixelrnn exported, run by ONNX Runtime on the CPU with OMP_NUM_THREADS threads, 2 by default.

    Raises PixelRNNError for a file that is damaged or not ours. May be shared by threads, pickled and used after a fork.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._session = path, Session(partial(open_session, path))
        session = self._session.get()
        self.metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
        inputs = {one.name for one in session.get_inputs()}
        self.name = self.metadata.get("model", "")
        if not self.name or "image" not in inputs:
            raise PixelRNNError(f"{path}: an ONNX file of another program. Give one that pixelrnn export wrote.")
        self.reads_mask = self.detects = "mask" in inputs

    def __reduce__(self) -> tuple[Any, ...]:
        return OnnxBackend, (self.path,)

    def __call__(self, image: np.ndarray, mask: np.ndarray, guide: np.ndarray | None = None) -> Output:
        if not self.reads_mask:
            if guide is not None:
                raise PixelRNNError(f"{self.name}: this model takes no guide: pass guide=None")
            return Output(_finite(self._session.get().run(["picture"], {"image": image[None]})[0][0]), None)
        return _fill(self._session.get(), _feeds(image, mask, guide))

    def detect(self, image: np.ndarray, seen: np.ndarray) -> np.ndarray:
        return _detect(self._session.get(), _feeds(image, None, None, seen))


class BundledBackend:
    """Bundled weights on the graphs that hold none, run by ONNX Runtime on the CPU with OMP_NUM_THREADS threads, 2 by default.

    Both graphs are opened in the background, while whoever asked reads its picture. May be shared by threads, pickled and used
    after a fork.
    """

    reads_mask = detects = True

    def __init__(self, path: Path) -> None:
        pool = ThreadPoolExecutor(2, "onnxruntime")
        pool.submit(import_module, "onnxruntime")  # while the weights are read and their checksum is taken
        header, tensors = read_tensors(path)
        self.path, self.name, self.metadata = path, str(header["model"]), dict(header["about"])
        self._detector, self._filler = (
            Session(partial(open_session, graph, {key: value for key, value in tensors.items() if key.startswith(part)}), pool)
            for graph, part in ((DETECT, "detector."), (FILL, "filler."))
        )
        pool.shutdown(wait=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return BundledBackend, (self.path,)

    def __call__(self, image: np.ndarray, mask: np.ndarray, guide: np.ndarray | None = None) -> Output:
        feeds = _feeds(image, mask, guide)
        return _fill(self._filler.get(), {name: feeds[name] for name in ("image", "mask", "guide", "has_guide")})

    def detect(self, image: np.ndarray, seen: np.ndarray) -> np.ndarray:
        return _detect(self._detector.get(), {"image": image[None], "evidence": seen[None]})


def _fill(session: Any, feeds: dict[str, np.ndarray]) -> Output:
    picture, log_std = session.run(["picture", "log_std"], feeds)
    return Output(_finite(picture[0]), _finite(log_std[0, 0]))


def _detect(session: Any, feeds: dict[str, np.ndarray]) -> np.ndarray:
    return _finite(session.run(["mask_logits"], feeds)[0][0, 0])


def _finite(output: np.ndarray) -> np.ndarray:
    """What a network said, unless that is no number."""
    if not np.isfinite(output).all():
        raise PixelRNNError("the weights give values that are not finite: their training diverged. Give other weights.")
    return output


def _feeds(
    image: np.ndarray, mask: np.ndarray | None, guide: np.ndarray | None, seen: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """The inputs of an exported graph, of which all but the image are always there and flagged."""
    return {
        "image": image[None],
        "mask": np.zeros((1, 1, *image.shape[1:]), np.float32) if mask is None else mask[None, None].astype(np.float32),
        "guide": np.zeros((1, 3, 1, 1), np.float32) if guide is None else guide[None],
        "evidence": np.zeros((1, EVIDENCE, *image.shape[1:]), np.float32) if seen is None else seen[None],
        "has_mask": np.array([mask is not None]),
        "has_guide": np.array([guide is not None]),
        "has_evidence": np.array([seen is not None]),
    }


def _threads() -> int:
    """OMP_NUM_THREADS, whose first number counts where it is a list; a few where it says nothing."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdigit() and int(first) else min(THREADS, os.cpu_count() or 1)


def open_session(path: Path, weights: dict[str, np.ndarray] | None = None) -> Any:
    """weights: by name, what the graph's external initializers are, in float16 or float32."""
    data = path.read_bytes()
    if not is_whole(data):
        raise PixelRNNError(f"{path}: damaged, or not written by pixelrnn export: its checksum does not hold. Export it again.")
    return start_session(data, path, weights)


def start_session(graph: bytes | str, path: Path, weights: dict[str, np.ndarray] | None = None) -> Any:
    """An ONNX Runtime session of a file's bytes, or of its name, beside which more of it may lie. path: as errors call it."""
    try:
        import onnxruntime
    except ImportError:
        raise PixelRNNError("backend onnx: onnxruntime is not installed. Install it: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = _threads()
    # threads that spin while they wait take the cores from others
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # keeps what it took for the largest picture for as long as it lives
    options.enable_cpu_mem_arena = False
    try:
        if weights:
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(value.astype(np.float32)) for value in weights.values()]
            options.add_external_initializers(list(weights), values)
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own have no common base but this
        raise PixelRNNError(f"{path}: ONNX Runtime cannot run it ({str(error).splitlines()[0][:200]}).") from None


def seal(data: bytes) -> bytes:
    """The bytes of a file with its checksum filled in; they hold SEAL and 64 zeros once."""
    before, after = data.split(SEAL + b"0" * 64)
    digest = hashlib.sha256(data).hexdigest().encode()
    return before + SEAL + digest + after


def is_whole(data: bytes) -> bool:
    """Whether the bytes of a file are those that `seal` gave."""
    before, found, after = data.partition(SEAL)
    digest = hashlib.sha256(before)
    for part in (SEAL, b"0" * 64, memoryview(after)[64:]):
        digest.update(part)
    return bool(found) and after[:64] == digest.hexdigest().encode()


class TorchBackend:
    """The weights of a file or bundled name, run by torch on `device`: cpu or cuda.

    Raises PixelRNNError for weights that cannot be read or a device that is not there.
    """

    def __init__(self, weights: str | Path, device: str = "cpu") -> None:
        try:
            import torch
        except ImportError:
            raise PixelRNNError(
                f"{weights}: needs torch. Install it: pip install 'pixelrnn[train]'; or give an .onnx file."
            ) from None

        from ..checkpoint import load
        from ..models import CompletionModel

        if device == "cuda" and not torch.cuda.is_available():
            raise PixelRNNError("device cuda: no GPU that torch can use here. Choose cpu.")
        loaded = load(weights)
        self.name, self.metadata, self.device = loaded.name, loaded.metadata, device
        if not isinstance(loaded.model, CompletionModel):
            raise PixelRNNError(
                f"{weights}: {loaded.name} completes no pictures by itself. Give weights of a completion model."
            )
        self.model = loaded.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.reads_mask, self.detects = self.model.takes_mask, self.model.detects

    def __call__(self, image: np.ndarray, mask: np.ndarray, guide: np.ndarray | None = None) -> Output:
        import torch

        coarse = None if guide is None else self._batch(guide)
        with torch.inference_mode():
            try:
                prediction = self.model(self._batch(image), self._batch(mask[None].astype(np.float32)), coarse)
            except ValueError as error:
                raise PixelRNNError(f"{self.name}: {error}") from None
        log_std = None if prediction.log_std is None else _finite(prediction.log_std[0, 0].float().cpu().numpy())
        return Output(_finite(prediction.image[0].float().cpu().numpy()), log_std)

    def detect(self, image: np.ndarray, seen: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            return _finite(self.model.detect(self._batch(image), self._batch(seen))[0, 0].float().cpu().numpy())

    def _batch(self, array: np.ndarray) -> "torch.Tensor":
        import torch

        return torch.from_numpy(array)[None].to(self.device, memory_format=torch.channels_last)
