"""What a model's medical encoder sees of an atlas and of a target, as a guide of their registration.

Its finest features say what a place is, where intensities only say how bright it is: on the level of the registration
that is as coarse as they are they find more than the images do. Of the channels those combinations are compared that
tell the atlas's structures apart best (Fisher's linear discriminants; Rao, J. Royal Statistical Society B 1948).
"""

import numpy as np
import torch

from .forces import Correspondence, FeatureForce, relevant
from .geometry import Geometry
from .networks.model import Model, standardised
from .sampling import nearest, sample
from .workgrid import WorkImage

COUNT = 8  # combinations that are compared
FEWEST = 8  # structures: those of a hippocampus, two, give two combinations, which say less than the images
RIDGE = 1e-3  # of the mean variance within structures, added to all


class Features:
    """Of an `Atlas`, and of its targets. ``model``: in evaluation mode."""

    def __init__(self, model: Model, atlas, device):
        self._encoder = model.medical.to(device)
        self._frame, self._grid = atlas.frame, atlas.frame.half
        self._image = atlas.framed(device)[0].image
        seen = self._seen(self._image)
        self._mean, self._combine = discriminants(seen, _structures(atlas.labels, self._grid).to(device))
        self._atlas = self._combined(seen)

    def pair(self, target: WorkImage, affine: np.ndarray) -> "Pair":
        """``affine``: (4, 4), LPS mm, target point -> atlas point."""
        return Pair(
            self._combined(self._seen(self._frame.image(target, affine, self._image))), self._atlas, self._grid, affine
        )

    @torch.no_grad()
    def _seen(self, image):
        """(channels, k, j, i) on the half grid of the frame."""
        return self._encoder.finest(standardised(image)[None, None])[0]

    def _combined(self, seen):
        return torch.tensordot(self._combine, seen - self._mean, 1)


class Pair:
    """The features of a target and of an atlas (c, k, j, i), both on a ``grid`` in the atlas's space."""

    def __init__(self, target: torch.Tensor, atlas: torch.Tensor, grid: Geometry, affine: np.ndarray):
        self._target, self._atlas, self._grid, self._affine = target, atlas, grid, affine

    def force(self, target: WorkImage, atlas: WorkImage) -> FeatureForce:
        """For displacements on the target's grid. The images say where there is anatomy."""
        device = self._target.device
        to_features = Correspondence(target.grid, self._grid, self._affine, device)
        to_atlas = Correspondence(target.grid, atlas.grid, self._affine, device)
        weight = relevant(target, atlas, to_atlas.undeformed)
        return FeatureForce(sample(self._target, to_features.undeformed), self._atlas, to_features, weight)


def guide_well(structures: int) -> bool:
    """Whether the features of an atlas with so many structures find more than the images."""
    return structures >= FEWEST


def discriminants(seen: torch.Tensor, structures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean (c, 1, 1, 1) of features (c, k, j, i), and those combinations of them (n, c) that vary most between the
    ``structures`` (k, j, i) int64, 0 and above, in proportion to how they vary within each, which is by 1.

    There are `COUNT`, or one less than structures, as further ones say nothing about these; but one at least.
    """
    where = structures.flatten()
    sizes = torch.bincount(where).double()
    mean = seen.mean(dim=(1, 2, 3), keepdim=True)
    values = (seen - mean).flatten(1)
    sums = torch.stack([torch.bincount(where, row.double(), len(sizes)) for row in values])
    # On the processor: so small an algebra is nothing for a graphics card, whose libraries for it want memory.
    total, sums, sizes = (held.double().cpu() / len(where) for held in (values @ values.t(), sums, sizes))
    between = (sums / sizes.clamp_min(1e-12)) @ sums.t()
    within = total - between
    within += RIDGE * within.diagonal().mean().clamp_min(1e-12) * torch.eye(len(within), dtype=within.dtype)
    whiten = torch.linalg.inv(torch.linalg.cholesky(within))
    _, directions = torch.linalg.eigh(whiten @ between @ whiten.t())
    count = max(min(COUNT, len(sizes) - 1), 1)
    return mean, (directions.flip(1)[:, :count].t() @ whiten).to(seen)


def _structures(layers, grid) -> torch.Tensor:
    """A number for each structure, or for each overlap of some, in the voxels of ``grid``: (k, j, i) int64."""
    held = np.stack([nearest(layer.array, layer.geometry, grid).ravel() for layer in layers])
    _, number = np.unique(held, axis=1, return_inverse=True)
    return torch.from_numpy(number.reshape(grid.shape))
