"""Optimized PixelRNN: an encoder, a recurrence for spatial memory, a PixelShuffle decoder.

`baseline` is the network of the system's description, kept as it is described. `optimized_pixelrnn` is the default: it takes a
mask or finds the occlusion itself, keeps known pixels out of its way, and carries memory across the picture by scans.
Papers: PixelRNN (van den Oord et al. 2016), ConvLSTM (Shi et al. 2015), sub-pixel convolution (Shi et al. 2016).
"""

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from .borrowing import OFFERS, borrowed_details
from .convlstm import ConvLSTMCell, ConvLSTMScan
from .layers import Block, ChannelNorm, GatedScan, pad_to_multiple, pull_push, unshuffled_conv
from .registry import Prediction, register


def _no_guide(guide: torch.Tensor | None) -> None:
    if guide is not None:
        raise ValueError("this model takes no guide: pass guide=None")


@dataclass(frozen=True)
class BaselineConfig:
    """The described network has no options."""


@register("baseline", BaselineConfig)
class Baseline(nn.Module):
    """The described network: three strided convolutions, one ConvLSTM step, three PixelShuffles; 6,643,555 parameters.

    Its flaw is part of the description: a single step from a zero state, so the hidden half of the gate convolution and the
    forget gate never get a gradient (2,949,376 parameters). It regenerates the whole picture and has no use for a mask.
    """

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 64, 5, stride=2, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 128, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, 256, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
        )
        self.convlstm = ConvLSTMCell(256, 256)
        self.decoder = nn.Sequential(
            nn.Conv2d(256, 512, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.PixelShuffle(2),
            nn.Conv2d(128, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.PixelShuffle(2),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.PixelShuffle(2),
            nn.Conv2d(32, 3, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, image: torch.Tensor, mask: torch.Tensor | None = None, guide: torch.Tensor | None = None) -> Prediction:
        """image (B, 3, H, W) in [0, 1]; `mask` changes nothing: the network was described without."""
        _no_guide(guide)
        height, width = image.shape[-2:]
        features = self.encoder(pad_to_multiple(image, 8))  # (B, 256, H/8, W/8)
        hidden, _ = self.convlstm(features)
        return Prediction(self.decoder(hidden)[..., :height, :width])


class Hourglass(nn.Module):
    """Encoder and PixelShuffle decoder over three grids, 1/4, 1/8 and 1/16 of the picture, with the recurrence on the last.

    (B, inputs, H, W) with sides that are multiples of 16 to (B, outputs, H / finest, W / finest). widths, depths: features and
    blocks per grid. kernel_size: of the first and the last convolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        scan: nn.Module,
        kernel_size: int = 3,
        finest: int = 1,
    ) -> None:
        super().__init__()
        first, second, third = widths
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(4), nn.Conv2d(16 * inputs, first, kernel_size, padding=kernel_size // 2), ChannelNorm(first)
        )
        self.encode = nn.ModuleList(self._blocks(width, depth) for width, depth in zip(widths[:2], depths[:2], strict=True))
        self.down = nn.ModuleList(nn.Conv2d(before, after, 2, stride=2) for before, after in ((first, second), (second, third)))
        half = depths[2] // 2
        self.bottom = nn.Sequential(self._blocks(third, half), scan, self._blocks(third, depths[2] - half))
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, 4 * after, 1), nn.PixelShuffle(2))
            for before, after in ((third, second), (second, first))
        )
        self.decode = nn.ModuleList(self._blocks(width, depth) for width, depth in ((second, depths[1]), (first, depths[0])))
        grain = 4 // finest
        last = nn.Conv2d(first, grain**2 * outputs, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(ChannelNorm(first), last, nn.PixelShuffle(grain))

    @staticmethod
    def _blocks(channels: int, depth: int) -> nn.Sequential:
        return nn.Sequential(*(Block(channels) for _ in range(depth)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, conv, norm = self.stem
        x = norm(unshuffled_conv(x, conv.weight, conv.bias, 4))  # type: ignore[arg-type]
        quarter = self.encode[0](x)  # (B, first, H/4, W/4)
        eighth = self.encode[1](self.down[0](quarter))  # (B, second, H/8, W/8)
        x = self.bottom(self.down[1](eighth))  # (B, third, H/16, W/16)
        x = self.decode[0](self.up[0](x) + eighth)
        x = self.decode[1](self.up[1](x) + quarter)
        return self.head(x)  # (B, outputs, H / finest, W / finest)


class Detector(nn.Module):
    """Sees an occlusion: an hourglass says roughly where, two convolutions at half the resolution find its edge to the pixel.

    (B, 3, H, W) in [0, 1] with sides that are multiples of 16 to logits (B, 1, H, W), above 0 where more likely covered.
    """

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
        super().__init__()
        self.rough = Hourglass(5, 8, widths, depths, nn.Identity(), kernel_size=1, finest=2)
        self.edge = nn.Sequential(
            nn.Conv2d(8 + 4 * 5, 16, 3, padding=1), nn.GELU(), nn.Conv2d(16, 4, 3, padding=1), nn.PixelShuffle(2)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.cat([image, steepness(image)], dim=1)  # (B, 5, H, W)
        conv, *rest = self.edge
        weight: torch.Tensor = conv.weight  # type: ignore[assignment]
        # the convolution over the concatenation of both, in two parts
        fine = unshuffled_conv(x, weight[:, 8:], None, 2)
        logits: torch.Tensor = fine + F.conv2d(self.rough(x), weight[:, :8], conv.bias, padding=1)  # type: ignore[arg-type]
        for layer in rest:
            logits = layer(logits)
        return logits


@dataclass(frozen=True)
class OptimizedPixelRNNConfig:
    """widths, depths: features and blocks on the grids of 1/4, 1/8 and 1/16, of the network that fills and of the one that
    detects. scan: the recurrence amid the blocks of the last grid, "convlstm", "lstm", "gru" or "none"; scan_hidden: its
    features. smooth_start: begin from a smooth fill and learn what is missing from it, else from black and learn all of it.
    borrow: add fine detail from elsewhere in the picture, as much as a third hourglass says, of blend_widths and blend_depths.
    """

    widths: tuple[int, ...] = (48, 96, 192)
    depths: tuple[int, ...] = (2, 2, 6)
    detector_widths: tuple[int, ...] = (24, 48, 64)
    detector_depths: tuple[int, ...] = (1, 1, 2)
    scan: str = "gru"
    scan_hidden: int = 64
    smooth_start: bool = True
    borrow: bool = field(default=False, metadata={"before": False})
    blend_widths: tuple[int, ...] = field(default=(24, 48, 64), metadata={"before": (24, 48, 64)})
    blend_depths: tuple[int, ...] = field(default=(1, 1, 2), metadata={"before": (1, 1, 2)})


def _begin_at_nothing(part: Hourglass) -> None:
    """Let its outputs begin near 0."""
    for layer in part.head:
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.normal_(layer.weight, std=1e-3)
            nn.init.zeros_(layer.bias)


def steepness(image: torch.Tensor) -> torch.Tensor:
    """How much each pixel differs from the next to its right and below, the largest of the channels: (B, 3, H, W) in [0, 1] to
    (B, 2, H, W) in [0, 1], logarithmic, with 0 for equal ones and 1/8 for one grey level.

    What people paint is often exactly flat, which no photograph is for long; a linear filter hardly sees so small a difference.
    """
    right = F.pad(image[..., :, 1:] - image[..., :, :-1], (0, 1))
    below = F.pad(image[..., 1:, :] - image[..., :-1, :], (0, 0, 0, 1))
    return torch.cat([torch.log2(1 + 255 * step.abs().amax(dim=1, keepdim=True)) / 8 for step in (right, below)], dim=1)


def occlusion(mask_logits: torch.Tensor) -> torch.Tensor:
    """What a detector sees (B, 1, H, W) as a mask in {0, 1}, grown by 2 px: compression leaves a ring of the painted colour."""
    return F.max_pool2d((mask_logits > 0).to(mask_logits.dtype), 5, stride=1, padding=2)


@register("optimized_pixelrnn", OptimizedPixelRNNConfig)
class OptimizedPixelRNN(nn.Module):
    """The default network. One hourglass sees the occlusion, another fills it from the known pixels around."""

    def __init__(self, config: OptimizedPixelRNNConfig) -> None:
        super().__init__()
        self.config = config
        # from RGB, the mask, and the mask again where a guide fills it; to RGB and the log standard deviation of its error
        self.filler = Hourglass(5, 4, config.widths, config.depths, self._scan(config.widths[2]))
        self.detector = Detector(config.detector_widths, config.detector_depths)
        if config.smooth_start:
            _begin_at_nothing(self.filler)  # an untrained network leaves the smooth fill as it is
        if config.borrow:
            # from RGB completed, the mask and the detail on offer; to how likely each offer belongs there, and how much of it
            self.blend = Hourglass(
                4 + 3 * len(OFFERS), len(OFFERS) + 1, config.blend_widths, config.blend_depths, nn.Identity()
            )
            _begin_at_nothing(self.blend)

    def detect(self, image: torch.Tensor) -> torch.Tensor:
        """The occlusion alone, at a fifth of the cost: image (B, 3, H, W) in [0, 1] to mask_logits (B, 1, H, W)."""
        height, width = image.shape[-2:]
        image = pad_to_multiple(image, 16)
        logits: torch.Tensor = self.detector(image)
        return logits[..., :height, :width]

    def _scan(self, channels: int) -> nn.Module:
        scan, hidden = self.config.scan, self.config.scan_hidden
        if scan in ("gru", "lstm"):
            return GatedScan(channels, hidden, nn.GRU if scan == "gru" else nn.LSTM)
        if scan == "convlstm":
            return ConvLSTMScan(channels, hidden)
        if scan == "none":
            return nn.Identity()
        raise ValueError(f"scan must be 'convlstm', 'lstm', 'gru' or 'none', got {scan!r}")

    def fill(
        self,
        image: torch.Tensor,
        mask: torch.Tensor,
        guide: torch.Tensor | None = None,
        guided: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The completion alone: image, mask and guide as in forward to image (B, 3, H, W) and log_std (B, 1, H, W) of it.

        guided: bool (B,), which pictures of the batch the guide is meant for; all of them by default.
        """
        mean, detail, log_std = self.parts(image, mask, guide, guided)
        return (mean + detail).clamp(0, 1), log_std

    def parts(
        self,
        image: torch.Tensor,
        mask: torch.Tensor,
        guide: torch.Tensor | None = None,
        guided: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What `fill` is made of: the mean (B, 3, H, W), not clamped, so that in training a pixel that went too far feels the
        way back; the detail that is added to it (B, 3, H, W), 0 unless the config has `borrow`; and log_std."""
        height, width = image.shape[-2:]
        image, mask = pad_to_multiple(image, 16), pad_to_multiple(mask, 16)
        start, told = image * (1 - mask), torch.zeros_like(mask)
        if self.config.smooth_start and (guide is None or guided is not None):
            start = pull_push(image, mask)
        if guide is not None:
            told = mask if guided is None else mask * guided.to(mask.dtype).view(-1, 1, 1, 1)
            # the guide covers the picture, not its padding
            coarse = F.interpolate(guide, size=(height, width), mode="bilinear", align_corners=False)
            start = start * (1 - told) + pad_to_multiple(coarse, 16) * told
        # an eighth: Adam moves all weights of the last layer at once, by far too much for a picture in [0, 1]
        filled = self.filler(torch.cat([start, mask, told], dim=1)) / 8
        mean = start + filled[:, :3] if self.config.smooth_start else torch.sigmoid(filled[:, :3])
        detail = self._detail(image, mean.detach().clamp(0, 1), mask) if self.config.borrow else mean.new_zeros(1, 1, 1, 1)
        # the deviation is bounded to [e^-6, 1]: nothing in [0, 1] is further off, and the loss stays finite
        log_std = -6 * torch.sigmoid(filled[:, 3:4])
        return mean[..., :height, :width], detail[..., :height, :width], log_std[..., :height, :width]

    def _detail(self, image: torch.Tensor, mean: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What of the detail on offer stays, (B, 3, H, W); fresh weights take each pixel from the chunk it is deepest in."""
        completed = torch.where(mask > 0, mean, image)
        offers, depth = borrowed_details(image, completed, mask)
        # detail is a few hundredths as a rule
        told = self.blend(torch.cat([completed, mask, 8 * offers.flatten(1, 2)], dim=1))
        share = torch.softmax(told[:, :-1] + 8 * depth.log(), dim=1)  # (B, OFFERS, H, W)
        return 2 * torch.sigmoid(told[:, -1:]) * (share[:, :, None] * offers).sum(dim=1)

    def forward(self, image: torch.Tensor, mask: torch.Tensor | None = None, guide: torch.Tensor | None = None) -> Prediction:
        """image (B, 3, H, W) in [0, 1]; mask (B, 1, H, W) in {0, 1}, 1 where missing; without it, what the detector sees,
        which is not asked where there is one.

        guide (B, 3, h, w) in [0, 1], any size, best 32 to 64 a side: the whole picture, coarsely. What it shows where the
        picture is missing is taken as what belongs there; the rest of it is not looked at.
        """
        mask_logits = None
        if mask is None:
            mask_logits = self.detect(image)
            mask = occlusion(mask_logits)
        picture, log_std = self.fill(image, mask, guide)
        return Prediction(picture, mask_logits, log_std)
