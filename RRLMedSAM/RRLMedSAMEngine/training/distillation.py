"""Stage 1 of the dual-stage distillation: the general encoder learns to see as a SAM teacher does (arXiv 2504.20501).

The teacher looks at slices in three orientations, the encoder at the slab around each; the loss is the mean squared
error between their features. Teachers are slow: each slice's features are computed once and kept on the disk.
"""

import torch
import torch.nn.functional as F

from ..networks.model import standardised
from ..networks.projection import TeacherProjection

THICKNESS = 32  # voxels of the slab that the encoder sees around a slice
CELLS = 512  # of a slice's features that a step looks at


class Distillation:
    """Pairs of slab and teacher features.

    ``views``: list of (image (k, j, i), axis, index, features (n, teacher), voxels (3, n) in (i, j, k)): what the
    teacher makes of slice ``index`` across ``axis``, at the voxels where its cells' centres lie.
    """

    def __init__(self, views, random: torch.Generator):
        self._views, self._random = views, random

    def loss(self, encoder, projection: TeacherProjection) -> torch.Tensor:
        """Mean squared error on one slice drawn at random."""
        view = self._views[int(torch.randint(len(self._views), (), generator=self._random))]
        predicted, wanted = predict(encoder, projection, view, CELLS, self._random)
        return F.mse_loss(predicted, wanted)


def predict(encoder, projection, view, cells: int | None, random=None):
    """Predicted and the teacher's features of a view: (n, teacher) each; of ``cells`` drawn at random or of all."""
    image, axis, index, features, voxels = view
    n = image.shape[axis]
    first = min(max(index - THICKNESS // 2, 0), max(n - THICKNESS, 0))
    slab = image.narrow(axis, first, min(THICKNESS, n))
    voxels = voxels.clone()
    voxels[2 - axis] -= first
    if cells is not None and cells < len(features):
        chosen = torch.randperm(len(features), generator=random)[:cells]
        features, voxels = features[chosen], voxels[:, chosen]
    return projection(encoder(standardised(slab)[None, None]), axis, voxels), features


@torch.no_grad()
def cosine(encoder, projection, views) -> float:
    """Mean cosine similarity between predicted and the teacher's features over all cells of the views."""
    values = [F.cosine_similarity(*predict(encoder, projection, view, None), dim=1).mean() for view in views]
    return float(sum(values) / len(values))
