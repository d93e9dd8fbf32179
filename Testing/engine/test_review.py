"""Each structure's confidence, the reasons to doubt it, and the place that is the least sure."""

import numpy as np
import pytest
from RRLMedSAMEngine.geometry import Geometry
from RRLMedSAMEngine.review import Evidence, structures

SHAPE = (30, 32, 34)
MATRIX = np.array([[-2.0, 0, 0, 10], [0, 0, 2.0, -5], [0, 2.0, 0, 3], [0, 0, 0, 1]])  # flipped, axes exchanged
GEOMETRY = Geometry(MATRIX, SHAPE)
VALUES = np.array([3, 250])


@pytest.fixture
def labels():
    found = np.zeros(SHAPE, np.uint8)
    found[5:15, 6:16, 7:17] = 3
    found[18:28, 18:30, 20:33] = 250
    return found


@pytest.fixture
def evidence():
    return Evidence(np.full(SHAPE, 90, np.uint8), np.full(SHAPE, 95, np.uint8), np.full(SHAPE, 10, np.uint8))


def rows(labels, evidence, values=VALUES, expected=None):
    if expected is None:
        expected = [float((labels == value).sum()) * 0.008 for value in values]
    return structures(labels, values, 0, np.array(expected), evidence, GEOMETRY, 2.0)


def test_a_sure_structure_has_no_reason(labels, evidence):
    first, second = rows(labels, evidence)
    assert (first["label"], first["layer"], first["reasons"]) == (3, 0, [])
    assert first["volume_ml"] == pytest.approx(1000 * 0.008) and second["label"] == 250 and second["reasons"] == []


def test_the_confidence_is_the_dice_that_surface_and_doubt_let_expect(labels, evidence):
    share = 1 - 8**3 / 10**3  # of the first structure's voxels, a cube's, that are surface
    first, second = rows(labels, evidence)
    assert first["confidence"] == pytest.approx(100 * (1.1 - 0.25 * share - 1.4 * share * 0.1), abs=0.06)
    assert second["confidence"] > first["confidence"]  # it is larger
    evidence.confidence[6:14, 7:15, 8:16] = 0  # inside: no matter
    assert rows(labels, evidence)[0] == {**first, "check_at_lps": rows(labels, evidence)[0]["check_at_lps"]}
    evidence.confidence[:] = 40
    assert rows(labels, evidence)[0]["confidence"] < first["confidence"] - 30


def test_the_surface_is_as_thick_as_a_voxel_of_the_work_grid(labels, evidence):
    fine = structures(labels, VALUES, 0, np.array([8.0, 12.48]), evidence, GEOMETRY, 2.0)
    coarse = structures(labels, VALUES, 0, np.array([8.0, 12.48]), evidence, GEOMETRY, 4.0)
    assert coarse[0]["confidence"] < fine[0]["confidence"]


def test_a_structure_that_was_not_found_is_told(labels, evidence):
    missing = rows(labels, evidence, np.array([3, 7, 250]))[1]
    assert missing["confidence"] is None and missing["reasons"] == ["not_found"] and missing["check_at_lps"] is None
    assert missing["volume_ml"] == 0


def test_each_reason_is_told_of_the_structure_it_holds_for(labels, evidence):
    evidence.agreement[labels == 3] = 30
    evidence.stretch[labels == 250] = 80
    assert [row["reasons"] for row in rows(labels, evidence)] == [["low_agreement"], ["large_deformation"]]


@pytest.mark.parametrize(("factor", "is_told"), [(1.0, False), (1.6, False), (1.8, True), (0.65, False), (0.5, True)])
def test_a_volume_that_the_atlas_does_not_suggest(labels, evidence, factor, is_told):
    first, _second = rows(labels, evidence, expected=[8.0 / factor, 1560 * 0.008])
    assert first["reasons"] == (["unexpected_volume"] if is_told else [])


@pytest.mark.parametrize("face", range(6))
def test_a_structure_at_the_edge_of_the_view_is_cut(labels, evidence, face):
    edge = [slice(10, 12)] * 3
    edge[face // 2] = slice(-1, None) if face % 2 else slice(0, 1)
    labels[tuple(edge)] = 3
    assert [row["reasons"] for row in rows(labels, evidence)] == [["cut_by_view"], []]


def test_the_place_to_check_is_inside_the_structure_where_the_doubt_is(labels, evidence):
    evidence.confidence[12:15, 7:10, 8:11] = 20
    evidence.confidence[0:4] = 0  # of no structure
    first, _second = rows(labels, evidence)
    i, j, k = np.linalg.inv(MATRIX)[:3] @ [*first["check_at_lps"], 1]
    assert 12 <= k <= 14 and 7 <= j <= 9 and 8 <= i <= 10


def test_a_large_structure_is_looked_at_in_steps(monkeypatch, labels, evidence):
    evidence.confidence[12:15, 12:16, 13:17] = 10
    exact = rows(labels, evidence)[0]["check_at_lps"]
    monkeypatch.setattr("RRLMedSAMEngine.review.MOST_VOXELS", 300)
    near = rows(labels, evidence)[0]["check_at_lps"]
    assert np.linalg.norm(np.array(exact) - near) < 8.0  # mm: two steps of two voxels
