"""The settings of the service, fixed when it starts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import PixelRNNError
from ..weights import DEFAULT, bundled_weights, find_weights


@dataclass(frozen=True)
class Settings:
    """What the service offers and allows.

    `weights` maps the names that requests may give to files; the first is the default.
    """

    weights: dict[str, Path] = field(default_factory=lambda: offered(()))
    token: str | None = None  # requests without it are refused; None accepts all
    max_bytes: int = 50 * 2**20  # of a request's body
    max_pixels: int = 50_000_000  # of a picture, and of a mask
    max_samples: int = 8  # of one request
    threads: int = 1  # pictures processed at once
    queue: int = 32  # further requests that may wait
    seconds: float = 60.0  # for a request to arrive, and again for its answer

    @property
    def default(self) -> str:
        """The weights for requests that name none."""
        return next(iter(self.weights))


def offered(named: Sequence[str]) -> dict[str, Path]:
    """Find the weights that a service offers.

    Args:
        named: Bundled names or paths, in order of preference.

    Returns:
        Files by bundled name or by file name without the suffix: first the named ones, then all other bundled ones.

    Raises:
        PixelRNNError: If weights do not exist, or two have the same name.
    """
    bundled = bundled_weights()
    names = [name if name in bundled else Path(name).stem for name in dict.fromkeys(named)]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise PixelRNNError(f"two weights called {twice[0]}: requests could not tell them apart. Rename one of the files.")
    files = {name: find_weights(given) for name, given in zip(names, dict.fromkeys(named), strict=True)}
    if hidden := [name for name, file in files.items() if name in bundled and file != bundled[name]]:
        raise PixelRNNError(f"{files[hidden[0]]}: {hidden[0]} is the name of bundled weights. Rename the file.")
    rest = sorted(bundled, key=lambda name: name != DEFAULT)
    return files | {name: bundled[name] for name in rest if name not in files}
