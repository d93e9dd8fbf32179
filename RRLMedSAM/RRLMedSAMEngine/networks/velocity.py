"""The registration network: a diffeomorphic deformation, both ways, from the medical encoder's features of a pair."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..registration import compose
from ..sampling import lattice
from .blocks import Convolution
from .sizes import Sizes

SQUARINGS = 7


class RegistrationHead(nn.Module):
    """Paired features -> stationary velocity at half the grid: (3, k/2, j/2, i/2), in that grid's voxels.

    Coarse to fine: each level adds what it sees to the velocity of the level before.
    """

    def __init__(self, sizes: Sizes):
        super().__init__()
        c = sizes.channels
        self.join = nn.ModuleList(
            Convolution(2 * width + (0 if n == 0 else c[::-1][n - 1] // 2 + 3), width // 2)
            for n, width in enumerate(c[::-1])
        )
        self.velocity = nn.ModuleList(nn.Conv3d(width // 2, 3, 3, padding=1) for width in c[::-1])
        for layer in self.velocity:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, target: list[torch.Tensor], atlas: list[torch.Tensor]) -> torch.Tensor:
        x = velocity = None
        for join, step, t, a in zip(self.join, self.velocity, target[::-1], atlas[::-1]):
            pair = [t, a]
            if x is not None:
                x, velocity = (
                    F.interpolate(y, size=t.shape[2:], mode="trilinear", align_corners=False) for y in (x, velocity)
                )
                pair += [x, velocity]
            x = join(torch.cat(pair, dim=1))
            velocity = step(x) if velocity is None else velocity + step(x)
        return velocity[0]


def integrate(velocity: torch.Tensor) -> torch.Tensor:
    """The displacement that a stationary velocity field (3, k, j, i), in voxels of its grid, leads to in unit time.

    Scaling and squaring (Arsigny et al., MICCAI 2006); the negative velocity gives the inverse.
    """
    displacement = velocity / 2**SQUARINGS
    identity = lattice(velocity.shape[1:], np.eye(4), velocity.device)
    for _ in range(SQUARINGS):
        displacement = compose(displacement, displacement, identity)
    return displacement


def to_full_grid(displacement: torch.Tensor) -> torch.Tensor:
    """(3, k, j, i) in voxels of the half grid -> (3, 2k, 2j, 2i) in voxels of the full one."""
    return 2 * F.interpolate(displacement[None], scale_factor=2, mode="trilinear", align_corners=False)[0]
