"""What a model's medical encoder sees of an atlas and of a target, as a guide of their registration.

Its finest features say what a place is, where intensities only say how bright it is: on the level of the registration
that is as coarse as they are they find more than the images do. Of the channels those combinations are compared that
tell the atlas's structures apart best (Fisher's linear discriminants; Rao, J. Royal Statistical Society B 1948).
"""

import numpy as np
import torch

from .forces import Correspondence, FeatureForce
from .geometry import Geometry
from .networks.model import Model, standardised
from .sampling import nearest, sample
from .workgrid import WorkImage

COUNT = 8  # combinations that are compared
RIDGE = 1e-3  # of the mean variance within structures, added to all


class Features:
    """Of an `Atlas`, and of its targets. ``model``: in evaluation mode."""

    def __init__(self, model: Model, atlas, device):
        self._encoder = model.medical.to(device)
        self._frame, self._grid = atlas.frame, atlas.frame.half
        image = self._frame.atlas_image(atlas.volume, atlas.window, atlas.box, device)
        seen = self._seen(image, np.eye(4))
        self._mean, self._combine = discriminants(seen, _structures(atlas.labels, self._grid).to(device))
        self._atlas = self._combined(seen)

    @property
    def spacing(self) -> float:
        """In mm."""
        return float(self._grid.spacing[0])

    def pair(self, target: WorkImage, affine: np.ndarray) -> "Pair":
        """``affine``: (4, 4), LPS mm, target point -> atlas point."""
        return Pair(self._combined(self._seen(target, affine)), self._atlas, self._grid, affine)

    @torch.no_grad()
    def _seen(self, image, affine):
        """(channels, k, j, i) on the half grid of the frame."""
        return self._encoder.finest(standardised(self._frame.image(image, affine))[None, None])[0]

    def _combined(self, seen):
        return torch.tensordot(self._combine, seen - self._mean, 1)


class Pair:
    """The features of a target and of an atlas (c, k, j, i), both on a ``grid`` in the atlas's space."""

    def __init__(self, target: torch.Tensor, atlas: torch.Tensor, grid: Geometry, affine: np.ndarray):
        self._target, self._atlas, self._grid, self._affine = target, atlas, grid, affine

    def force(self, grid: Geometry) -> FeatureForce:
        """For displacements on a ``grid`` in the target's space."""
        to_atlas = Correspondence(grid, self._grid, self._affine, self._target.device)
        return FeatureForce(sample(self._target, to_atlas.undeformed), self._atlas, to_atlas)


def discriminants(seen: torch.Tensor, structures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean (c, 1, 1, 1) of features (c, k, j, i), and those combinations of them (n, c) that vary most between the
    ``structures`` (k, j, i) int64, 0 and above, in proportion to how they vary within each, which is by 1.

    There are `COUNT`, or one less than structures: further ones say nothing about these.
    """
    values, where = seen.flatten(1).double(), structures.flatten()
    sizes = torch.bincount(where).double()
    means = values.new_zeros(len(values), len(sizes)).index_add(1, where, values) / sizes.clamp_min(1)
    apart = values - means[:, where]
    within = apart @ apart.t() / len(where)
    within += RIDGE * within.diagonal().mean().clamp_min(1e-12) * torch.eye(len(values)).to(within)
    mean = values.mean(dim=1, keepdim=True)
    means -= mean
    between = (means * sizes) @ means.t() / len(where)
    whiten = torch.linalg.inv(torch.linalg.cholesky(within))
    _, directions = torch.linalg.eigh(whiten @ between @ whiten.t())
    combine = directions.flip(1)[:, : min(COUNT, len(sizes) - 1)].t() @ whiten
    return mean.float()[..., None, None], combine.float()


def _structures(layers, grid) -> torch.Tensor:
    """A number for each structure, or for each overlap of some, in the voxels of ``grid``: (k, j, i) int64."""
    held = np.stack([nearest(layer.array, layer.geometry, grid).ravel() for layer in layers])
    _, number = np.unique(held, axis=1, return_inverse=True)
    return torch.from_numpy(number.reshape(grid.shape))
