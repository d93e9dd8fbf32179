"""What pulls a deformation: the directions in which an atlas comes to fit a target better."""

import numpy as np
import torch

from . import filters
from .geometry import Geometry
from .sampling import lattice, sample
from .similarity import LocalCorrelation
from .workgrid import WorkImage

EDGE_WEIGHT = 1.0  # of the gradient magnitudes' part: 0.002 to 0.003 Dice better than 0.5 on both data sets
PROMPT_WEIGHT = 1.0  # of a corrected structure's mask: as much as the image


class Correspondence:
    """Where a deformation of a target's grid takes its voxels to, on one of the atlas's grids.

    ``affine``: (4, 4), LPS mm, target point -> atlas point.
    """

    def __init__(self, grid: Geometry, atlas_grid: Geometry, affine: np.ndarray, device):
        to_atlas = atlas_grid.lps_to_voxel @ affine @ grid.voxel_to_lps
        self._linear = torch.tensor(to_atlas[:3, :3], dtype=torch.float32, device=device)
        self.undeformed = lattice(grid.shape, to_atlas, device)

    def at(self, displacement: torch.Tensor) -> torch.Tensor:
        """``displacement``: (3, k, j, i) in voxels of the target's grid, before the affine map. (3, k, j, i)."""
        return torch.tensordot(self._linear, displacement, 1).add_(self.undeformed)


class ImageForce:
    """Increases the squared LNCC of the intensities, and that of the gradient magnitudes.

    ``width`` of the windows in voxels. ``prompts``: pairs of further images, on the target's and on the atlas's grid,
    that shall match as well. Each part weighs the same whatever its contrast.
    """

    def __init__(self, target: WorkImage, atlas: WorkImage, affine: np.ndarray, width: int, prompts=()):
        self._to_atlas = Correspondence(target.grid, atlas.grid, affine, target.image.device)
        images = (atlas.image, filters.gradient_magnitude(atlas.image), *(image for _, image in prompts))
        self._atlas = torch.stack(images)
        weight = relevant(target, atlas, self._to_atlas.undeformed)
        self._terms = (
            (LocalCorrelation(target.image, width, weight), 1.0),
            (LocalCorrelation(filters.gradient_magnitude(target.image), width, weight), EDGE_WEIGHT),
            *((LocalCorrelation(image, width, weight), PROMPT_WEIGHT) for image, _ in prompts),
        )

    def __call__(self, displacement: torch.Tensor) -> torch.Tensor:
        """The direction (3, k, j, i) of steepest ascent, for an update that is composed."""
        direction = None
        for (similarity, share), image in zip(self._terms, sample(self._atlas, self._to_atlas.at(displacement))):
            force = filters.gradient(image).mul_(similarity.gradient(image)[1])
            force *= share / filters.length(force).mean().clamp_min(1e-12)
            direction = force if direction is None else direction.add_(force)
        return direction


class FeatureForce:
    """Decreases the sum of squared differences of features.

    ``target``: (c, k, j, i) on the target's grid; ``weight``: (k, j, i), how much its voxels count. ``atlas``: (c, ...)
    on the atlas's; ``to_atlas`` is between the two. What the affine map alone brings outside of the atlas's grid is not
    pulled.
    """

    def __init__(self, target: torch.Tensor, atlas: torch.Tensor, to_atlas: Correspondence, weight: torch.Tensor):
        self._target, self._atlas, self._to_atlas = target, atlas, to_atlas
        last = torch.tensor(atlas.shape[:0:-1], device=atlas.device).view(3, 1, 1, 1) - 1
        inside = ((to_atlas.undeformed >= 0) & (to_atlas.undeformed <= last)).all(dim=0)
        self._weight = weight * inside

    def __call__(self, displacement: torch.Tensor) -> torch.Tensor:
        """The direction (3, k, j, i) of steepest descent, for an update that is composed."""
        warped = sample(self._atlas, self._to_atlas.at(displacement))
        direction = torch.zeros_like(displacement)
        for feature, wanted in zip(warped, self._target):  # one by one: the gradients of all take three times the room
            direction.addcmul_(filters.gradient(feature), wanted - feature)
        return direction.mul_(self._weight)


def relevant(target, atlas, undeformed):
    """How much each window counts: 1 near the anatomy of either image, 0 in the air and outside the atlas."""
    anatomy = sample(atlas.foreground[None].to(torch.float32), undeformed, padding="zeros")[0]
    anatomy = torch.maximum(anatomy, target.foreground.to(torch.float32))
    size = torch.tensor(atlas.grid.size_ijk.copy(), device=undeformed.device).view(3, 1, 1, 1)
    inside = ((undeformed > -1) & (undeformed < size)).all(dim=0)
    return ((filters.gaussian(anatomy, 1.0) > 0.05) & inside).to(torch.float32)
