"""The vote of partial volumes and of patches."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from RRLMedSAMEngine import fusion  # noqa: E402
from RRLMedSAMEngine.labels import LabelMap, bounding_box  # noqa: E402
from RRLMedSAMEngine.sampling import lattice, sample  # noqa: E402


def test_vote_is_the_argmax_of_interpolated_one_hot_maps():
    torch.manual_seed(0)
    labels = torch.randint(-2, 5, (6, 7, 8), dtype=torch.int32) * 100
    voxels = torch.rand(3, 500) * torch.tensor([[7.0], [6.0], [5.0]])
    winner, share = LabelMap(labels).vote(voxels)
    values = labels.unique()
    shares = torch.stack([sample((labels == v).float()[None], voxels)[0] for v in values])
    best = shares.max(dim=0)
    assert torch.allclose(share, best.values, atol=1e-5)
    clear = shares.topk(2, dim=0).values.diff(dim=0)[0] < -1e-4
    assert torch.equal(winner[clear], values[best.indices][clear])


def test_outside_is_background():
    labels = torch.full((4, 4, 4), 7, dtype=torch.int32)
    winner, share = LabelMap(labels).vote(torch.tensor([[-2.0, 1.0], [1.0, 1.0], [1.0, 1.0]]))
    assert winner.tolist() == [0, 7] and share.tolist() == [1, 1]


def test_plurality_counts_all_votes_of_a_label():
    labels = torch.tensor([[1, 5], [2, 6], [2, 7]])
    weights = torch.tensor([[0.5, 0.2], [0.4, 0.5], [0.3, 0.1]])
    winner, share = fusion.plurality(labels, weights)
    assert winner.tolist() == [2, 6]
    assert torch.allclose(share, torch.tensor([0.7 / 1.2, 0.5 / 0.8]))


def test_borders_reach_as_far_as_asked():
    labels = np.zeros((9, 9, 9), int)
    labels[:, :, 5:] = 3
    near = fusion.near_borders(labels, (2, 1, 1))
    assert near[4, 4].tolist() == [False, False, False, True, True, True, True, False, False]


def test_patches_find_the_atlas_patch_beside():
    """The warped atlas is one voxel off along i: the patch beside has all the weight that nearness leaves it."""
    torch.manual_seed(0)
    target = torch.rand(24, 24, 24)
    voxels = lattice((1, 1, 1), np.array([[1, 0, 0, 12], [0, 1, 0, 12], [0, 0, 1, 12], [0, 0, 0, 1.0]])).flatten(1)
    patches = fusion.PatchVote(target, torch.roll(target, 1, dims=2), radius=1)
    distances = patches.distances(voxels, lambda: None)
    weights = fusion.weights(distances, patches.offsets, torch.ones_like(distances, dtype=torch.bool))[:, 0]
    assert patches.offsets[int(weights.argmax())] == (1, 0, 0)


def test_a_patch_that_does_not_speak_takes_nobody_s_weight():
    """It resembles perfectly, the others hardly: those share the vote among themselves."""
    distances = torch.tensor([[0.0], [90.0], [95.0]])
    weights = fusion.weights(distances, [(0, 0, 0)] * 3, torch.tensor([[False], [True], [True]]))
    assert weights[:, 0].tolist() == pytest.approx([0.0, 1.0, 0.0])
    everyone = fusion.weights(distances, [(0, 0, 0)] * 3, torch.ones(3, 1, dtype=torch.bool))
    assert everyone[:, 0].tolist() == pytest.approx([1.0, 0.0, 0.0])


def test_labels_are_ranked_by_their_votes():
    labels = torch.tensor([[4, 6], [2, 6], [4, 6]], dtype=torch.int32)
    weights = torch.tensor([[0.3, 0.5], [0.5, 0.25], [0.2, 0.25]])
    ranked, shares = fusion.ranking(labels, weights, 2)
    assert {*ranked[:, 0].tolist()} == {2, 4} and torch.allclose(shares[:, 0], torch.tensor([0.5, 0.5]))
    assert ranked[0, 1] == 6 and shares[:, 1].tolist() == [1.0, 0.0]


def test_the_box_around_labels_is_as_small_as_it_can_be():
    held = np.zeros((7, 8, 9), np.uint8)
    assert bounding_box(held) is None
    held[2, 3, 8] = held[5, 1, 4] = 1
    assert bounding_box(held) == (slice(2, 6), slice(1, 4), slice(4, 9))
