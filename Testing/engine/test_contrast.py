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
FOLDED = lambda t: 4 * (t - 0.66).abs() + 0.2  # middle tones are the darkest: no brightness says which tissue it was


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
    atlas, target = head(), head(FOLDED)
    seen = [image.image[INSIDE].flatten().numpy() for image in (atlas, target)]
    assert abs(np.corrcoef(*seen)[0, 1]) < contrast.ALIKE  # or this shows something else
    matched = contrast.match(atlas, target, np.eye(4))
    assert float((matched.image - target.image)[INSIDE].abs().mean()) < 0.06  # a bin's width at the fold


def test_what_is_thin_is_recoloured_as_it_is():
    """A scalp around the brain: three voxels, nothing of them is deeper."""
    k, j, i = np.indices((48,) * 3) - 23.5
    radius = torch.from_numpy(np.sqrt(k**2 + j**2 + i**2))
    tissue = 0.3 + 0.6 * torch.rand(9, 9, 9, generator=torch.Generator().manual_seed(1))
    tissue = torch.nn.functional.interpolate(tissue[None, None], (48,) * 3, mode="trilinear")[0, 0]

    def whole(change):
        image = torch.where(radius < 16, change(tissue), torch.zeros(()))
        image = torch.where((radius > 19) & (radius < 22), change(torch.tensor(0.8)), image)
        return WorkImage(image, Geometry(np.eye(4), (48,) * 3), image > 0, np.zeros((3, 2), bool))

    for change in OTHER_CONTRASTS.values():
        target = whole(change)
        matched = contrast.match(whole(lambda t: t), target, np.eye(4))
        assert float((matched.image - target.image)[(radius > 19) & (radius < 22)].abs().max()) < 0.1


def test_more_of_one_tissue_is_no_other_contrast():
    """A large ventricle: dark voxels are more, and the ranks others; each tissue is as bright as before."""

    def brain(ventricle):
        random = torch.Generator().manual_seed(ventricle)
        k, j, i = np.indices((48,) * 3) - 23.5
        radius = torch.from_numpy(np.sqrt(k**2 + j**2 + i**2))
        tissue = torch.where(radius < ventricle, 0.2, torch.where(radius < 18, 0.9, 0.55))
        image = torch.where(radius < 22, tissue + 0.03 * torch.randn(tissue.shape, generator=random), torch.zeros(()))
        return WorkImage(image, Geometry(np.eye(4), (48,) * 3), radius < 22, np.zeros((3, 2), bool))

    atlas, target = brain(8), brain(14)
    meeting = contrast._meeting(atlas, target, np.eye(4), None)
    assert np.abs(np.subtract(*map(contrast._ranks, meeting))).mean() > contrast.SAME  # or this shows nothing
    assert contrast.match(atlas, target, np.eye(4)) is atlas


@pytest.mark.parametrize(
    "values",
    [
        lambda t: torch.full_like(t, 0.5),
        lambda t: torch.rand(t.shape, generator=torch.Generator().manual_seed(3)),
    ],
    ids=["one intensity", "noise"],
)
def test_images_that_have_nothing_in_common_change_nothing(values):
    atlas = head()
    assert contrast.match(atlas, head(values), np.eye(4)) is atlas


def test_a_handful_of_voxels_says_nothing():
    atlas, target = (head(change) for change in (lambda t: t, OTHER_CONTRASTS["inverted"]))
    small = torch.zeros(SHAPE, dtype=torch.bool)
    small[8:24, 8:24, 8:24] = True
    image = WorkImage(target.image, target.grid, small, target.cut)
    assert 100 < len(contrast._meeting(atlas, image, np.eye(4), None)[0]) < contrast.FEWEST_VOXELS
    assert contrast.match(atlas, image, np.eye(4)) is atlas


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


@pytest.mark.parametrize("reach", [1, 2, 7])
def test_the_largest_nearby_is_that_of_the_cube(reach):
    """Also where it reaches beyond the grid."""
    values = torch.rand(5, 6, 9, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.max_pool3d(
        torch.nn.functional.pad(values[None, None], [reach] * 6, value=-torch.inf), 2 * reach + 1, stride=1
    )
    assert torch.equal(filters.largest(values, reach), expected[0, 0])
