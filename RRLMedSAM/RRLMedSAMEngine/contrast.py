"""An atlas image in the contrast of a target that shows the same anatomy the other way round.

The squared correlation is blind to the sign, window by window. A brain that is bright on a dark background but has its
tissues inverted then pulls white matter to the brain's surface: bright matches bright. So the atlas gets the target's
contrast first, where the aligned images say that it is another one: each intensity becomes the mean of what the target
shows there (the conditional mean of Roche et al.'s correlation ratio, MICCAI 1998). Networks, which know the atlas's
contrast, are given the target in that, the same way.
"""

import numpy as np
import torch
import torch.nn.functional as F

from . import filters
from .forces import Correspondence
from .sampling import sample
from .workgrid import WorkImage

BINS, HIGHEST = 32, 1.2  # of intensities, as `intensity.Window` gives them
FEWEST = 1e-3  # share of the anatomy in a bin that says something
DEPTH = 2.0  # voxels
ALIKE = 0.3  # correlation of the curve with the identity above which both have the same contrast


def match(atlas: WorkImage, target: WorkImage, affine: np.ndarray, displacement=None) -> WorkImage:
    """The atlas, recoloured where the aligned images have another contrast, else as it is.

    ``affine``: (4, 4), LPS mm, target point -> atlas point. ``displacement``: (3, k, j, i) in voxels of the target's
    grid; x + u(x), then ``affine``, is the atlas point. None is zero.
    """
    in_atlas, in_target = _meeting(atlas, target, affine, displacement)
    return _recoloured(atlas, _curve(in_atlas, in_target))


def like_atlas(seen: WorkImage, atlas: WorkImage, target: WorkImage, affine: np.ndarray, displacement) -> WorkImage:
    """The target, as it is ``seen`` on any grid, recoloured where the atlas has another contrast, else as it is.

    The others: as `match` takes them.
    """
    in_atlas, in_target = _meeting(atlas, target, affine, displacement)
    return _recoloured(seen, _curve(in_target, in_atlas))


def _meeting(atlas, target, affine, displacement):
    """Intensities of both, (n,) each, where their anatomies meet."""
    to_atlas = Correspondence(target.grid, atlas.grid, affine, target.image.device)
    at = to_atlas.undeformed if displacement is None else to_atlas.at(displacement)
    both = torch.stack([atlas.image, atlas.foreground.to(atlas.image.dtype)])
    warped, anatomy = sample(both, at, padding="zeros")
    both = ((anatomy > 0.5) & target.foreground).to(warped.dtype)
    # Well inside: at the surface, where both fade into the air, any two contrasts look alike.
    inside = filters.gaussian(both, DEPTH) > 0.97
    return warped[inside], target.image[inside]


def _recoloured(image, curve):
    if curve is None:
        return image
    position = image.image.clamp(0, HIGHEST) * ((BINS - 1) / HIGHEST)
    below = position.floor().long().clamp_max(BINS - 2)
    recoloured = curve[below] + (curve[below + 1] - curve[below]) * (position - below)
    return WorkImage(torch.where(image.foreground, recoloured, image.image), image.grid, image.foreground, image.cut)


def _curve(own, other):
    """Mean intensity of the ``other`` image (`BINS`,) at each of the ``own`` one; None where it rises with them."""
    if not len(own):
        return None
    bins = (own.clamp(0, HIGHEST) * ((BINS - 1) / HIGHEST)).round().long()
    counts = torch.bincount(bins, minlength=BINS).to(torch.float64)
    means = torch.bincount(bins, weights=other.double(), minlength=BINS) / counts.clamp_min(1)
    known = counts > FEWEST * counts.sum()
    if int(known.sum()) < 3:
        return None
    centres = torch.arange(BINS, dtype=torch.float64, device=own.device)
    x, y, weight = centres[known], means[known], counts[known] / counts[known].sum()
    x, y = x - (weight * x).sum(), y - (weight * y).sum()
    spread = ((weight * x * x).sum() * (weight * y * y).sum()).sqrt()
    if float((weight * x * y).sum()) >= ALIKE * float(spread):
        return None
    filled = np.interp(centres.cpu(), centres[known].cpu(), means[known].cpu())
    padded = F.pad(torch.from_numpy(filled)[None, None], (1, 1), mode="replicate")
    return F.avg_pool1d(padded, 3, 1)[0, 0].to(own.device, torch.float32)
