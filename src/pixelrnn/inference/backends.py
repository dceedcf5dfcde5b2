"""Run a network on numpy arrays, by ONNX Runtime or by torch."""

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

# set before ONNX Runtime is imported: its builds for Linux report their use to Microsoft, from version 1.32 or earlier
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

THREADS = 2  # small operations gain nothing from more
EVIDENCE = 4  # the number of planes that evidence.evidence gives
SEAL = b"sha256 of this file with these digits as zeros: "  # in an ONNX file's metadata, before 64 hexadecimal digits


class Output(NamedTuple):
    """The output of a network for one image, as float32 arrays."""

    image: np.ndarray  # (3, H, W) in [0, 1], before known pixels are pasted back
    log_std: np.ndarray | None  # (H, W), log standard deviation of the error; None where the network cannot say


class Backend(Protocol):
    """A network that completes one image at a time.

    Attributes:
        name: the model's name.
        reads_mask: whether the network uses a mask, and takes a guide.
        detects: whether the network detects what is painted over.
    """

    name: str
    reads_mask: bool
    detects: bool

    def __call__(self, image: np.ndarray, mask: np.ndarray, guide: np.ndarray | None = None) -> Output:
        """Complete one image.

        Args:
            image: float32 (3, H, W) in [0, 1].
            mask: bool (H, W), True where missing.
            guide: what belongs in the hole, float32 (3, h, w) in [0, 1] of any size.

        Raises:
            PixelRNNError: the network takes no guide, and one is given.
        """
        ...

    def detect(self, image: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """Detect what is painted over, with a network that `detects`.

        Args:
            image: float32 (3, H, W) in [0, 1].
            evidence: float32 (4, H, W), see evidence.evidence.

        Returns:
            Logits, float32 (H, W), above 0 where covered.
        """
        ...


def open_backend(weights: str | Path, device: str = "cpu", backend: str = "auto") -> Backend:
    """Open weights, ready to run.

    Args:
        weights: a bundled name, a file, or a name on the hub; see `weights.find_weights`.
        device: "cpu" or "cuda".
        backend: "onnx" (ONNX Runtime, on the CPU), "torch", or "auto": ONNX Runtime on the CPU for bundled weights and .onnx
            files, torch for all others.

    Raises:
        PixelRNNError: the weights cannot be read, the backend or the device is not available, or the backend cannot run the
            weights.
    """
    if backend not in ("auto", "onnx", "torch"):
        raise PixelRNNError(f"backend {backend!r}: expected auto, onnx or torch.")
    if device not in ("cpu", "cuda"):
        raise PixelRNNError(f"device {device!r}: expected cpu or cuda.")
    path = find_weights(weights)
    exported, bundled = path.with_suffix(".onnx"), path in bundled_weights().values()
    if backend == "auto":  # not by the .onnx file beside other weights, which may be an older export
        backend = "onnx" if device == "cpu" and (bundled or path.suffix == ".onnx") else "torch"
    if backend == "torch":
        if path.suffix == ".onnx":
            raise PixelRNNError(f"{path}: torch cannot run an ONNX file. Give the checkpoint, or --backend onnx --device cpu.")
        return TorchBackend(path, device)
    if device != "cpu":
        raise PixelRNNError("backend onnx: runs only on the CPU. Choose --device cpu or --backend torch.")
    if bundled:
        return BundledBackend(path)
    if not exported.is_file():
        raise PixelRNNError(f"{exported}: no such ONNX file. Write it first: pixelrnn export {path}")
    return OnnxBackend(exported)


class Session:
    """An ONNX Runtime session that survives a fork.

    The threads of a session do not live in a forked process, so the session is opened anew there.

    Args:
        open_it: opens the session.
        pool: opens the session in the background; by default it is opened at once.
    """

    def __init__(self, open_it: Callable[[], Any], pool: ThreadPoolExecutor | None = None) -> None:
        self._open, self._process = open_it, os.getpid()
        self._left: list[Any] = []  # kept, since closing a parent's session would wait for threads that do not live here
        self._opened: Any = open_it() if pool is None else pool.submit(open_it)

    def get(self) -> Any:
        """The session, once it is open."""
        if self._process != os.getpid():
            self._left.append(self._opened)
            self._opened, self._process = self._open(), os.getpid()
        return self._opened.result() if isinstance(self._opened, Future) else self._opened


class OnnxBackend:
    """A file that pixelrnn exported, run by ONNX Runtime on the CPU with OMP_NUM_THREADS threads, 2 by default.

    It may be shared by threads, pickled, and used after a fork.

    Raises:
        PixelRNNError: the file is damaged, or another program wrote it.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._session = path, Session(partial(open_session, path))
        session = self._session.get()
        self.metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
        inputs = {node.name for node in session.get_inputs()}
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

    def detect(self, image: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        return _detect(self._session.get(), _feeds(image, None, None, evidence))


class BundledBackend:
    """Bundled weights on the bundled graphs, run by ONNX Runtime on the CPU with OMP_NUM_THREADS threads, 2 by default.

    Both graphs are opened in the background, while the caller reads its image. The backend may be shared by threads, pickled,
    and used after a fork.
    """

    reads_mask = detects = True

    def __init__(self, path: Path) -> None:
        pool = ThreadPoolExecutor(2, "onnxruntime")
        pool.submit(
            import_module, "onnxruntime"
        )  # in the background, while the weights are read and their checksum is computed
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

    def detect(self, image: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        return _detect(self._detector.get(), {"image": image[None], "evidence": evidence[None]})


def _fill(session: Any, feeds: dict[str, np.ndarray]) -> Output:
    """Run a session that fills."""
    picture, log_std = session.run(["picture", "log_std"], feeds)
    return Output(_finite(picture[0]), _finite(log_std[0, 0]))


def _detect(session: Any, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """Run a session that detects."""
    return _finite(session.run(["mask_logits"], feeds)[0][0, 0])


def _finite(output: np.ndarray) -> np.ndarray:
    """Return the output of a network. Raises PixelRNNError where it holds a value that is not finite."""
    if not np.isfinite(output).all():
        raise PixelRNNError("the weights give values that are not finite: their training diverged. Give other weights.")
    return output


def _feeds(
    image: np.ndarray, mask: np.ndarray | None, guide: np.ndarray | None, evidence: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """The inputs of an exported graph: each optional one is always fed, and a flag says whether it counts."""
    return {
        "image": image[None],
        "mask": np.zeros((1, 1, *image.shape[1:]), np.float32) if mask is None else mask[None, None].astype(np.float32),
        "guide": np.zeros((1, 3, 1, 1), np.float32) if guide is None else guide[None],
        "evidence": np.zeros((1, EVIDENCE, *image.shape[1:]), np.float32) if evidence is None else evidence[None],
        "has_mask": np.array([mask is not None]),
        "has_guide": np.array([guide is not None]),
        "has_evidence": np.array([evidence is not None]),
    }


def _threads() -> int:
    """The first number in OMP_NUM_THREADS; at most THREADS where it holds none."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdigit() and int(first) else min(THREADS, os.cpu_count() or 1)


def open_session(path: Path, weights: dict[str, np.ndarray] | None = None) -> Any:
    """Open a file that pixelrnn exported as an ONNX Runtime session.

    Args:
        path: the .onnx file.
        weights: the graph's external initializers by name, in float16 or float32.

    Raises:
        PixelRNNError: the checksum of the file is wrong, or ONNX Runtime cannot run it or is not installed.
    """
    data = path.read_bytes()
    if not is_whole(data):
        raise PixelRNNError(f"{path}: damaged, or not written by pixelrnn export: its checksum is wrong. Export it again.")
    return start_session(data, path, weights)


def start_session(graph: bytes | str, path: Path, weights: dict[str, np.ndarray] | None = None) -> Any:
    """Start an ONNX Runtime session.

    Args:
        graph: the bytes of an .onnx file, or its name, where its weights lie in files beside it.
        path: what errors call the file.
        weights: the graph's external initializers by name, in float16 or float32.

    Raises:
        PixelRNNError: ONNX Runtime cannot run the graph, or is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise PixelRNNError("backend onnx: onnxruntime is not installed. Install it: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = _threads()
    # threads that spin while they wait take the cores from other processes
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # the arena would keep the memory of the largest image for as long as the session lives
    options.enable_cpu_mem_arena = False
    try:
        if weights:
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(value.astype(np.float32)) for value in weights.values()]
            options.add_external_initializers(list(weights), values)
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the errors of ONNX Runtime have no other base class in common
        raise PixelRNNError(f"{path}: ONNX Runtime cannot run it ({str(error).splitlines()[0][:200]}).") from None


def seal(data: bytes) -> bytes:
    """Fill the checksum into the bytes of a file, which hold SEAL and 64 zeros once."""
    before, after = data.split(SEAL + b"0" * 64)
    digest = hashlib.sha256(data).hexdigest().encode()
    return before + SEAL + digest + after


def is_whole(data: bytes) -> bool:
    """Whether the bytes of a file are those that `seal` returned."""
    before, separator, after = data.partition(SEAL)
    digest = hashlib.sha256(before)
    for part in (SEAL, b"0" * 64, memoryview(after)[64:]):
        digest.update(part)
    return bool(separator) and after[:64] == digest.hexdigest().encode()


class TorchBackend:
    """Weights run by torch.

    Args:
        weights: a file or a bundled name.
        device: "cpu" or "cuda".

    Raises:
        PixelRNNError: the weights cannot be read or complete no images, or torch or the device is not available.
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
                f"{weights}: {loaded.name} does not complete pictures by itself. Give weights of a completion model."
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

    def detect(self, image: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            return _finite(self.model.detect(self._batch(image), self._batch(evidence))[0, 0].float().cpu().numpy())

    def _batch(self, array: np.ndarray) -> "torch.Tensor":
        """A batch of one on the device."""
        import torch

        return torch.from_numpy(array)[None].to(self.device, memory_format=torch.channels_last)
