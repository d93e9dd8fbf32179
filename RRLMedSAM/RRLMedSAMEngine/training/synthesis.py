"""Training samples without a scan: images made from label maps, of no modality and of all.

Each structure gets an intensity at random, then the image a bias field, blur and noise (as in Billot et al., SynthSeg,
Medical Image Analysis 2023, and Hoffmann et al., SynthMorph, IEEE TMI 2022). Half of the label maps are real anatomy,
half are random shapes, so that nothing is learnt of one organ alone. An atlas and a target are made of one map, the
target's deformed by a known field: labels, deformation and registration errors are all exact.
"""

import dataclasses
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .. import filters
from ..frame import FramedAtlas
from ..image import read_labels
from ..labels import vote
from ..networks.candidates import NEVER
from ..networks.model import standardised
from ..prior import make_prior
from ..sampling import lattice
from . import appearance
from .pairs import Pair
from .samples import Sample, smooth_field, uniform

PATCH = (64, 64, 64)
SHAPES = 0.5  # share of samples that show random shapes
FEWEST, MOST = 2, 24  # random shapes in a sample
MERGED = 0.5  # share of samples in which structures of a real map are merged at random
OTHER_LOOK = 0.3  # share of samples whose target has another contrast than the atlas
DEFORMATION = 4.0  # voxels: standard deviation of the known field, at most
ERROR = 1.5  # voxels: of the registration errors, at most


@dataclasses.dataclass
class _Scene:
    """``labels`` of the atlas; ``truth``: those of the target, `displacement` away; both images."""

    labels: torch.Tensor
    truth: torch.Tensor
    displacement: torch.Tensor
    voxels: torch.Tensor  # where the target's voxels lie in the atlas
    atlas: torch.Tensor
    target: torch.Tensor


class Synthesiser:
    """Draws samples and pairs on the CPU, by a torch.Generator. ``maps``: label map files of any anatomy."""

    def __init__(self, maps: list[Path]):
        self._maps = [
            torch.from_numpy(np.unique(read_labels(m).array, return_inverse=True)[1].astype(np.int16)) for m in maps
        ]

    def sample(self, random: torch.Generator) -> Sample:
        scene = self._scene(random)
        errors = smooth_field(PATCH, uniform(random, 0.2, 1) * ERROR, random)
        prior = make_prior(_carried(scene.labels, scene.voxels + errors))
        wanted = ((prior.structure == scene.truth.flatten()[prior.where]) & (prior.logits > NEVER)).to(torch.float32)
        framed = FramedAtlas(scene.atlas, scene.labels, np.arange(1, int(scene.labels.max()) + 1))
        return Sample(standardised(scene.target)[None, None], prior, wanted, wanted.amax(dim=0), framed, scan=False)

    def pair(self, random: torch.Generator) -> Pair:
        scene = self._scene(random)
        return Pair(scene.target, scene.atlas, scene.displacement)

    def _scene(self, random):
        shapes = not self._maps or uniform(random, 0, 1) < SHAPES
        labels = _shapes(random) if shapes else self._anatomy(random)
        count = int(labels.max()) + 1
        displacement = smooth_field(PATCH, uniform(random, 0.2, 1) * DEFORMATION, random, knot=16)
        voxels = lattice(PATCH, np.eye(4)) + displacement
        truth = _carried(labels, voxels)
        look = _look(count, random)
        atlas = _rendered(labels, look, random)
        other = _look(count, random) if uniform(random, 0, 1) < OTHER_LOOK else look
        return _Scene(labels, truth, displacement, voxels, atlas, _rendered(truth, other, random))

    def _anatomy(self, random):
        volume = self._maps[integer(random, 0, len(self._maps))]
        step = 1 if uniform(random, 0, 1) < 0.5 else 2
        where = [integer(random, 0, max(n - step * p, 0) + 1) for n, p in zip(volume.shape, PATCH)]
        part = volume[tuple(slice(w, w + step * p, step) for w, p in zip(where, PATCH))].long()
        part = F.pad(part, [n for p, s in zip(reversed(PATCH), reversed(part.shape)) for n in (0, p - s)])
        if uniform(random, 0, 1) < MERGED:
            groups = torch.randint(0, integer(random, 2, 9), (int(part.max()) + 1,), generator=random)
            part = groups[part]
        return torch.unique(part, return_inverse=True)[1]


def integer(random: torch.Generator, low: int, high: int) -> int:
    """low .. high - 1."""
    return int(torch.randint(low, high, (), generator=random))


def _shapes(random):
    count, knot = integer(random, FEWEST, MOST), uniform(random, 6, 20)
    knots = [max(int(n / knot), 1) + 2 for n in PATCH]
    noise = torch.randn((1, count, *knots), generator=random)
    best = torch.zeros(PATCH)
    labels = torch.zeros(PATCH, dtype=torch.int64)
    for structure in range(count):
        field = F.interpolate(noise[:, structure : structure + 1], size=PATCH, mode="trilinear", align_corners=True)
        higher = field[0, 0] > best
        best, labels = torch.where(higher, field[0, 0], best), torch.where(higher, structure, labels)
    return torch.unique(labels, return_inverse=True)[1]


def _look(count, random):
    """Mean and spread of each structure's intensities."""
    means = torch.rand(count, generator=random)
    return means, uniform(random, 0, 0.08) * torch.rand(count, generator=random)


def _rendered(labels, look, random):
    means, spreads = look
    image = means[labels] + spreads[labels] * torch.randn(PATCH, generator=random)
    return appearance.vary(filters.gaussian(image, uniform(random, 0.3, 1.0)), random)


def _carried(labels, voxels):
    return vote(labels, voxels.flatten(1))[0].view(PATCH)
