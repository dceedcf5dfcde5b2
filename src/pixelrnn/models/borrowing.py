"""Fine detail that a completion borrows from elsewhere in its picture."""

import torch
from torch.nn import functional as F

CELL = 4  # pixels a side, of what places to borrow from are compared by
CHUNK = 4  # cells a side, of what is borrowed in one piece
AROUND = 7  # cells a side, of what is compared; and means of 5 x 5 cells, so many a side, four cells apart
FAR = 5e-4  # squared difference of colours that a place 64 pixels away is worth
# Whether places to borrow from are blurred before they are compared, and whether chunks begin half a chunk earlier. A
# completion is blurred, so nothing rough is quite like it; what is like it unblurred is smoother, and rarely wrong.
OFFERS = ((False, False), (False, True), (True, False), (True, True))


def borrowed_details(
    image: torch.Tensor, completed: torch.Tensor, mask: torch.Tensor, window: int = 11
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fine detail for the hole from elsewhere in the picture, four offers of it.

    image and `completed`, the same with its hole filled (B, 3, H, W) in [0, 1], mask (B, 1, H, W), 1 where missing, sides
    multiples of 16, to (B, 4, 3, H, W), 0 where known, and how far each pixel is from the border of its chunk, (4, H, W) in
    (0, 1).

    Detail is what a known pixel differs by from the mean of the known ones within `window` pixels, odd, around it. It comes in
    chunks of 16 x 16 pixels, so that lines and weaves stay whole, each from the place whose surroundings of 28 x 28 pixels and,
    more coarsely, of 116 x 116 have the colours most like those of the completed picture around the chunk; of two as like, the
    nearer one. The wide view lets neighbouring chunks come from neighbouring places. Texture from patches of the picture
    itself is that of "Image Quilting" (Efros and Freeman 2001). What lies under the mask changes nothing.
    """
    known = 1 - mask
    colour, weight = (_means(part, window) for part in (image * known, known))
    detail = (image - colour / weight.clamp_min(1e-6)) * known
    missing = F.avg_pool2d(mask, CELL)
    sharp = F.avg_pool2d(completed, CELL)  # (B, 3, h, w)
    blurred = F.avg_pool2d(sharp, 3, 1, 1, count_include_pad=False)
    plain = _surroundings(sharp)
    # what is missing is blurred by itself
    compared = {False: (plain, plain), True: (_surroundings(torch.where(missing > 0, sharp, blurred)), _surroundings(blurred))}
    each = torch.arange(image.shape[0], device=image.device)[:, None, None]
    offers, inside = [], []
    for smooth, shifted in OFFERS:
        rows, columns, depth = _places(*compared[smooth], missing, shifted)
        offers.append(detail[each, :, rows, columns].permute(0, 3, 1, 2))
        inside.append(depth)
    return torch.stack(offers, dim=1) * mask[:, None], torch.stack(inside)


def _means(x: torch.Tensor, window: int) -> torch.Tensor:
    """Means over window x window, zeros around: (B, C, H, W) to the same; by rows, then by columns, which takes a third."""
    return F.avg_pool2d(F.avg_pool2d(x, (1, window), 1, (0, window // 2)), (window, 1), 1, (window // 2, 0))


def _places(
    wanted: torch.Tensor, found: torch.Tensor, missing: torch.Tensor, shifted: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For each pixel the row and the column (B, H, W) it borrows from, and how far it is from the border of its chunk (H, W).

    wanted, found: what _surroundings says of the cells to find something like, and of those to find it in; missing
    (B, 1, h, w): how much of each cell is.
    """
    batch, _, height, width = missing.shape
    device = missing.device
    middles = [_middles(side, shifted, device) for side in (height, width)]
    wanted = wanted.view(batch, -1, height, width)[:, :, middles[0][:, None], middles[1]].flatten(2)
    reach = CHUNK // 2 + 1  # cells, of the chunk and of the means that its detail is taken from
    taken = F.max_pool2d(F.pad(missing, [reach] * 4, value=1.0), 2 * reach + 1, 1)
    rows, columns = (torch.arange(side, device=device) for side in (height, width))
    far = (rows - middles[0][:, None]).square()[:, None, :, None] + (columns - middles[1][:, None]).square()[:, None, :]
    # the mean squared differences, near plus far, less what all places have in common
    cost = 2 * found.square().mean(dim=1, keepdim=True) + 10 * taken.view(batch, 1, -1)
    cost = cost + FAR / 16**2 * far.reshape(-1, height * width).to(cost.dtype)
    cost = torch.baddbmm(cost, wanted.transpose(1, 2), found, alpha=-4 / found.shape[1])
    best = cost.argmin(dim=2).view(batch, middles[0].shape[0], middles[1].shape[0])
    down = (best.div(width, rounding_mode="floor") - middles[0][:, None]) * CELL
    right = (best % width - middles[1]) * CELL
    pixels, depths = [], []
    for moved, side, dim in ((down, height, 1), (right, width, 2)):
        for each, length in ((1, height), (2, width)):
            moved = moved.repeat_interleave(CHUNK * CELL, dim=each).narrow(each, CHUNK * CELL // 2 * shifted, length * CELL)
        place = torch.arange(side * CELL, device=device)
        pixels.append((place.view(-1, *[1] * (2 - dim)) + moved).clamp(0, side * CELL - 1))
        along = (place + CHUNK * CELL // 2 * shifted) % (CHUNK * CELL) + 0.5
        depths.append(1 - (2 * along / (CHUNK * CELL) - 1).abs())
    return pixels[0], pixels[1], torch.minimum(depths[0][:, None], depths[1])


def _surroundings(cells: torch.Tensor) -> torch.Tensor:
    """What is around each cell of (B, 3, h, w), near and far: (B, 6 AROUND^2, h w)."""
    near = F.unfold(F.pad(cells, [AROUND // 2] * 4, mode="replicate"), AROUND)
    means = F.pad(F.avg_pool2d(cells, 5, 1, 2, count_include_pad=False), [4 * (AROUND // 2)] * 4, mode="replicate")
    return torch.cat([near, F.unfold(means, AROUND, dilation=4)], dim=1)


def _middles(side: int, shifted: bool, device: torch.device) -> torch.Tensor:
    """The cells, of `side` in a row, that chunks have in their middle."""
    return (torch.arange(CHUNK // 2 * (not shifted), side + 1, CHUNK, device=device)).clamp(max=side - 1)
