"""Pairs of scan and atlas, on the grid of the registration network."""

import dataclasses

import torch
import torch.nn.functional as F

from ..frame import FramedAtlas
from . import appearance
from .cases import load

MOST_VOXELS = 8e5  # of the grid on which the registration network works: its field need not be finer
MULTIPLE = 2


@dataclasses.dataclass
class Pair:
    """Both images (k, j, i), about 0..1, and the displacement (3, k, j, i), voxels, that instance optimisation
    found."""

    target: torch.Tensor
    atlas: torch.Tensor
    displacement: torch.Tensor


def factor_for(shape) -> int:
    """How many voxels of the frame ``shape`` (k, j, i) a voxel of the registration network's grid spans."""
    factor = 1
    while shape[0] * shape[1] * shape[2] / factor**3 > MOST_VOXELS:
        factor += 1
    return factor


def shrink(volume: torch.Tensor, factor: int) -> torch.Tensor:
    """(c, k, j, i) averaged over ``factor`` voxels and continued to even numbers."""
    small = F.avg_pool3d(volume[None], factor, ceil_mode=True, count_include_pad=False)
    extra = [n for size in reversed(small.shape[2:]) for n in (0, -size % MULTIPLE)]
    return F.pad(small, extra, mode="replicate")[0]


class PairSampler:
    def __init__(self, atlas: FramedAtlas, cases, random: torch.Generator):
        self.factor = factor_for(atlas.image.shape)
        self.atlas, self.cases, self.random = shrink(atlas.image[None], self.factor)[0], cases, random

    def draw(self) -> Pair:
        path = self.cases[int(torch.randint(len(self.cases), (), generator=self.random))]
        case = load(path, device=self.atlas.device)
        target = shrink(appearance.vary(case.image, self.random)[None], self.factor)[0]
        return Pair(target, self.atlas, shrink(case.displacement, self.factor) / self.factor)
