"""The lightweight image encoder: one architecture for the general and the medical-specific one.

3 % of the parameters of SAM-Base's encoder. A space-to-depth stem instead of convolutions at full resolution: a
training step takes a third of the time, and the decoders get the full resolution back from the image itself.
"""

import torch
from torch import nn

from .blocks import Convolution, space_to_depth
from .sizes import Sizes


class Encoder(nn.Module):
    """(b, 1, k, j, i) -> features at 1/2, 1/4, 1/8 and 1/16 of the grid; k, j, i are even."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        inputs = (8, *sizes.channels[:-1])
        self.levels = nn.ModuleList(
            nn.Sequential(Convolution(before, after, 1 if level == 0 else 2), Convolution(after, after))
            for level, (before, after) in enumerate(zip(inputs, sizes.channels))
        )

    def finest(self, image: torch.Tensor) -> torch.Tensor:
        """The features at 1/2 of the grid alone."""
        return self.levels[0](space_to_depth(image))

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        x = space_to_depth(image)
        features = []
        for level in self.levels:
            x = level(x)
            features.append(x)
        return features


def parameter_count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
