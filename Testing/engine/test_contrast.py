"""An atlas takes on the contrast of a target that has another one, and only then."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing")

from RRLMedSAMEngine import contrast, filters  # noqa: E402
from RRLMedSAMEngine.geometry import Geometry  # noqa: E402
from RRLMedSAMEngine.workgrid import WorkImage  # noqa: E402

pytestmark = pytest.mark.needs_torch

SHAPE = (32, 32, 32)
INSIDE = (slice(10, 22),) * 3


def head(change=lambda tissue: tissue):
    """A ball of smoothly varying tissue, 0.3 to 0.9, in the air; ``change`` recolours the tissue."""
    torch.manual_seed(0)
    k, j, i = np.indices(SHAPE) - 15.5
    body = torch.from_numpy(k**2 + j**2 + i**2 < 13**2)
    noise = filters.gaussian(torch.rand(SHAPE), 2.0)
    tissue = 0.3 + 0.6 * (noise - noise.min()) / (noise.max() - noise.min())
    image = torch.where(body, change(tissue), torch.zeros(()))
    return WorkImage(image, Geometry(np.eye(4), SHAPE), body, np.zeros((3, 2), bool))


def resampled(image):
    """Fading into the air as between voxels, with the foreground beginning outside, as `workgrid` finds it."""
    shared = filters.gaussian(image.image, 0.5)
    return WorkImage(shared, image.grid, filters.gaussian(shared, 0.7) > 0.02, image.cut)


OTHER_CONTRASTS = {
    "inverted": lambda t: 1.1 - t,
    "gamma 2.2": lambda t: t**2.2,
    "gamma 0.5": lambda t: t**0.5,
}
FOLDED = lambda t: 2 * (t - 0.6).abs() + 0.2  # middle tones are the darkest: no brightness says which tissue it was


def test_an_atlas_of_the_same_contrast_stays_as_it_is():
    atlas = head()
    for target in (head(), head(lambda t: t**1.1)):
        assert contrast.match(atlas, target, np.eye(4)) is atlas
        assert contrast.like_atlas(target, atlas, target, np.eye(4), None) is target


@pytest.mark.parametrize("change", OTHER_CONTRASTS.values(), ids=OTHER_CONTRASTS.keys())
def test_another_contrast_is_taken_over_and_back(change):
    atlas, target = head(), head(change)
    matched = contrast.match(atlas, target, np.eye(4))
    assert float((matched.image - target.image)[INSIDE].abs().max()) < 0.05
    assert float(matched.image[0, 0, 0]) == 0.0  # the air stays air
    shown = contrast.like_atlas(target, atlas, target, np.eye(4), None)
    assert float((shown.image - atlas.image)[INSIDE].abs().max()) < 0.05


def test_a_recoloured_image_fades_into_the_air_as_the_original():
    """Darkest is brightest; the fading surface is dark in both."""
    atlas, target = resampled(head()), resampled(head(OTHER_CONTRASTS["inverted"]))
    for recoloured, wanted in (
        (contrast.like_atlas(target, atlas, target, np.eye(4), None), atlas),
        (contrast.match(atlas, target, np.eye(4)), target),
    ):
        assert float((recoloured.image - wanted.image).abs().max()) < 0.2


def test_a_contrast_without_an_order_is_taken_over():
    target = head(FOLDED)
    matched = contrast.match(head(), target, np.eye(4))
    assert float((matched.image - target.image)[INSIDE].abs().max()) < 0.08  # a bin's width at the fold


def test_ranks_need_no_exact_alignment():
    """Shifted by 3 voxels: tissues are mixed, but as bright as before."""
    atlas, apart = head(), np.eye(4)
    apart[0, 3] = 3.0
    for change in OTHER_CONTRASTS.values():
        target = head(change)
        matched = contrast.match(atlas, target, apart)
        assert float((matched.image - target.image)[INSIDE].abs().max()) < 0.12


def test_the_alignment_says_which_voxels_meet():
    """The atlas lies 40 mm away along x; the alignment brings them together."""
    atlas, target = head(), head(lambda t: 1.1 - t)
    away, affine = np.eye(4), np.eye(4)
    away[0, 3] = affine[0, 3] = 40.0
    far = WorkImage(atlas.image, Geometry(away, SHAPE), atlas.foreground, atlas.cut)
    assert torch.allclose(contrast.match(far, target, affine).image, contrast.match(atlas, target, np.eye(4)).image)


def test_images_that_do_not_meet_change_nothing():
    atlas = head()
    apart = np.eye(4)
    apart[0, 3] = 500.0
    assert contrast.match(atlas, head(lambda t: 1.1 - t), apart) is atlas
