"""A model's mask of a target: window by window in the atlas's frame, then as votes on any grid."""

import functools
import itertools

import numpy as np
import torch
import torch.nn.functional as F

from .networks.candidates import Candidates
from .networks.model import Masks, Model, standardised

LONGEST = 80  # voxels along a window's side: what a model looks at together, in training too
WHOLE = 3e5  # voxels of a frame up to which it is looked at as a whole
OVERLAP = 16  # voxels at least, of neighbouring windows
MULTIPLE = 4
VOTED = 4  # candidates of a voxel that a mask votes with; the others have next to nothing


def window_for(shape) -> tuple[int, int, int]:
    """The window (k, j, i) for a frame of this shape."""
    if np.prod(shape) <= WHOLE:
        return tuple(shape)
    return tuple(_side(n) for n in shape)


def _side(n):
    count = _count(n)
    return min(n, int(np.ceil((n + OVERLAP * (count - 1)) / count / MULTIPLE)) * MULTIPLE)


def _count(n):
    return max(1, int(np.ceil((n - OVERLAP) / (LONGEST - OVERLAP))))


def windows(shape):
    """Slices (k, j, i) that cover the frame evenly."""
    axes = []
    for n, w in zip(shape, window_for(shape)):
        first = np.linspace(0, n - w, 1 if w == n else _count(n)).round().astype(int)
        axes.append([slice(f, f + w) for f in first.tolist()])
    return list(itertools.product(*axes))


@torch.no_grad()
def predict(
    model: Model, image: torch.Tensor, atlas: torch.Tensor, prior: Candidates, prompts: int, check
) -> Masks[Candidates]:
    """The masks of ``image`` (k, j, i) in the frame.

    ``atlas``, ``prompts``: as `Model` takes them. ``prior``: on the whole frame. ``check()`` is called for each window.
    """
    index = torch.full(image.shape, -1, dtype=torch.int64, device=image.device)
    index.view(-1)[prior.where] = torch.arange(len(prior.where), device=image.device)
    totals = [torch.zeros_like(prior.logits) for _ in range(2)]
    weights = torch.zeros(len(prior.where), device=image.device)
    for window in windows(image.shape):
        check()
        here = index[window].flatten()
        where = (here >= 0).nonzero()[:, 0]
        if not len(where):
            continue
        which = here[where]
        part = Candidates(prior.certain[window], where, prior.structure[:, which], prior.logits[:, which])
        masks = model(standardised(image[window])[None, None], atlas, part, prompts)
        trust = _taper(index[window].shape, image.device).flatten()[where]
        for total, mask in zip(totals, (masks.coarse, masks.refined)):
            total[:, which] += trust * mask.probability
        weights[which] += trust
    return Masks(*(prior.with_logits((total / weights + 1e-6).log()) for total in totals))


@torch.no_grad()
def describe(model: Model, image: torch.Tensor, labels: torch.Tensor, count: int) -> torch.Tensor:
    """What the model sees of an atlas's structures, over the frame's windows: (2, count, features)."""
    total = weights = 0
    for window in windows(image.shape):
        seen = torch.bincount(labels[window].flatten(), minlength=count).to(torch.float32)
        means = model.describe(standardised(image[window])[None, None], labels[window], count)
        total, weights = total + means * seen[:, None], weights + seen
    return total / weights.clamp_min(1)[:, None]


def _taper(shape, device):
    """Weights (k, j, i) that fall towards a window's faces, where it has seen least."""
    weight = torch.ones(shape, device=device)
    for axis, n in enumerate(shape):
        at = torch.arange(n, device=device)
        ramp = (torch.minimum(at, n - 1 - at) + 1).clamp_max(OVERLAP) / OVERLAP
        weight *= ramp.view([-1 if d == axis else 1 for d in range(3)])
    return weight


class Votes:
    """A mask in the frame as votes at any point: the candidates of the eight voxels around it."""

    def __init__(self, mask: Candidates, values: np.ndarray, to_frame: np.ndarray):
        """``values``: the atlas's label values, ascending. ``to_frame``: (4, 4), voxels of the grid at which it is
        asked -> voxels of the frame."""
        self._linear = torch.tensor(to_frame[:3, :3], dtype=torch.float32, device=mask.certain.device)
        self._offset = torch.tensor(to_frame[:3, 3:], dtype=torch.float32, device=mask.certain.device)
        self._mask = mask
        device = mask.certain.device
        self._values = torch.from_numpy(np.concatenate([[0], values]).astype(np.int32)).to(device)

    # What follows is made for those votes alone that are asked for.

    @functools.cached_property
    def _candidates(self):
        """Structure and probability of the foremost candidates of the voxels in doubt, each (VOTED, m + 1)."""
        foremost = self._mask.foremost(VOTED)
        # One more column, which nothing points to: where no voxel is doubtful there would be none to look up.
        return [F.pad(held, (0, 1)) for held in (foremost.structure, foremost.probability)]

    @functools.cached_property
    def _index(self):
        """Of each voxel of the frame among those in doubt, or -1."""
        device = self._mask.where.device
        index = torch.full((self._mask.certain.numel(),), -1, dtype=torch.int64, device=device)
        index[self._mask.where] = torch.arange(len(self._mask.where), device=device)
        return index

    @property
    def count(self) -> int:
        """Votes at each point."""
        return 8 * len(self._candidates[0])

    def at(self, voxels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Label values and weights, summing to 1, at ``voxels`` (3, n): (count, n) each."""
        voxels = (self._linear @ voxels).add_(self._offset)
        sizes = self._mask.certain.shape[::-1]
        base = voxels.floor()
        share = voxels - base
        labels, weights = [], []
        for corner in itertools.product((0, 1), repeat=3):
            at = [(b.long() + c).clamp(0, n - 1) for b, c, n in zip(base, corner, sizes)]
            flat = (at[2] * sizes[1] + at[1]) * sizes[0] + at[0]
            weight = 1.0
            for s, c in zip(share, corner):
                weight = weight * (s if c else 1 - s)
            index = self._index[flat]
            doubtful = index >= 0
            which = index.clamp_min(0)
            certain = self._mask.certain.view(-1)[flat]
            for rank, (structure, probability) in enumerate(zip(*self._candidates)):
                labels.append(self._values[torch.where(doubtful, structure[which], certain)])
                weights.append(weight * torch.where(doubtful, probability[which], 1.0 if rank == 0 else 0.0))
        return torch.stack(labels), torch.stack(weights)
