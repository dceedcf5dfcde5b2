"""Full-size pictures that were used last, of all visits together: what is enlarged is then a slice away, in bounded memory."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock, RLock

from ..decode import Picture

MOST_BYTES = 192 * 2**20  # five photographs of 12 megapixels


class Shelf:
    """Pictures by key, the last used up to `most` bytes; others are made anew, one at a time."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self.most = most
        self._pictures: OrderedDict[Hashable, Picture] = OrderedDict()
        self._door, self._making = Lock(), RLock()  # a picture may be made of another

    def get(self, key: Hashable, make: Callable[[], Picture]) -> Picture:
        """That of `key`; else what `make` gives, whose errors are raised."""
        known = self._find(key)
        if known is None:
            with self._making:
                known = self._find(key) or make()  # somebody may have made it meanwhile
                self.put(key, known)
        return known

    def put(self, key: Hashable, picture: Picture) -> None:
        with self._door:
            self._pictures[key] = picture
            self._pictures.move_to_end(key)
            while len(self._pictures) > 1 and sum(map(_bytes, self._pictures.values())) > self.most:
                self._pictures.popitem(last=False)

    def _find(self, key: Hashable) -> Picture | None:
        with self._door:
            if key in self._pictures:
                self._pictures.move_to_end(key)
            return self._pictures.get(key)


def _bytes(picture: Picture) -> int:
    return picture.pixels.nbytes + (0 if picture.alpha is None else picture.alpha.nbytes)
