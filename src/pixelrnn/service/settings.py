"""What the service offers and allows, said once, when it starts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import PixelRNNError
from ..weights import DEFAULT, bundled_weights, find_weights


@dataclass(frozen=True)
class Settings:
    """weights: files by the names that requests may give; the first is the one where a request gives none."""

    weights: dict[str, Path] = field(default_factory=lambda: offered(()))
    token: str | None = None  # who does not send it is refused; None: nobody is
    max_bytes: int = 50 * 2**20  # of a request's body
    max_pixels: int = 50_000_000  # of a picture or a mask
    max_samples: int = 8
    threads: int = 1  # pictures that are worked on at once
    queue: int = 32  # requests that wait besides
    seconds: float = 60.0  # for a request to arrive, and again for its answer

    @property
    def default(self) -> str:
        return next(iter(self.weights))


def offered(named: Sequence[str]) -> dict[str, Path]:
    """The weights `named`, bundled names or paths, by bundled name or by the file's name without its suffix, then the other
    bundled ones. Raises PixelRNNError for what is not there, and for two of one name.
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
