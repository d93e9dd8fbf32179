"""The target's own intensities decide where the vote does not, and only there."""

import numpy as np
import pytest
from RRLMedSAMEngine import likelihood

SHAPE = (32, 32, 32)
BORDER = 16  # where the brightness changes along i


@pytest.fixture
def case():
    """A dark left and a bright right half, labelled 1 and 7, with the border one voxel too far to the right."""
    random = np.random.default_rng(0)
    truth = np.full(SHAPE, 1, np.int32)
    truth[:, :, BORDER:] = 7
    image = (np.where(truth == 1, 0.3, 0.8) + random.normal(0, 0.03, SHAPE)).astype(np.float32)
    labels = np.full(SHAPE, 1, np.int32)
    labels[:, :, BORDER + 1 :] = 7
    near = np.zeros(SHAPE, bool)
    near[:, :, BORDER - 2 : BORDER + 3] = True
    where = np.flatnonzero(near)
    candidates = np.repeat(np.array([[1], [7], [7]], np.int32), len(where), axis=1)
    first = np.where(labels.reshape(-1)[where] == 1, 0.6, 0.4).astype(np.float32)
    shares = np.stack([first, 1 - first, np.zeros_like(first)])
    voxels = np.stack(np.unravel_index(where, SHAPE)[::-1]).astype(np.float32)
    return image, truth, labels, where, candidates, shares, voxels


def test_the_border_goes_where_the_brightness_changes(case):
    image, truth, labels, where, candidates, shares, voxels = case
    seen = likelihood.evidence(image, labels, voxels, candidates)
    likelihood.decide(labels, where, candidates, shares, seen)
    assert (labels == truth).mean() > 0.999


def test_equal_brightness_leaves_it_to_the_vote(case):
    image, _, labels, where, candidates, shares, voxels = case
    before = labels.copy()
    seen = likelihood.evidence(np.full_like(image, 0.5), labels, voxels, candidates)
    likelihood.decide(labels, where, candidates, shares, seen)
    assert (labels == before).all()


def test_a_label_that_is_nowhere_yet_is_surprising_but_possible(case):
    image, _, labels, where, candidates, shares, voxels = case
    strange = np.full_like(candidates, 99)
    seen = likelihood.evidence(image, labels, voxels, strange)
    assert np.isfinite(seen).all() and (seen < np.log(0.01)).all()


def test_one_alone_among_others_joins_them():
    labels = np.full((5, 5, 5), 2, np.int32)
    labels[2, 2, 2] = 3
    where = np.array([np.ravel_multi_index((2, 2, 2), labels.shape)])
    candidates, shares = np.array([[3], [2]], np.int32), np.array([[0.6], [0.4]], np.float32)
    likelihood.decide(labels, where, candidates, shares, np.zeros((2, 1), np.float32))
    assert (labels == 2).all()
