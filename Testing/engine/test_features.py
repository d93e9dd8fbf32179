"""A model's features as a guide of the registration: what is compared, which way it pulls, and on which level."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing")

from enginekit import OBLIQUE, phantom, voxel_to_lps  # noqa: E402
from RRLMedSAMEngine import atlas as atlases  # noqa: E402
from RRLMedSAMEngine import contrast, filters, models, package, pipeline, plan, registration  # noqa: E402
from RRLMedSAMEngine import features as features_module  # noqa: E402
from RRLMedSAMEngine.atlas import Atlas  # noqa: E402
from RRLMedSAMEngine.features import Features, Pair, discriminants  # noqa: E402
from RRLMedSAMEngine.forces import Correspondence, FeatureForce  # noqa: E402
from RRLMedSAMEngine.frame import Frame  # noqa: E402
from RRLMedSAMEngine.geometry import Geometry  # noqa: E402
from RRLMedSAMEngine.image import Volume  # noqa: E402
from RRLMedSAMEngine.networks.model import Model  # noqa: E402
from RRLMedSAMEngine.registration import Level  # noqa: E402
from RRLMedSAMEngine.workgrid import WorkImage  # noqa: E402

SHAPE = (28, 30, 32)


def noise(count, shape, seed=0):
    """Smooth features (count, k, j, i)."""
    random = torch.Generator().manual_seed(seed)
    return filters.gaussian(20 * torch.randn(count, *shape, generator=random), 2.5)


def work_image(geometry):
    return WorkImage(
        torch.zeros(geometry.shape), geometry, torch.ones(geometry.shape, dtype=bool), np.ones((3, 2), bool)
    )


def test_the_combinations_tell_structures_apart_and_no_more_are_made():
    random = torch.Generator().manual_seed(0)
    structures = torch.arange(3).repeat_interleave(1000).view(3, 10, 100)
    loud = 50 * torch.randn(structures.shape, generator=random)  # says nothing
    first, second = (torch.randn(structures.shape, generator=random) + 6 * (structures == n) for n in (1, 2))
    mean, combine = discriminants(torch.stack([loud, first, second, torch.zeros_like(loud)]), structures)
    seen = torch.tensordot(combine, torch.stack([loud, first, second, torch.zeros_like(loud)]) - mean, 1)
    assert seen.shape[0] == 2  # three structures differ in two ways
    centres = torch.stack([seen[:, n].mean(dim=(1, 2)) for n in range(3)])
    within = torch.stack([seen[:, n].flatten(1).std(dim=1) for n in range(3)]).mean(dim=0)
    assert torch.allclose(within, torch.ones(2), atol=0.4)  # the ridge is of the loud one, too
    assert torch.cdist(centres, centres).add(torch.eye(3) * 99).min() > 2.5


def test_at_most_so_many_are_made():
    structures = torch.arange(2 * features_module.COUNT).repeat_interleave(50).view(1, 10, -1)
    seen = torch.randn(3 * features_module.COUNT, *structures.shape)
    assert len(discriminants(seen, structures)[1]) == features_module.COUNT


def test_the_force_is_the_derivative_of_the_squared_differences():
    geometry = Geometry(np.eye(4), SHAPE)
    target, atlas = noise(3, SHAPE, 1), noise(3, SHAPE, 2)
    to_atlas = Correspondence(geometry, geometry, np.eye(4), "cpu")
    inner = (..., *[slice(3, -3)] * 3)
    force = FeatureForce(target, atlas, to_atlas, torch.ones(SHAPE))
    found = force(torch.zeros(3, *SHAPE))[inner].sum(dim=(1, 2, 3))

    def differences(axis, shift):
        """Halved, with all voxels displaced alike: their derivative is the sum of the force, reversed."""
        displacement = torch.zeros(3, *SHAPE)
        displacement[axis] = shift
        return float(((registration.sample(atlas, to_atlas.at(displacement)) - target)[inner] ** 2).sum()) / 2

    expected = torch.tensor([(differences(axis, -1) - differences(axis, 1)) / 2 for axis in range(3)])
    assert torch.allclose(found, expected, atol=0.05 * float(expected.norm()))


def test_features_are_brought_together_on_grids_of_any_orientation():
    """The atlas's frame lies along LPS, the target is oblique, and the affine map turns, stretches and shifts."""
    affine = np.eye(4)
    affine[:3, :3] = 1.1 * OBLIQUE @ np.diag([1.0, 1.0, -1.0])
    affine[:3, 3] = [4.0, -3.0, 2.0]
    grid = Geometry(voxel_to_lps(SHAPE), SHAPE)
    centre = affine[:3, :3] @ grid.to_lps((grid.size_ijk - 1) / 2) + affine[:3, 3]
    matrix, shape = np.diag([2.0, 2.0, 2.0, 1.0]), (48, 48, 48)
    matrix[:3, 3] = centre - 47.0
    frame = Geometry(matrix, shape)
    # The target shows at x what the atlas shows at affine(x) + shift: that is where the deformation has to lead.
    shift_mm = np.array([3.0, -2.0, 2.5])
    atlas = noise(4, shape)
    moved = Geometry(matrix, shape).voxel_to_lps.copy()
    moved[:3, 3] -= shift_mm
    target = registration.sample(atlas, registration.lattice(shape, np.linalg.inv(moved) @ matrix))
    pair = Pair(target, atlas, frame, affine)
    level = Level(2.0, 40, 7, by_features=True)
    still = work_image(grid)
    found = registration.register(still, work_image(frame), affine, [level], lambda: None, pair)
    inner = found[:, 8:-8, 8:-8, 8:-8].flatten(1).mean(dim=1).numpy()
    leads = affine[:3, :3] @ grid.voxel_to_lps[:3, :3] @ inner
    assert np.allclose(leads, shift_mm, atol=0.3)


def test_nothing_pulls_outside_of_the_atlas():
    geometry = Geometry(np.eye(4), SHAPE)
    smaller = Geometry(np.eye(4), (20, 20, 20))
    to_atlas = Correspondence(geometry, smaller, np.eye(4), "cpu")
    everywhere = torch.ones(SHAPE)
    force = FeatureForce(noise(2, SHAPE, 1), noise(2, smaller.shape, 2), to_atlas, everywhere)(torch.zeros(3, *SHAPE))
    assert force[:, 20:].abs().max() == force[..., 20:].abs().max() == 0 < force[:, :20, :20, :20].abs().max()


def test_features_are_compared_on_the_level_that_is_as_coarse():
    shape = (160, 160, 160)
    guided = plan.levels(shape, 1.2, "balanced", 2.0)
    assert [level.by_features for level in guided] == [False, False, True, False]
    alone = plan.levels(shape, 1.2, "balanced")
    assert [level.spacing for level in guided] == [level.spacing for level in alone]
    assert sum(level.steps for level in guided) < sum(level.steps for level in alone)
    assert not any(level.by_features for level in alone)


@pytest.mark.parametrize("spacing", [0.4, 1.0, 9.0])  # the finest level always compares the images
def test_features_of_another_resolution_are_left_alone(spacing):
    shape = (60, 60, 60)
    assert plan.levels(shape, 1.0, "fast", spacing) == plan.levels(shape, 1.0, "fast")


def volumes(bend_mm=0.0, inverted=False):
    image, labels, matrix = phantom((40, 36, 42), bend_mm)
    if inverted:
        image = np.where(image > 100, 1100 - image, image).astype(image.dtype)
    geometry = Geometry(matrix, image.shape)
    return Volume(image, geometry), [Volume(labels, geometry)]


def test_overlapping_layers_have_structures_of_their_own():
    image, (labels,) = volumes()
    other = Volume((labels.array == 4).astype(np.uint8) * 2, labels.geometry)
    found = features_module._structures([labels, other], labels.geometry)
    assert len(found.unique()) == 4
    assert torch.equal(found == found[labels.array == 4][0], torch.from_numpy(labels.array == 4))


def run(monkeypatch, inverted=False, own=True, fewest=3):
    """What a run with a model looked at: the targets whose features were compared, and what was recoloured.

    Three structures, ``fewest`` as are guided.
    """
    monkeypatch.setattr(features_module, "FEWEST", fewest)
    asked, recoloured = [], []
    pair, like_atlas = Features.pair, contrast.like_atlas

    def recorded(features, target, affine):
        asked.append(target)
        return pair(features, target, affine)

    def seen(*arguments):
        recoloured.append(like_atlas(*arguments))
        return recoloured[-1]

    monkeypatch.setattr(atlases, "_kept", {})
    monkeypatch.setattr(package, "fingerprint", lambda *_: models.ANY_ATLAS if own else "of this atlas")
    monkeypatch.setattr(Features, "pair", recorded)
    monkeypatch.setattr(contrast, "like_atlas", seen)
    atlas, labels = volumes()
    target, truth = volumes(2.0, inverted)
    settings = pipeline.Settings("fast", "cpu", "general")
    result = pipeline.segment(
        atlas, labels, target, settings, progress=lambda *_: None, warn=lambda _: None, cancelled=lambda: False
    )
    inside = truth[0].array > 0
    assert (result.labels[0].array == truth[0].array)[inside].mean() > 0.9
    return asked, recoloured


@pytest.mark.parametrize("inverted", [False, True])
def test_a_run_is_guided_by_what_the_atlas_s_own_model_sees_in_its_contrast(monkeypatch, inverted):
    (target,), recoloured = run(monkeypatch, inverted)
    assert any(target is image for image in recoloured) == inverted


def test_both_networks_are_shown_the_atlas_where_a_target_is_cut(monkeypatch):
    """The features that guide, and the masks."""
    atlases_shown, image = [], Frame.image

    def recorded(frame, target, affine, atlas=None):
        if atlas is not None:
            atlases_shown.append(atlas)
        return image(frame, target, affine, atlas)

    monkeypatch.setattr(Frame, "image", recorded)
    run(monkeypatch)
    atlas, labels = volumes()
    (framed,) = Atlas(atlas, labels).framed("cpu")
    assert len(atlases_shown) == 2 and all(torch.equal(shown, framed.image) for shown in atlases_shown)


def test_a_model_that_is_not_of_this_atlas_guides_nothing(monkeypatch):
    assert run(monkeypatch, own=False) == ([], [])


def test_an_atlas_of_few_structures_is_not_guided(monkeypatch):
    assert run(monkeypatch, fewest=4) == ([], [])


def test_a_structure_that_the_features_miss_guides_too():
    image, (labels,) = volumes()
    single = np.zeros_like(labels.array)
    single[17, 19, 20] = 1
    one = Volume(single, labels.geometry)
    atlas = Atlas(image, [one])
    seen = atlas.features(Model().eval(), "cpu")
    assert len(features_module._structures([one], atlas.frame.half).unique()) == 1  # or this shows nothing
    work = work_image(image.geometry)
    force = seen.pair(work, np.eye(4)).force(work, work)(torch.zeros(3, *image.array.shape))
    assert torch.isfinite(force).all()


def test_air_does_not_pull():
    geometry = Geometry(np.eye(4), SHAPE)
    pair = Pair(noise(2, SHAPE, 1), noise(2, SHAPE, 2), geometry, np.eye(4))
    image = work_image(geometry)
    image.foreground[:, :, 16:] = False
    force = pair.force(image, image)(torch.zeros(3, *SHAPE))
    assert force[..., 20:].abs().max() == 0 < force[..., :12].abs().max()


def test_what_a_model_sees_of_an_atlas_is_kept_until_another_model_comes():
    atlas = Atlas(*volumes())
    torch.manual_seed(0)
    one, other = Model().eval(), Model().eval()
    kept, learned = atlas.features(one, "cpu"), atlas.learned(one, "cpu")
    assert atlas.features(one, "cpu") is kept and atlas.learned(one, "cpu") is learned
    assert atlas.features(other, "cpu") is not kept


def test_what_was_made_before_a_device_failed_is_made_anew(monkeypatch):
    """The model's weights have moved there by then."""
    atlas = Atlas(*volumes())
    model = Model().eval()
    kept, learned, made = atlas.features(model, "cpu"), atlas.learned(model, "cpu"), Features.__init__

    def fails(features, model, atlas, device):
        model.medical.to(device)
        raise MemoryError

    monkeypatch.setattr(Features, "__init__", fails)
    with pytest.raises(MemoryError):
        atlas.features(model, "meta")
    monkeypatch.setattr(Features, "__init__", made)
    monkeypatch.setattr(Model, "to", lambda self, _device: self)  # nothing comes back from this device
    fresh = Model().eval()
    monkeypatch.setattr(model, "medical", fresh.medical)
    assert atlas.features(model, "cpu") is not kept and atlas.learned(model, "cpu") is not learned
