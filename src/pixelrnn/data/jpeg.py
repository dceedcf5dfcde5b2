"""JPEG's losses for a batch of images on any device: colour conversion, halved chroma, quantised cosine transforms (T.81).

The entropy coding, which is lossless, is left out. The tables and their scaling by quality are those of libjpeg, which Pillow
uses: T.81, annex K, tables K.1 and K.2.
"""

import math
from functools import cache

import torch
from torch.nn import functional as F

CELL = 16  # pixels a side that are coded together: two 8 x 8 blocks of luma a side, and one of chroma
# fmt: off
LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)
CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    *(99,) * 32,
)
# fmt: on
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


@cache
def _constants(device: torch.device) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """Return the cosine transform (8, 8), the colour transform (3, 3), and the two tables (8, 8) for quality 50."""
    place = 2 * torch.arange(8) + 1
    rows = [torch.cos(place * k * math.pi / 16) * (math.sqrt(1 / 8) if k == 0 else 0.5) for k in range(8)]
    tables = [torch.tensor(table, dtype=torch.float32, device=device).view(8, 8) for table in (LUMA, CHROMA)]
    return torch.stack(rows).to(device), torch.tensor(TO_YCC, device=device), (tables[0], tables[1])


def compress(image: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """Compress images as Pillow's JPEG with 4:2:0 does, except for rounding.

    Args:
        image: (B, 3, H, W) in [0, 1].
        quality: (B,) in [1, 100].

    Returns:
        (B, 3, H, W) in [0, 1], float32.
    """
    height, width = image.shape[-2:]
    transform, to_ycc, tables = _constants(image.device)
    levels = (255 * image.float()).round()
    x = torch.einsum("ij,bjhw->bihw", to_ycc, F.pad(levels, (0, -width % CELL, 0, -height % CELL), mode="replicate"))
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).floor().view(-1, 1, 1)
    planes = []
    for plane, table in zip((x[:, :1] - 128, F.avg_pool2d(x[:, 1:], 2)), tables, strict=True):
        step = ((table * scale + 50) / 100).floor().clamp(1, 255)[:, None, None, None]  # (B, 1, 1, 1, 8, 8)
        batch, channels, h, w = plane.shape
        cells = plane.view(batch, channels, h // 8, 8, w // 8, 8).permute(0, 1, 2, 4, 3, 5)
        cells = transform.T @ ((transform @ cells @ transform.T / step).round() * step) @ transform
        planes.append(cells.permute(0, 1, 2, 4, 3, 5).reshape(batch, channels, h, w))
    chroma = F.interpolate(planes[1], scale_factor=2, mode="bilinear", align_corners=False)
    levels = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(to_ycc), torch.cat([planes[0] + 128, chroma], dim=1))
    return (levels.round().clamp(0, 255) / 255)[..., :height, :width]
