"""The general encoder's features, projected to a SAM teacher's width and place."""

import torch
import torch.nn.functional as F
from torch import nn

from ..sampling import sample
from .blocks import perceptron
from .sizes import Sizes

FIRST, GRID = 1, 4  # features from 1/4 of the grid downwards: a teacher's cell spans about as much


class TeacherProjection(nn.Module):
    """One projection for slices across each axis (0: k, 1: j, 2: i): a teacher sees each orientation by itself.

    Of two layers: after 200 steps the cosine similarity is 0.72 with them, and 0.66 with a linear one.
    """

    def __init__(self, sizes: Sizes):
        super().__init__()
        width = 2 * sizes.channels[FIRST]
        self.gather = nn.ModuleList(nn.Conv3d(c, width, 1) for c in sizes.channels[FIRST:])
        self.project = nn.ModuleList(perceptron(width, sizes.teacher, sizes.teacher) for _ in range(3))

    def forward(self, features: list[torch.Tensor], axis: int, voxels: torch.Tensor) -> torch.Tensor:
        """``features``: the encoder's, of one image. ``voxels``: (3, n), (i, j, k) of the full grid, on a slice across
        ``axis``. Returns (n, teacher)."""
        shape = features[FIRST].shape[2:]
        total = 0
        for gather, feature in zip(self.gather, features[FIRST:]):
            total = total + F.interpolate(gather(feature), size=shape, mode="nearest")
        here = sample(F.gelu(total[0]).float(), (voxels - (GRID - 1) / 2) / GRID)
        return self.project[axis](here.t())
