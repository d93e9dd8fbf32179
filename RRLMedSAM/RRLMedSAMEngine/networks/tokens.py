"""One token a structure, made from image features under its mask."""

import torch
import torch.nn.functional as F
from torch import nn

from .blocks import perceptron
from .sizes import Sizes

LEVELS = 3  # of the encoder that a token looks at: 1/2, 1/4, 1/8 of the grid


def masked_means(features: list[torch.Tensor], masks: torch.Tensor, count: int) -> torch.Tensor:
    """Mean features of each structure: (count, sum of the levels' channels).

    ``features``: the encoder's, of one image. ``masks``: (k, j, i) int64, structure of each voxel of the full grid,
    0 .. count - 1. A structure that no voxel belongs to gets zeros.
    """
    columns = []
    for level, feature in enumerate(features[:LEVELS]):
        step = 2 ** (level + 1)
        centres = [
            (torch.arange(n, device=masks.device) * step + step // 2).clamp_max(size - 1)
            for n, size in zip(feature.shape[2:], masks.shape)
        ]
        at = masks[torch.meshgrid(*centres, indexing="ij")].flatten()
        flat = feature[0].flatten(1).t().float()  # in half precision large sums would stop growing
        total = flat.new_zeros(count, flat.shape[1]).index_add(0, at, flat)
        number = torch.bincount(at, minlength=count).clamp_min(1)
        columns.append(total / number[:, None])
    return torch.cat(columns, dim=1)


class Tokens(nn.Module):
    """(structures, features) of atlas and target -> (structures, token)."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        width = sum(sizes.channels[:LEVELS])
        self.atlas, self.target = nn.LayerNorm(width), nn.LayerNorm(width)
        self.join = perceptron(2 * width, 2 * sizes.token, sizes.token)

    def forward(self, atlas: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(self.join(torch.cat([self.atlas(atlas), self.target(target)], dim=1)), (self.width,))

    @property
    def width(self) -> int:
        return self.join[-1].out_features
