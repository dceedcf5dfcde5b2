"""Detail that is borrowed from elsewhere in the picture."""

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

from pixelrnn.models.borrowing import borrowed_details
from pixelrnn.models.layers import pull_push


def hole(height, width):
    mask = torch.zeros(1, 1, height, width)
    mask[..., height // 4 : height // 2, width // 3 : 2 * width // 3] = 1
    return mask


def smooth_and_rough(size):
    """A dark half with strong texture beside a bright one without, both of even colour, and a hole across their border."""
    rng = np.random.default_rng(0)
    image = torch.full((1, 3, size, size), 0.8, dtype=torch.float64)
    checks = torch.from_numpy(rng.choice([-0.1, 0.1], (size, size // 2)))
    image[..., : size // 2] = 0.3 + checks - checks.mean()
    mask = torch.zeros(1, 1, size, size, dtype=torch.float64)
    mask[..., size // 3 : 2 * size // 3, size // 3 : 2 * size // 3] = 1
    return image, mask


def test_detail_is_borrowed_from_where_colours_are_alike():
    image, mask = smooth_and_rough(120)
    completed = torch.where(mask == 1, torch.full_like(image, 0.8), image)
    completed[..., 40:80, 40:60] = 0.3
    padded = [F.pad(part, (0, 8, 0, 8), mode="replicate") for part in (image, completed, mask)]
    offers, _ = borrowed_details(*padded)
    offers = offers[..., :120, :120]
    assert offers[..., 40:80, 72:80].abs().max() < 1e-9  # a chunk that lies on the bright half alone
    rough = offers[..., 40:80, 40:48]
    assert (rough.std(dim=(0, 2, 3, 4)) > 0.05).all()
    # each of its values stands somewhere in the rough half
    window = F.avg_pool2d(image * (1 - mask), 11, 1, 5) / F.avg_pool2d(1 - mask, 11, 1, 5).clamp_min(1e-6)
    there = ((image - window) * (1 - mask))[0, 0, :, :60].flatten()
    nearest = (rough[0, :, 0].flatten()[:, None] - there).abs().min(dim=1).values
    assert nearest.max() < 1e-9


@pytest.mark.parametrize("shifted", [False, True])
def test_chunks_are_those_that_a_plain_search_over_all_places_finds(shifted):
    """By a loop over places in numpy, on a picture whose hole lies in its middle."""
    rng = np.random.default_rng(0)
    image = torch.from_numpy(cv2.GaussianBlur(rng.random((96, 112, 3)), (0, 0), 3)).permute(2, 0, 1)[None]
    image = (image - image.min()) / (image.max() - image.min())
    mask = torch.zeros(1, 1, 96, 112, dtype=torch.float64)
    mask[..., 32:64, 48:80] = 1
    offers, depth = borrowed_details(image, image, mask)
    cells = image[0].unflatten(1, (24, 4)).unflatten(3, (28, 4)).mean(dim=(2, 4)).numpy()
    means = np.stack([ndimage.generic_filter(one, np.nanmean, 5, mode="constant", cval=np.nan) for one in cells])
    near, far = (np.pad(part, ((0, 0), (edge, edge), (edge, edge)), mode="edge") for part, edge in ((cells, 3), (means, 12)))
    around = {
        (y, x): np.stack([near[:, y : y + 7, x : x + 7], far[:, y : y + 25 : 4, x : x + 25 : 4]])
        for y in range(24)
        for x in range(28)
    }
    free = {
        (y, x)
        for y, x in around
        if 3 <= y < 21 and 3 <= x < 25 and not mask[0, 0, 4 * y - 12 : 4 * y + 16, 4 * x - 12 : 4 * x + 16].any()
    }
    middle = (12, 16) if shifted else (10, 14)

    def unlike(place):
        far = (place[0] - middle[0]) ** 2 + (place[1] - middle[1]) ** 2
        return 2 * ((around[place] - around[middle]) ** 2).mean() + 5e-4 * far / 256

    best = min(free, key=unlike)
    known = 1 - mask
    means = F.avg_pool2d(image * known, 11, 1, 5) / F.avg_pool2d(known, 11, 1, 5).clamp_min(1e-9)
    detail = ((image - means) * known)[0]
    chunk = [slice(4 * cell - 8, 4 * cell + 8) for cell in middle]
    there = [slice(4 * cell - 8, 4 * cell + 8) for cell in best]
    torch.testing.assert_close(offers[0, int(shifted)][:, chunk[0], chunk[1]], detail[:, there[0], there[1]])
    inside = depth[int(shifted)][chunk[0], chunk[1]]
    assert inside[7:9, 7:9].min() == inside.max() > 0.9
    assert inside[0].max() == inside[:, -1].max() == inside.min() > 0


@pytest.mark.parametrize("size", [(16, 16), (16, 48), (64, 192), (160, 96)])
def test_what_is_under_the_mask_lends_nothing_and_what_is_known_borrows_nothing(size):
    torch.manual_seed(0)
    image, mask = torch.rand(2, 3, *size), hole(*size).expand(2, -1, -1, -1)
    start = pull_push(image, mask)
    found, _ = borrowed_details(image, start, mask)
    assert torch.equal(found, borrowed_details(torch.where(mask == 1, 1 - image, image), start, mask)[0])
    assert not found[(mask[:, None] == 0).expand_as(found)].any()
    torch.testing.assert_close(found[1:], borrowed_details(image[1:], start[1:], mask[1:])[0])
