"""A cache of the full-size images used last, for all visits, so that zooming in takes a slice instead of a decoding."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock, RLock

from ..decode import Picture

MOST_BYTES = 192 * 2**20  # five photographs of 12 megapixels


class ImageCache:
    """Images by key, those used last up to `most` bytes. Others are made again, one at a time."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self.most = most
        self._pictures: OrderedDict[Hashable, Picture] = OrderedDict()
        self._lock, self._making = Lock(), RLock()  # reentrant: one image may be made from another

    def get(self, key: Hashable, make: Callable[[], Picture]) -> Picture:
        """Return the image of `key`, or make it; errors of `make` are raised."""
        known = self._find(key)
        if known is None:
            with self._making:
                known = self._find(key) or make()  # another visit may have made it meanwhile
                self.put(key, known)
        return known

    def put(self, key: Hashable, picture: Picture) -> None:
        """Add an image, and drop the images used longest ago if there are too many bytes."""
        with self._lock:
            self._pictures[key] = picture
            self._pictures.move_to_end(key)
            while len(self._pictures) > 1 and sum(map(_bytes, self._pictures.values())) > self.most:
                self._pictures.popitem(last=False)

    def _find(self, key: Hashable) -> Picture | None:
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
            return self._pictures.get(key)


def _bytes(picture: Picture) -> int:
    return picture.pixels.nbytes + (0 if picture.alpha is None else picture.alpha.nbytes)
