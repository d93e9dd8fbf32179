"""Votes of patches and of a model are counted together, voxel by voxel."""

import numpy as np
import pytest
import torch
from RRLMedSAMEngine.ballot import Ballot, MeanVotes, together
from RRLMedSAMEngine.likelihood import LEAST_SHARE

ALL = slice(None)
LABELS = np.array([[[5, 5, 7, 7]]], np.int32)


@pytest.fixture
def ballot():
    """Of the voxels 1 and 2: one in doubt between 5 and 7, and one that is sure to be 7."""
    candidates = np.array([[5, 7], [7, 0]], np.int32)
    return Ballot(np.array([1, 2]), candidates, np.array([[0.6, 1.0], [0.4, 0.0]], np.float32))


def share_of(ballot, column, label):
    shares = ballot.shares[:, column]
    return float(shares[(ballot.candidates[:, column] == label) & (shares > 0)].sum())


def test_others_are_counted_with_their_weight(ballot):
    labels = torch.tensor([[7, 7], [5, 7]], dtype=torch.int32)
    weights = torch.tensor([[0.9, 0.5], [0.1, 0.5]])
    both = ballot.joined_by(labels, weights, 0.5, ALL)
    five, seven = (0.6 * 0.1) ** 0.5, (0.4 * 0.9) ** 0.5
    assert share_of(both, 0, 5) == pytest.approx(five / (five + seven))
    assert share_of(both, 1, 7) == pytest.approx(1)
    np.testing.assert_allclose(both.shares.sum(axis=0), 1, atol=1e-6)


def test_without_weight_the_others_change_nothing_and_with_all_of_it_they_decide(ballot):
    labels, weights = torch.tensor([[7, 7]], dtype=torch.int32), torch.ones(1, 2)
    assert share_of(ballot.joined_by(labels, weights, 0.0, ALL), 0, 5) == pytest.approx(0.6)
    assert share_of(ballot.joined_by(labels, weights, 1.0, ALL), 0, 7) == pytest.approx(1 / (1 + LEAST_SHARE))


@pytest.mark.parametrize("label", [9, 0])
def test_a_label_that_only_the_others_know_becomes_a_candidate(ballot, label):
    """0, the background, is also the filler of columns with fewer candidates: only a share tells them apart."""
    labels = torch.full((1, 2), label, dtype=torch.int32)
    for share, wins in ((0.25, False), (0.75, True)):
        both = ballot.joined_by(labels, torch.ones(1, 2), share, ALL)
        for column in (0, 1):
            assert 0 < share_of(both, column, label) < 1
            assert (share_of(both, column, label) > 0.5) == wins


def test_more_voxels_have_the_label_of_the_map(ballot):
    wide = ballot.extended(LABELS, np.array([0, 1, 3]))
    assert wide.where.tolist() == [0, 1, 2, 3]
    assert [share_of(wide, column, label) for column, label in ((0, 5), (1, 5), (1, 7), (3, 7))] == pytest.approx(
        [1, 0.6, 0.4, 1]
    )


def test_parts_make_the_whole(ballot):
    labels, weights = torch.tensor([[7, 9]], dtype=torch.int32), torch.ones(1, 2)
    whole = ballot.joined_by(labels, weights, 0.3, ALL)
    parts = [ballot.joined_by(labels[:, p], weights[:, p], 0.3, p) for p in (slice(0, 1), slice(1, 2))]
    joined = together(parts)
    for name in ("where", "candidates", "shares"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))


class Voter:
    """Gives each voxel the same label."""

    count = 1

    def __init__(self, label):
        self._label = label

    def at(self, voxels):
        return torch.full((1, voxels.shape[1]), self._label, dtype=torch.int32), torch.ones(1, voxels.shape[1])


def test_several_voters_are_as_one_that_gives_the_mean(ballot):
    one, other = Voter(5), Voter(7)
    both = MeanVotes([one, MeanVotes([other, other])])
    labels, weights = both.at(torch.zeros(3, 2))
    assert both.count == len(labels) == 3
    assert weights.sum(dim=0).tolist() == [1, 1] and weights[labels[:, 0] == 7].sum(dim=0).tolist() == [0.5, 0.5]
