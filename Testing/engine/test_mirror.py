"""The atlas's mirror image: which anatomy has one, which labels are exchanged, and what it adds to a run."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing")

from RRLMedSAMEngine import atlas as atlases  # noqa: E402
from RRLMedSAMEngine import mirror, models, package, pipeline, plan  # noqa: E402
from RRLMedSAMEngine.geometry import Geometry  # noqa: E402
from RRLMedSAMEngine.image import Volume  # noqa: E402
from RRLMedSAMEngine.learned import Learned  # noqa: E402
from RRLMedSAMEngine.transfer import Transfer  # noqa: E402

pytestmark = pytest.mark.needs_torch

SHAPE = (40, 44, 48)
LEFT, RIGHT, MIDDLE, ALONE = 7, 3, 20, 250


def body(two_sided=True, alone=False, bend=0.0, flipped=False):
    """A body with an organ on each side and one between them, a little larger on one side.

    ``alone``: a small one has no counterpart. ``bend``: voxels. ``flipped``: stored with i running to the right.
    """
    z, y, x = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    y = y + bend * np.sin(z / 9)

    def ball(centre, radii):
        return sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), centre, radii)) < 1

    image, labels = np.zeros(SHAPE), np.zeros(SHAPE, np.uint8)
    image[ball((23, 22, 20), (21, 19, 17))] = 400
    organs = [(LEFT, (33, 20, 20), (6.5, 8, 7), 800), (MIDDLE, (23, 30, 20), (4, 5, 9), 150)]
    if two_sided:
        organs.append((RIGHT, (13, 20, 20), (6, 8, 7), 800))
    if alone:
        organs.append((ALONE, (17, 12, 28), (2, 2, 2), 1000))
    for value, centre, radii, intensity in organs:
        labels[ball(centre, radii)], image[ball(centre, radii)] = value, intensity
    image += np.random.default_rng(0).normal(0, 10, SHAPE)
    geometry = Geometry(np.diag([2.0, 2.0, 2.0, 1.0]), SHAPE)
    if flipped:
        turn = np.diag([-1.0, 1, 1, 1])
        turn[0, 3] = 2 * (SHAPE[2] - 1)
        geometry = Geometry(turn @ geometry.voxel_to_lps, SHAPE)
        image, labels = image[:, :, ::-1], labels[:, :, ::-1]
    return Volume(image.astype(np.int16), geometry), Volume(labels.copy(), geometry)


def check():
    pass


@pytest.mark.parametrize("flipped", [False, True])
def test_both_sides_exchange_their_labels(flipped):
    atlas, labels = body(flipped=flipped)
    image, exchanged = mirror.mirrored(atlas, labels, check)
    assert np.array_equal(image.array, atlas.array[:, :, ::-1])
    was = labels.array[:, :, ::-1]
    for value, partner in ((LEFT, RIGHT), (RIGHT, LEFT), (MIDDLE, MIDDLE), (0, 0)):
        assert (exchanged.array[was == value] == partner).all()


def test_a_structure_without_a_partner_is_silent():
    atlas, labels = body(alone=True)
    _image, exchanged = mirror.mirrored(atlas, labels, check)
    assert (exchanged.array[labels.array[:, :, ::-1] == ALONE] == mirror.SILENT).all()


def test_an_anatomy_of_one_side_has_none():
    assert mirror.mirrored(*body(two_sided=False), check) is None


def test_structures_that_the_grid_misses_have_none():
    empty = np.zeros((4, 4, 4), np.int32)
    assert mirror._partners(empty, empty) is None


def run(effort, target, model="instant"):
    atlas, labels = body(alone=True)
    return pipeline.segment(
        atlas, [labels], target, pipeline.Settings(effort, "cpu", model),
        progress=lambda *_: None, warn=pytest.fail, cancelled=lambda: False,
    )  # fmt: skip


def test_the_mirror_image_votes_and_takes_no_structure_away():
    target, truth = body(alone=True, bend=1.5)
    found = run("best", target).labels[0].array
    for value in (LEFT, RIGHT, MIDDLE, ALONE):
        both = ((found == value) & (truth.array == value)).sum()
        assert 2 * both / ((found == value).sum() + (truth.array == value).sum()) > (0.7 if value == ALONE else 0.93)
    assert set(np.unique(found)) == {0, LEFT, RIGHT, MIDDLE, ALONE}


def test_it_is_asked_where_the_effort_says_so(monkeypatch):
    monkeypatch.setattr(atlases, "_kept", {})  # another test has used this atlas
    asked = []
    monkeypatch.setattr(mirror, "mirrored", lambda *_: asked.append(True))
    target, _truth = body(bend=1.0)
    for effort in plan.EFFORTS:
        run(effort, target)
    assert len(asked) == sum(effort.mirrored for effort in plan.EFFORTS.values()) == 1


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("effort, beginnings, rounds", [("fast", 1, 1), ("balanced", 1, 2), ("best", 2, 2)])
def test_a_model_begins_with_what_each_atlas_carries_and_the_atlas_s_own_goes_on_with_what_was_found(
    monkeypatch, effort, beginnings, rounds, own
):
    monkeypatch.setattr(package, "fingerprint", lambda *_: models.ANY_ATLAS if own else "of this atlas")
    monkeypatch.setattr(atlases, "_kept", {})
    asked, masks, warped = [], Learned.masks, Transfer.warped
    carried = []

    def recorded(learned, found, labels, geometry, prompts, check):
        asked.append(labels[0].copy())
        return masks(learned, found, labels, geometry, prompts, check)

    def seen(transfer, geometry, check):
        maps, certainty = warped(transfer, geometry, check)
        carried.append(maps[0].copy())
        return maps, certainty

    monkeypatch.setattr(Learned, "masks", recorded)
    monkeypatch.setattr(Transfer, "warped", seen)
    target, _truth = body(alone=True, bend=1.5)
    found = run(effort, target, "general").labels[0].array
    assert len(asked) == beginnings + (rounds - 1 if own else 0)
    first = asked[:beginnings]
    for labels, known in zip(first, carried):
        speaks = known != mirror.SILENT  # where the mirror image does not, the atlas itself does
        assert np.array_equal(labels[speaks], known[speaks]) and np.array_equal(labels[~speaks], first[0][~speaks])
    for later in asked[beginnings:]:
        assert all((later != labels).any() for labels in first)
        assert (later != found).mean() < min((labels != found).mean() for labels in first)
