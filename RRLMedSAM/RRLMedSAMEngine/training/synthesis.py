"""Training samples without a scan: images made from label maps, of no modality and of all.

Each structure gets an intensity at random, then the image a bias field, blur and noise (as in Billot et al., SynthSeg,
Medical Image Analysis 2023, and Hoffmann et al., SynthMorph, IEEE TMI 2022). Half of the label maps are real anatomy,
half are random shapes, so that nothing is learnt of one organ alone. An atlas and a target are made of one map, the
target's deformed by a known field: labels, deformation and registration errors are all exact.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .. import filters
from ..frame import FramedAtlas
from ..image import read_labels
from ..labels import LabelMap
from ..networks.candidates import NEVER
from ..networks.model import standardised
from ..prior import make_prior
from ..sampling import lattice
from . import appearance
from .pairs import Pair
from .samples import Sample, smooth_field

PATCH = (64, 64, 64)
SHAPES = 0.5  # share of samples that show random shapes
FEWEST, MOST = 2, 24  # random shapes in a sample
MERGED = 0.5  # share of samples in which structures of a real map are merged at random
OTHER_LOOK = 0.3  # share of samples whose target has another contrast than the atlas
ALIKE = 0.5  # share of looks with fewer tones than structures: not every border can be seen
FEWEST_TONES, MOST_TONES = 2, 6
HAND = 0.7  # voxels: standard deviation of what is drawn from what is there, at most
DEFORMATION = 4.0  # voxels: standard deviation of the known field, at most
ERROR = 1.5  # voxels: of the registration errors, at most


class Synthesiser:
    """``maps``: label map files of any anatomy. ``random``: torch.Generator of the CPU; samples go to ``device``."""

    def __init__(self, maps: list[Path], random: torch.Generator, device="cpu"):
        self.random, self._device = random, device
        arrays = (read_labels(m).array for m in maps)
        self._maps = [torch.from_numpy(np.searchsorted(np.unique(a), a).astype(np.int16)) for a in arrays]

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.random))

    def integer(self, low: int, high: int) -> int:
        """low .. high - 1."""
        return int(torch.randint(low, high, (), generator=self.random))

    def draw(self) -> Sample:
        shapes = not self._maps or self.uniform(0, 1) < SHAPES
        labels = self._shapes() if shapes else self._anatomy()
        count, known = int(labels.max()) + 1, LabelMap(labels)
        displacement = smooth_field(PATCH, self.uniform(0.2, 1) * DEFORMATION, self.random, self._device, knot=16)
        still = lattice(PATCH, np.eye(4), self._device)
        at = still + displacement
        truth = self._carried(known, at)
        errors = smooth_field(PATCH, self.uniform(0.2, 1) * ERROR, self.random, self._device)
        prior = make_prior(self._carried(known, at + errors))
        wanted = ((prior.structure == truth.flatten()[prior.where]) & (prior.logits > NEVER)).to(torch.float32)
        look = self._look(count)
        atlas = self._rendered(self._carried(known, still + self._hand()), look)
        anatomy = self._carried(known, at + self._hand())
        target = self._rendered(anatomy, self._look(count) if self.uniform(0, 1) < OTHER_LOOK else look)
        self._pair = Pair(target, atlas, displacement)
        framed = FramedAtlas(atlas, labels, np.arange(1, count))
        return Sample(standardised(target)[None, None], prior, wanted, wanted.amax(dim=0), framed, pseudo=False)

    def pair(self) -> Pair:
        """The images and the deformation of the sample drawn last."""
        return self._pair

    def _anatomy(self):
        volume = self._maps[self.integer(0, len(self._maps))]
        step = 1 if self.uniform(0, 1) < 0.5 else 2
        where = [self.integer(0, max(n - step * p, 0) + 1) for n, p in zip(volume.shape, PATCH)]
        part = volume[tuple(slice(w, w + step * p, step) for w, p in zip(where, PATCH))].to(self._device).long()
        part = F.pad(part, [n for p, s in zip(reversed(PATCH), reversed(part.shape)) for n in (0, p - s)])
        if self.uniform(0, 1) < MERGED:
            groups = torch.randint(0, self.integer(2, 9), (int(part.max()) + 1,), generator=self.random)
            part = groups.to(self._device)[part]
        return torch.unique(part, return_inverse=True)[1]

    def _shapes(self):
        count, knot = self.integer(FEWEST, MOST), self.uniform(6, 20)
        knots = [max(int(n / knot), 1) + 2 for n in PATCH]
        noise = torch.randn((1, count, *knots), generator=self.random).to(self._device)
        best = torch.zeros(PATCH, device=self._device)
        labels = torch.zeros(PATCH, dtype=torch.int64, device=self._device)
        for structure in range(count):
            field = F.interpolate(
                noise[:, structure : structure + 1], size=PATCH, mode="trilinear", align_corners=True
            )[0, 0]
            higher = field > best
            best, labels = torch.where(higher, field, best), torch.where(higher, structure, labels)
        return torch.unique(labels, return_inverse=True)[1]

    def _hand(self):
        """How far each voxel's label is drawn from where it is seen: people's borders are not exactly the image's."""
        return smooth_field(PATCH, self.uniform(0, 1) * HAND, self.random, self._device, knot=6)

    def _look(self, count):
        """Mean and spread of each structure's intensities."""
        means = torch.rand(count, generator=self.random)
        spreads = self.uniform(0, 0.08) * torch.rand(count, generator=self.random)
        if self.uniform(0, 1) < ALIKE:
            tone = torch.randint(0, self.integer(FEWEST_TONES, MOST_TONES + 1), (count,), generator=self.random)
            tone = tone.clamp_max(count - 1)
            return means[tone], spreads[tone]
        return means, spreads

    def _rendered(self, labels, look):
        means, spreads = (x.to(self._device) for x in look)
        image = means[labels] + spreads[labels] * appearance.noise(labels, self.random)
        image = filters.gaussian(image, self.uniform(0.3, 1.0))
        return appearance.vary(image, self.random)

    @staticmethod
    def _carried(known, at):
        return known.vote(at.flatten(1))[0].view(PATCH)
