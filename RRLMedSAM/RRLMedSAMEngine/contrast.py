"""An atlas image in the contrast of a target that has another one, and the target in the atlas's.

The squared correlation is blind to the sign, window by window. A brain that is bright on a dark background but has its
tissues inverted then pulls white matter to the brain's surface: bright matches bright. It is not blind to a curve that
is bent, as another sequence or gamma gives it: that costs it some accuracy, and networks, which know the atlas's
contrast, more. So the atlas gets the target's contrast first, where the aligned images say that it is another one.
Where one image rises or falls with the other, equal ranks get equal intensities (histogram matching), for which the
alignment need not be exact. Else each intensity becomes the mean of what the other image shows there (the conditional
mean of Roche et al.'s correlation ratio, MICCAI 1998). Networks are given the target in the atlas's, the same way.
"""

import numpy as np
import torch

from . import filters
from .forces import Correspondence
from .sampling import sample
from .workgrid import WorkImage

HIGHEST = 1.2  # of intensities, as `intensity.Window` gives them
BINS = 32  # of the conditional mean
KNOTS, TONES = 65, 256  # of a matched histogram; of a curve
FEWEST = 1e-3  # share of the anatomy in a bin that says something
DEPTH = 2.0  # voxels
SURFACE = 2  # voxels of the foreground, which begins outside of the anatomy, that may be air in part
NEARBY = 1.2  # voxels: sigma of the mean of what lies below them
MONOTONE = 0.9  # correlation of the conditional mean with the intensity, above which one rises with the other
ALIKE = 0.3  # correlation above which a curve that is not monotone is none at all
SAME = 0.06  # mean change of intensity up to which a rising curve changes nothing: brains of one scanner have 0.04


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
    tissue, share = _tissue(image)
    position = tissue.clamp(0, HIGHEST) * ((TONES - 1) / HIGHEST)
    below = position.floor().long().clamp_max(TONES - 2)
    recoloured = (curve[below] + (curve[below + 1] - curve[below]) * (position - below)) * share
    return WorkImage(torch.where(image.foreground, recoloured, image.image), image.grid, image.foreground, image.cut)


def _tissue(image):
    """The intensity of each voxel's tissue, and the share of the voxel that is tissue: (k, j, i) each.

    At the surface, where the image fades into the air, tissue is what lies below. Recoloured as it is, the fading would
    be a bright skin around an image whose darkest tissue is bright in the other.
    """
    surface = image.foreground & filters.largest(~image.foreground, SURFACE)
    inside = (image.foreground & ~surface).to(image.image.dtype)
    below = filters.gaussian(image.image * inside, NEARBY) / filters.gaussian(inside, NEARBY).clamp_min(1e-6)
    share = torch.where(surface, (image.image / below.clamp_min(1e-6)).clamp(0, 1), torch.ones_like(below))
    return torch.where(surface, below, image.image), share


def _curve(own, other):
    """The ``other`` image's intensity (`TONES`,) for each of the ``own`` one; None where contrasts are alike."""
    if not len(own):
        return None
    means, counts = _conditional_mean(own, other)
    known = counts > FEWEST * counts.sum()
    if known.sum() < 3:
        return None
    centres = np.linspace(0, HIGHEST, BINS)
    rising = _correlation(centres[known], means[known], counts[known])
    if rising >= MONOTONE:
        given, wanted = _ranks(own), _ranks(other)
        if np.abs(given - wanted).mean() < SAME:
            return None
        knots = np.r_[0, given, HIGHEST], np.r_[0, wanted, HIGHEST]
    elif rising <= -MONOTONE:
        knots = _ranks(own), _ranks(other)[::-1]
    elif rising < ALIKE:
        filled = np.interp(centres, centres[known], means[known])
        knots = centres, np.convolve(np.pad(filled, 1, "edge"), np.full(3, 1 / 3), "valid")
    else:
        return None
    curve = np.interp(np.linspace(0, HIGHEST, TONES), *knots)
    return torch.from_numpy(curve.astype(np.float32)).to(own.device)


def _conditional_mean(own, other):
    """The ``other`` intensities' mean where the ``own`` ones are in a bin, and how many are: (`BINS`,) each."""
    bins = (own.clamp(0, HIGHEST) * ((BINS - 1) / HIGHEST)).round().long()
    counts = torch.bincount(bins, minlength=BINS).to(torch.float64)
    means = torch.bincount(bins, weights=other.double(), minlength=BINS) / counts.clamp_min(1)
    return means.cpu().numpy(), counts.cpu().numpy()


def _correlation(x, y, weight):
    x, y = (v - np.average(v, weights=weight) for v in (x, y))
    spread = np.sqrt((weight * x * x).sum() * (weight * y * y).sum())
    return (weight * x * y).sum() / max(spread, 1e-12)


def _ranks(values):
    """Intensities from the darkest to the brightest, equally many voxels apart: (`KNOTS`,)."""
    places = torch.linspace(0, len(values) - 1, KNOTS, dtype=torch.float64, device=values.device)
    return values.sort().values[places.round().long()].cpu().numpy()
