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
FEWEST_VOXELS = 1000  # that say something
FEWEST = 1e-3  # share of them in a bin that says something
INSIDE_SIGMA, INSIDE = 2.0, 0.97  # voxels, and the share of the anatomy so smoothed: four voxels below its surface
MONOTONE = 0.9  # correlation of the conditional mean with the intensity, above which one rises with the other
ALIKE = 0.3  # correlation above which a curve that is not monotone is none at all
EXPLAINED = 0.1  # of the other image's variance, below which the two have nothing to do with each other
SAME = 0.06  # mean change of the ranks' intensities up to which a rising curve is none: brains of one scanner have 0.04
SURFACE = 2  # voxels of the foreground, which begins outside of the anatomy, that may be air in part
NEARBY = 1.2  # voxels: sigma of the mean of what lies below them


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
    inside = filters.gaussian(both, INSIDE_SIGMA) > INSIDE
    return warped[inside], target.image[inside]


def _recoloured(image, curve):
    if curve is None:
        return image
    tissue, share = _tissue(image)
    recoloured = torch.where(image.foreground, _read(curve, tissue) * share, image.image)
    return WorkImage(recoloured, image.grid, image.foreground, image.cut)


def _tissue(image):
    """The intensity of each voxel's tissue, and the share of the voxel that is tissue: (k, j, i) each.

    At the surface, where the image fades into the air, tissue is what lies below. Recoloured as it is, the fading would
    be a bright skin around an image whose darkest tissue is bright in the other.
    """
    surface = image.foreground & filters.largest(~image.foreground, SURFACE)
    inside = (image.foreground & ~surface).to(image.image.dtype)
    near = filters.gaussian(inside, NEARBY)
    surface &= near > 0  # what is thin has nothing below
    below = filters.gaussian(image.image * inside, NEARBY) / near.clamp_min(1e-6)
    share = torch.where(surface, (image.image / below.clamp_min(1e-6)).clamp(0, 1), torch.ones_like(below))
    return torch.where(surface, below, image.image), share


def _curve(own, other):
    """The ``other`` image's intensity (`TONES`,) for each of the ``own`` one.

    None where contrasts are alike, and where too little meets or is in common to tell.
    """
    if len(own) < FEWEST_VOXELS:
        return None
    means, counts = _conditional_mean(own, other)
    known = counts > FEWEST * counts.sum()
    tones, means, counts = np.linspace(0, HIGHEST, BINS)[known], means[known], counts[known]
    if len(tones) < 3 or _covariance(means, means, counts) <= EXPLAINED * float(other.double().var()):
        return None
    spread = np.sqrt(_covariance(tones, tones, counts) * _covariance(means, means, counts))
    rising = _covariance(tones, means, counts) / max(spread, 1e-12)
    if rising >= MONOTONE:
        return _matched(own, other)
    if rising <= -MONOTONE:
        return _table(_ranks(own), _ranks(other)[::-1], own.device)
    if rising < ALIKE:
        smooth = np.convolve(np.pad(means, 1, "edge"), np.full(3, 1 / 3), "valid")
        return _table(tones, smooth, own.device)
    return None


def _matched(own, other):
    """The rising curve that gives both the same ranks; None where it is of no use."""
    given, wanted = _ranks(own), _ranks(other)
    curve = _table(np.r_[0, given, HIGHEST], np.r_[0, wanted, HIGHEST], own.device)
    # Other shares of the same tissues have other ranks as well. By such a curve the images agree less than without.
    agrees = (_read(curve, own) - other).square().mean() < (own - other).square().mean()
    return curve if agrees and np.abs(given - wanted).mean() >= SAME else None


def _conditional_mean(own, other):
    """The ``other`` intensities' mean where the ``own`` ones are in a bin, and how many are: (`BINS`,) each."""
    bins = (own.clamp(0, HIGHEST) * ((BINS - 1) / HIGHEST)).round().long()
    counts = torch.bincount(bins, minlength=BINS).to(torch.float64)
    means = torch.bincount(bins, weights=other.double(), minlength=BINS) / counts.clamp_min(1)
    return means.cpu().numpy(), counts.cpu().numpy()


def _covariance(x, y, weight):
    x, y = (v - np.average(v, weights=weight) for v in (x, y))
    return np.average(x * y, weights=weight)


def _ranks(values):
    """Intensities from the darkest to the brightest, equally many voxels apart, half of that from the ends: (`KNOTS`,).

    Single voxels are not looked at.
    """
    places = (np.arange(KNOTS) + 0.5) * (len(values) / KNOTS)
    return values.sort().values[torch.from_numpy(places).long().to(values.device)].double().cpu().numpy()


def _table(given, wanted, device):
    """A curve (`TONES`,) through points in ascending order, those of equal ``given`` intensity taken together."""
    given, place = np.unique(given, return_inverse=True)
    wanted = np.bincount(place, wanted) / np.bincount(place)
    curve = np.interp(np.linspace(0, HIGHEST, TONES), given, wanted)
    return torch.from_numpy(curve.astype(np.float32)).to(device)


def _read(curve, values):
    position = values.clamp(0, HIGHEST) * ((TONES - 1) / HIGHEST)
    below = position.floor().long().clamp_max(TONES - 2)
    return curve[below] + (curve[below + 1] - curve[below]) * (position - below)
