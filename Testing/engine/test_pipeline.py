"""Whole runs in one process: phantoms whose truth is known, and what must be refused."""

import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from enginekit import SPACING, phantom  # noqa: E402
from RRLMedSAMEngine import confidence, intensity, likelihood, pipeline, plan  # noqa: E402
from RRLMedSAMEngine.errors import Cancelled, EngineError  # noqa: E402
from RRLMedSAMEngine.geometry import Geometry  # noqa: E402
from RRLMedSAMEngine.image import Volume  # noqa: E402
from scipy import ndimage  # noqa: E402


def volumes(shape=(36, 34, 38), bend_mm=0.0):
    image, labels, matrix = phantom(shape, bend_mm)
    geometry = Geometry(matrix, shape)
    return Volume(image, geometry), Volume(labels, geometry)


ATLAS, LABELS = volumes()


def run(atlas=ATLAS, labels=(LABELS,), target=ATLAS, warn=None, cancelled=lambda: False, progress=None, **settings):
    return pipeline.segment(
        atlas,
        list(labels),
        target,
        pipeline.Settings(**{"effort": "fast", "device": "cpu", **settings}),
        progress=progress or (lambda *_: None),
        warn=warn or (lambda text: None),
        cancelled=cancelled,
    )


def dice(a, b, value):
    return 2 * ((a == value) & (b == value)).sum() / ((a == value).sum() + (b == value).sum())


def with_array(volume, array):
    return Volume(array, volume.geometry)


def test_a_bent_phantom_is_segmented():
    target, truth = volumes((38, 36, 34), bend_mm=3.0)
    result = run(target=target, effort="balanced")
    assert result.labels[0].geometry.matches(target.geometry)
    assert min(dice(result.labels[0].array, truth.array, v) for v in (4, 9, 30)) > 0.9
    assert result.report["folding_percent"] == 0
    assert result.report["inverse_consistency_mm"]["mean"] < 0.1
    assert result.report["inverse_consistency_mm"]["p95"] < 0.5
    json.dumps(result.report, allow_nan=False)


@pytest.mark.parametrize("spared", [1, 8])
def test_intensities_are_looked_at_on_the_targets_own_voxels(monkeypatch, spared):
    """Also where the registration's are larger: ``spared`` times less of them."""
    target, truth = volumes((38, 36, 34), bend_mm=3.0)
    coarse = dataclasses.replace(plan.EFFORTS["fast"], voxels=target.array.size / spared)
    monkeypatch.setitem(plan.EFFORTS, "fast", coarse)
    seen, evidence = [], likelihood.evidence
    monkeypatch.setattr(likelihood, "evidence", lambda image, *rest: seen.append(image) or evidence(image, *rest))
    result = run(target=target)
    assert result.report["work_grid"]["spacing_mm"] == pytest.approx(SPACING * spared ** (1 / 3), rel=0.1)
    # Whichever way it is turned, no voxel is interpolated.
    window = intensity.find_window(target.array, "target")
    own = window.apply(target.array)
    assert np.isin(np.round(seen[0][2:-2, 2:-2, 2:-2], 4), np.round(own, 4)).mean() > 0.99
    assert min(dice(result.labels[0].array, truth.array, v) for v in (4, 9, 30)) > (0.9 if spared == 1 else 0.8)


def test_identical_volumes_keep_their_labels():
    result = run(effort="balanced")
    assert min(dice(result.labels[0].array, LABELS.array, v) for v in (4, 9, 30)) > 0.995


def test_the_same_seed_gives_the_same_result():
    target, _ = volumes((38, 36, 34), bend_mm=3.0)
    first, second = run(target=target), run(target=target)
    assert np.array_equal(first.labels[0].array, second.labels[0].array)
    assert np.array_equal(first.deformation.forward, second.deformation.forward)


def test_large_and_negative_values_empty_structures_and_layers_are_kept():
    wide = np.where(LABELS.array == 4, 70000, np.where(LABELS.array == 9, -3, 0)).astype(np.int32)
    rest = np.where(LABELS.array == 30, 1, 0).astype(np.uint8)
    rest[0, 0, 0] = 2  # a voxel in the air, which no target voxel need win
    result = run(labels=(with_array(LABELS, wide), with_array(LABELS, rest)))
    assert dice(result.labels[0].array, wide, 70000) > 0.99 and dice(result.labels[0].array, wide, -3) > 0.99
    assert dice(result.labels[1].array, rest, 1) > 0.98
    rows = {(row["layer"], row["label"]): row for row in result.report["structures"]}
    assert set(rows) == {(0, 70000), (0, -3), (1, 1), (1, 2)}


def test_labels_on_another_grid_are_used_where_they_lie():
    half = Geometry(LABELS.geometry.voxel_to_lps @ np.diag([2.0, 2.0, 2.0, 1.0]), (18, 17, 19))
    told = []
    result = run(labels=[Volume(LABELS.array[::2, ::2, ::2].copy(), half)], warn=told.append)
    assert min(dice(result.labels[0].array, LABELS.array, v) for v in (4, 9)) > 0.8
    assert any("another grid" in text for text in told)


def test_volumes_apart_in_space_are_brought_together():
    away = LABELS.geometry.voxel_to_lps.copy()
    away[:3, 3] += [900, 0, 0]
    told = []
    result = run(target=Volume(ATLAS.array, Geometry(away, ATLAS.array.shape)), warn=told.append)
    assert min(dice(result.labels[0].array, LABELS.array, v) for v in (4, 9, 30)) > 0.95
    assert any("apart" in text for text in told)


def spoiled(value, share):
    array = ATLAS.array.astype(np.float32)
    array[np.random.default_rng(0).random(array.shape) < share] = value
    return with_array(ATLAS, array)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_some_invalid_voxels_are_background_with_a_warning(value):
    told = []
    result = run(target=spoiled(value, 0.002), warn=told.append)
    assert dice(result.labels[0].array, LABELS.array, 4) > 0.9
    assert any("not a number" in text for text in told)


def test_unrelated_images_are_told():
    told = []
    noise = np.random.default_rng(0).integers(0, 1000, (40, 40, 40)).astype(np.int16)
    run(target=Volume(noise, Geometry(np.diag([2.0, 2.0, 2.0, 1.0]), noise.shape)), warn=told.append)
    assert any("hardly agree" in text for text in told)


BAD = {
    "constant target": lambda: {"target": with_array(ATLAS, np.full_like(ATLAS.array, 7))},
    "constant atlas": lambda: {"atlas": with_array(ATLAS, np.zeros_like(ATLAS.array))},
    "nothing finite": lambda: {"target": with_array(ATLAS, np.full(ATLAS.array.shape, np.nan, np.float32))},
    "empty segmentation": lambda: {"labels": [with_array(LABELS, np.zeros_like(LABELS.array))]},
    "labels of more than 32 bits": lambda: {"labels": [with_array(LABELS, LABELS.array.astype(np.int64) * 10**9)]},
    "one slice": lambda: {"target": Volume(ATLAS.array[:1], Geometry(ATLAS.geometry.voxel_to_lps, (1, 34, 38)))},
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_registered_is_refused(name):
    with pytest.raises(EngineError) as error:
        run(**BAD[name]())
    assert error.value.code == "bad_input" and error.value.text and error.value.action


def test_a_segmentation_beside_its_atlas_is_refused():
    away = LABELS.geometry.voxel_to_lps.copy()
    away[:3, 3] += [900, 0, 0]
    with pytest.raises(EngineError) as error:
        run(labels=[Volume(LABELS.array, Geometry(away, LABELS.array.shape))])
    assert error.value.code == "no_overlap"


def test_an_unknown_model_is_refused():
    with pytest.raises(EngineError) as error:
        run(model="nothing.rrl")
    assert error.value.code == "bad_model"


def test_progress_rises_and_cancel_is_heard_in_every_stage():
    seen = []
    run(progress=lambda *event: seen.append(event))
    fractions = [fraction for _, fraction, _ in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    stages = list(dict.fromkeys(stage for stage, _, _ in seen))
    assert stages == ["read", "align", "deform", "transfer"]
    for stage in stages[1:]:
        reached = []
        with pytest.raises(Cancelled):
            run(progress=lambda s, *_: reached.append(s), cancelled=lambda stage=stage: stage in reached)


def alone(value):
    return Volume(np.where(LABELS.array == value, value, 0).astype(np.uint8), LABELS.geometry)


def distance_mm(labels):
    return ndimage.distance_transform_edt(labels == 0, LABELS.geometry.spacing[::-1])


def test_doubt_is_shown_near_structures_alone():
    random = np.random.default_rng(3)
    spoiled = Volume((ATLAS.array + 150 * random.normal(size=ATLAS.array.shape)).astype(np.int16), ATLAS.geometry)
    result = run(target=spoiled, labels=[alone(4)])
    distance = distance_mm(result.labels[0].array)
    assert (result.confidence.array[distance > confidence.NEAR_MM + 8] == 100).all()
    assert result.confidence.array[(distance > 0) & (distance < confidence.NEAR_MM - 4)].mean() < 90


def test_a_structure_that_others_vote_for_far_from_the_carried_ones_is_as_doubtful_as_it_looks(monkeypatch):
    """A second atlas's patches may find it where the first one's registration has nothing."""
    random = np.random.default_rng(3)
    spoiled = Volume((ATLAS.array + 150 * random.normal(size=ATLAS.array.shape)).astype(np.int16), ATLAS.geometry)
    far = np.unravel_index(distance_mm(alone(4).array).argmax(), LABELS.array.shape)
    there = tuple(slice(max(n - 2, 0), n + 3) for n in far)

    def refine(_borders, maps, _certainty, within=None):
        maps[0][there] = 4

    monkeypatch.setattr(pipeline.Borders, "refine", refine)
    result = run(target=spoiled, labels=[alone(4)])
    assert result.labels[0].array[far] == 4 and distance_mm(alone(4).array)[far] > 2 * confidence.NEAR_MM
    assert result.confidence.array[there].mean() < 90
