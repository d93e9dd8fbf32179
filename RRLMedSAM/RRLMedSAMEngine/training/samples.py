"""Training samples: scans with pseudo labels, and atlas images deformed as registration found scans to be.

Geometry is varied by small affine and elastic motions, appearance by mixing the deformed atlas with the scan it was
deformed to (the labels are exact for the one, the appearance is real in the other) and by changes of contrast.
The mask that the networks are given comes from a registration with errors added: they shall learn from the image where
such a mask is wrong, not to copy it.
"""

import dataclasses
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ..frame import FramedAtlas
from ..labels import LabelMap
from ..networks.candidates import NEVER, Candidates
from ..networks.model import standardised
from ..prior import make_prior
from ..sampling import lattice, sample
from . import appearance
from .cases import load
from .pairs import Pair, PairSampler

MIXED = 0.55  # share of samples that are deformed atlas images mixed with the scan
TURN, STRETCH = 0.12, 0.1  # radians and share, at most
BEND = 1.5  # voxels: standard deviation of the elastic motion
ERROR = 1.5  # voxels: standard deviation of the registration errors added, at most
KNOT = 10  # voxels between the knots of random fields
REACH = 12  # voxels around a patch that its motions may fetch from


@dataclasses.dataclass
class Sample:
    """``image``: (1, 1, k, j, i), standardised. ``prior``: the candidates. ``truth``: (n, m), what the
    candidates' probabilities shall be. ``weight``: (m,), 0..1. ``atlas``: what the structures
    are known from. ``pseudo``: the truth is what registration gave a real scan."""

    image: torch.Tensor
    prior: Candidates
    truth: torch.Tensor
    weight: torch.Tensor
    atlas: FramedAtlas
    pseudo: bool


class Sampler:
    """Draws samples of ``patch`` voxels (k, j, i) from the ``cases``' files, on the atlas's device.

    ``random``: torch.Generator of the CPU, so that a seed gives the same samples on every device, but for their noise.
    ``drawn``: the cases whose labels a person drew. ``mixed``: share of deformed atlas images; ``scan_share``: of the
    scan in them, at most.
    """

    def __init__(self, atlas: FramedAtlas, cases: list[Path], patch, random, drawn=(), mixed=MIXED, scan_share=1.0):
        self.atlas, self.cases, self.random, self._drawn = atlas, cases, random, frozenset(drawn)
        self.mixed, self.scan_share = mixed, scan_share
        self._labels, self._pairs = LabelMap(atlas.labels), PairSampler(atlas, cases, random)
        self.shape, self.device = atlas.image.shape, atlas.image.device
        self.patch = tuple(min(p, n) for p, n in zip(patch, self.shape))
        where = (atlas.labels > 0).nonzero()
        self.low, self.high = where.min(dim=0).values, where.max(dim=0).values

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.random))

    def draw(self) -> Sample:
        path = self.cases[int(torch.randint(len(self.cases), (), generator=self.random))]
        origin = self._origin()
        reach = [slice(max(o - REACH, 0), min(o + p + REACH, n)) for o, p, n in zip(origin, self.patch, self.shape)]
        case = load(path, tuple(reach), self.device)
        start = np.array([s.start for s in reach])
        inner = (np.array(origin) - start)[::-1]
        at = self._moved(torch.from_numpy(inner.astype(np.float32)))
        displacement = sample(case.displacement, at)
        to_atlas = at + torch.from_numpy(start[::-1].astype(np.float32)).view(3, 1, 1, 1).to(self.device) + displacement
        image = sample(case.image[None], at)[0]
        is_scan = self.uniform(0, 1) > self.mixed
        labels = self._nearest(case.labels, at)
        weight = 0.2 + 0.8 * sample(case.trust[None], at)[0]
        if not is_scan:
            share = self.uniform(0, self.scan_share)
            atlas = sample(self.atlas.image[None], to_atlas)[0]
            image = atlas + share * (image - atlas)
            if share < 0.5:  # more atlas than scan: the atlas's own labels fit it better
                labels, weight = self._carried(to_atlas), torch.ones_like(weight)
        image = appearance.vary(image, self.random)
        errors = smooth_field(self.patch, self.uniform(0.2, 1) * ERROR, self.random, self.device)
        prior = make_prior(self._carried(to_atlas + errors))
        truth = ((prior.structure == labels.flatten()[prior.where]) & (prior.logits > NEVER)).to(torch.float32)
        weight = weight.flatten()[prior.where]
        # Where the mask is so wrong that the right structure is no candidate there is nothing to choose.
        weight = weight * truth.amax(dim=0)
        pseudo = is_scan and path not in self._drawn
        return Sample(standardised(image)[None, None], prior, truth, weight, self.atlas, pseudo)

    def pair(self) -> Pair:
        return self._pairs.draw()

    def _origin(self):
        return [
            int(torch.randint(low, high + 1, (), generator=self.random))
            for low, high in (self._range(axis) for axis in range(3))
        ]

    def _range(self, axis):
        """First and last place of a patch that holds as much of the structures as it can."""
        room = self.shape[axis] - self.patch[axis]
        low, high = int(self.low[axis]) - 8, int(self.high[axis]) + 8 - self.patch[axis] + 1
        low, high = min(low, high), max(low, high)
        return min(max(low, 0), room), min(max(high, 0), room)

    def _moved(self, inner):
        """Where the patch's voxels come from: (3, k, j, i), in voxels of what was read."""
        turn = [self.uniform(-TURN, TURN) for _ in range(3)]
        skew = torch.tensor([[0, -turn[2], turn[1]], [turn[2], 0, -turn[0]], [-turn[1], turn[0], 0]])
        linear = torch.matrix_exp(skew) * self.uniform(1 - STRETCH, 1 + STRETCH)
        centre = (torch.tensor(self.patch[::-1]).float() - 1) / 2
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = linear, centre + inner - linear @ centre
        bent = smooth_field(self.patch, BEND * self.uniform(0, 1), self.random, self.device)
        return lattice(self.patch, matrix, self.device).add_(bent)

    def _carried(self, voxels):
        return self._labels.vote(voxels.flatten(1))[0].view(self.patch)

    @staticmethod
    def _nearest(labels, at):
        i, j, k = (c.round().long().clamp(0, n - 1) for c, n in zip(at, reversed(labels.shape)))
        return labels[k, j, i]


def smooth_field(shape, deviation: float, random: torch.Generator, device, knot: float = KNOT) -> torch.Tensor:
    """A smooth random displacement with this standard deviation at its knots: (3, k, j, i), voxels."""
    knots = [max(int(n / knot), 1) + 2 for n in shape]
    values = deviation * torch.randn((1, 3, *knots), generator=random).to(device)
    return F.interpolate(values, size=tuple(shape), mode="trilinear", align_corners=True)[0]
