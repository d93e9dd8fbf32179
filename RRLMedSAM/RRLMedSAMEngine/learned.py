"""A trained model made ready for one atlas: the start it gives a registration, and its votes on the labels."""

import numpy as np
import torch

from . import inference, intensity, workgrid
from .frame import frame_atlas, make_frame, numbered
from .geometry import Geometry
from .networks.model import Model
from .networks.velocity import integrate, to_full_grid
from .prior import make_prior
from .sampling import lattice, nearest, sample
from .training.pairs import factor_for, shrink


class Learned:
    """``model``: in evaluation mode, and its ``card``."""

    def __init__(self, model: Model, card, atlas, atlas_labels, device):
        self._model = model.to(device)
        self.card = card
        window = intensity.find_window(atlas.array, "atlas")
        box = workgrid.anatomy_box(atlas, window)
        self.frame = make_frame(atlas_labels, float(atlas.geometry.spacing.min()))
        image = workgrid.to_work_grid(atlas, window, self.frame.spacing, box, device)
        self.layers = [frame_atlas(self.frame, image, labels) for labels in atlas_labels]
        self._described = [inference.describe(model, a.image, a.labels, a.count) for a in self.layers]

    @torch.no_grad()
    def start(self, target: workgrid.WorkImage, affine: np.ndarray) -> torch.Tensor:
        """The registration network's displacement: (3, k, j, i) in voxels of the target's work grid.

        ``affine``: (4, 4), LPS mm, target point -> atlas point; it comes after the displacement.
        """
        image, atlas = self.frame.image(target, affine), self.layers[0].image
        factor = factor_for(image.shape)
        velocity = self._model.velocity(shrink(image[None], factor)[0], shrink(atlas[None], factor)[0])
        field = to_full_grid(integrate(velocity)) * factor
        to_frame = self.frame.grid.lps_to_voxel @ affine @ target.grid.voxel_to_lps
        at = lattice(target.grid.shape, to_frame, field.device)
        moved = sample(field, (at - (factor - 1) / 2) / factor, padding="zeros")
        return torch.tensordot(torch.tensor(np.linalg.inv(to_frame)[:3, :3], dtype=torch.float32), moved, 1)

    def masks(self, found, maps, geometry: Geometry, check) -> list[inference.Votes]:
        """The model's masks of a registered target, one for each layer of the atlas, as votes on its labels.

        ``found``: `Registered`; ``maps``: the layers' labels on the target's ``geometry``, which the model refines.
        The votes are asked for in voxels of the deformation's grid.
        """
        affine = found.deformation.affine
        image = self.frame.image(found.target, affine)
        seen_from = self.frame.seen_from(affine)
        to_frame = seen_from.lps_to_voxel @ found.deformation.grid.voxel_to_lps
        votes = []
        for atlas, described, labels in zip(self.layers, self._described, maps):
            here = nearest(labels, geometry, seen_from)
            prior = make_prior(numbered(here, atlas.values).to(image.device), atlas.count)
            refined, _ = inference.predict(self._model, image, described, prior, check)
            votes.append(inference.Votes(refined, atlas.values, to_frame))
        return votes
