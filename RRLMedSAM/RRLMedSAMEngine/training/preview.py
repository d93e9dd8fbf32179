"""A picture of how far a training is: one slice with the borders that registration drew, and the model's."""

import numpy as np
import torch

from .. import inference
from ..frame import FramedAtlas
from ..fusion import near_borders
from ..networks.model import Model, standardised
from ..prior import make_prior
from .cases import load, shape

COLOUR = (255, 190, 0)  # orange-yellow: told from grey by every eye
GAP = 4  # pixels between both halves


class Preview:
    """Of the middle of the first case; ``patch``: voxels (k, j, i) that are looked at."""

    def __init__(self, atlas: FramedAtlas, case, patch):
        labelled = (atlas.labels > 0).nonzero().float().mean(dim=0).round().long().tolist()
        part = tuple(
            slice(first, first + p)
            for first, p in ((min(max(c - p // 2, 0), n - p), p) for c, p, n in zip(labelled, patch, shape(case)))
        )
        self._case, self._atlas = load(case, part, atlas.image.device), atlas

    @torch.no_grad()
    def draw(self, model: Model) -> np.ndarray:
        """(rows, columns, 3) uint8, anterior up: left the registration's borders, right the model's."""
        case, atlas = self._case, self._atlas
        described = inference.describe(model, atlas.image, atlas.labels, atlas.count)
        image = standardised(case.image)[None, None]
        mask = model(image, described, make_prior(case.labels)).refined.winner()
        at = int((case.labels > 0).sum(dim=(1, 2)).argmax())
        halves = [_drawn(case.image[at], labels[at]) for labels in (case.labels, mask)]
        gap = np.zeros((halves[0].shape[0], GAP, 3), np.uint8)
        return np.concatenate([halves[0], gap, halves[1]], axis=1)


def _drawn(image, labels):
    """(j, i) with the borders between labels; LPS: j runs to posterior, which is down."""
    grey = (255 * image.clamp(0, 1)).byte().cpu().numpy()
    borders = near_borders(labels.cpu().numpy()[None], (1, 1, 1))[0]
    return np.where(borders[..., None], np.array(COLOUR, np.uint8), grey[..., None])
