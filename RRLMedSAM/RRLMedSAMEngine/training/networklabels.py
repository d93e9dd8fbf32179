"""Pseudo labels as the paper has them: from the registration network, without instance optimisation. An ablation.

The cases begin as aligned, and no more. Once the network has learnt to register them, they are given its deformations
and the labels that these carry.
"""

from pathlib import Path

import numpy as np
import torch

from .. import confidence
from ..frame import FramedAtlas
from ..labels import LabelMap
from ..networks.model import Model
from ..networks.velocity import integrate, to_full_grid
from ..sampling import lattice, sample
from . import cases
from .pairs import factor_for, shrink

ALONE = 0.4  # share of the training in which nothing but the registration network learns


def aligned_only(paths: list[Path], atlas: FramedAtlas, folder: Path) -> list[Path]:
    """Copies of the cases in ``folder``, without what instance optimisation found; those that are there are kept."""
    folder.mkdir(exist_ok=True)
    copies = [folder / path.name for path in paths]
    for path, copy in zip(paths, copies):
        if not copy.exists():
            case = cases.load(path)
            still, sure = torch.zeros_like(case.displacement), torch.ones_like(case.trust)
            cases.save(cases.Case(case.image, still, atlas.labels.cpu(), sure, case.mean_trust), copy)
    return copies


@torch.no_grad()
def relabel(paths: list[Path], atlas: FramedAtlas, model: Model) -> None:
    """Gives each of the cases the deformation that ``model``'s registration network finds, and its labels."""
    shape, device = atlas.image.shape, atlas.image.device
    factor = factor_for(shape)
    small = shrink(atlas.image[None], factor)[0]
    voxels = lattice(shape, np.eye(4), device)
    known = LabelMap(atlas.labels)
    for path in paths:
        case = cases.load(path, device=device)
        field = to_full_grid(integrate(model.velocity(shrink(case.image[None], factor)[0], small)))
        displacement = factor * sample(field, (voxels - (factor - 1) / 2) / factor)
        there = voxels + displacement
        labels, share = known.vote(there.flatten(1))
        agreement = confidence.agreement(case.image, sample(atlas.image[None], there)[0])
        found = cases.Case(case.image, displacement, labels.view(shape), share.view(shape) * agreement, case.mean_trust)
        cases.save(found.to("cpu"), path)
