"""Stage 1 of the dual-stage distillation: the general encoder learns to see as a SAM teacher does (arXiv 2504.20501).

The teacher looks at slices in three orientations, the encoder at the slab around each; the loss is the mean squared
error between their features. Teachers are slow: each slice's features are computed once and kept on the disk.
"""

import dataclasses
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from ..networks.encoder import Encoder
from ..networks.model import standardised
from ..networks.projection import TeacherProjection
from ..networks.sizes import Sizes
from . import cases
from .featurecache import FeatureCache, cells_on_slice, slice_across

THICKNESS = 24  # voxels of the slab that the encoder sees around a slice
MARGIN = 0.15  # of an axis, at either end, from which no slice is taken: little anatomy is there
CELLS = 1024  # of a slice's features that a step looks at


@dataclasses.dataclass(frozen=True)
class View:
    """Slice ``index`` across ``axis`` (0: k, 1: j, 2: i) of a training case's image."""

    path: Path
    axis: int
    index: int


def choose_views(paths: list[Path], count: int, random: torch.Generator) -> list[View]:
    """``count`` slices, in turn from the cases and the three axes."""
    views = []
    for number in range(count):
        path, axis = paths[number % len(paths)], (number // len(paths)) % 3
        n = cases.shape(path)[axis]
        low, high = int(MARGIN * n), max(int((1 - MARGIN) * n), int(MARGIN * n) + 1)
        views.append(View(path, axis, int(torch.randint(low, high, (), generator=random))))
    return views


class Distillation:
    """What the general encoder learns of a teacher, with a projection that is not kept.

    ``cache``: gives the teacher's features. Views whose features the time did not suffice for are left out:
    `prepare` makes as many as it can.
    """

    def __init__(self, sizes: Sizes, cache: FeatureCache, random: torch.Generator):
        self.projection = TeacherProjection(sizes)
        self._cache, self._random = cache, random
        self.views: list[View] = []

    def prepare(self, views: list[View], seconds: float, check) -> None:
        """Has the teacher look at the views, one after the other, for so many seconds; at one at least."""
        end = time.monotonic() + seconds
        for view in views:
            check()
            self._cache.features(_slice(view))
            self.views.append(view)
            if time.monotonic() > end:
                break

    def loss(self, encoder: Encoder) -> torch.Tensor:
        """Mean squared error on one view drawn at random."""
        view = self.views[int(torch.randint(len(self.views), (), generator=self._random))]
        predicted, wanted = self.compare(encoder, view, CELLS)
        return F.mse_loss(predicted, wanted)

    @torch.no_grad()
    def cosine(self, encoder: Encoder, views: list[View]) -> float:
        """Mean cosine similarity of predicted and the teacher's features over all cells of the views."""
        values = [F.cosine_similarity(*self.compare(encoder, view, None), dim=1).mean() for view in views]
        return float(sum(values) / len(values))

    def compare(self, encoder, view, count):
        """Predicted and the teacher's features, (n, teacher) each, of ``count`` cells drawn at random or of all."""
        shape = cases.shape(view.path)
        inside, voxels = cells_on_slice(shape, view.axis, view.index)
        wanted = self._cache.features(_slice(view))[:, inside].t()
        if count is not None and count < len(wanted):
            chosen = torch.randperm(len(wanted), generator=self._random)[:count]
            wanted, voxels = wanted[chosen], voxels[:, chosen]
        first = max(min(view.index - THICKNESS // 2, shape[view.axis] - THICKNESS), 0)
        part = [slice(None)] * 3
        part[view.axis] = slice(first, first + THICKNESS)
        slab = cases.load_image(view.path, tuple(part))
        slab = F.pad(slab, [n for size in reversed(slab.shape) for n in (0, size % 2)])
        voxels[2 - view.axis] -= first
        device = next(encoder.parameters()).device
        features = encoder(standardised(slab.to(device))[None, None])
        return self.projection(features, view.axis, voxels.to(device, slab.dtype)), wanted.to(device)


def _slice(view: View) -> torch.Tensor:
    part = [slice(None)] * 3
    part[view.axis] = slice(view.index, view.index + 1)
    return slice_across(cases.load_image(view.path, tuple(part)), view.axis, 0)
