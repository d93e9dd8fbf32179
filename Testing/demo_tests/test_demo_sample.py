"""The demo's sample: an exact truth under a map without folds; and what the demo does with its output folder."""

import importlib.util

import numpy as np
import pytest
import SimpleITK as sitk
from demo import __main__ as demo_program
from demo import output
from RRLMedSAMLib import brainsample as sample


@pytest.fixture(scope="module")
def made():
    try:
        return sample.make(0)
    except sample.SampleMissing as error:
        pytest.skip(str(error))


def voxel_to_lps(image, voxels):
    """(n, 3) of (i, j, k) -> LPS mm, by SimpleITK."""
    return np.array([image.TransformIndexToPhysicalPoint([int(n) for n in voxel]) for voxel in voxels])


def chosen_voxels(image, count=2000):
    """Random (i, j, k), everywhere in the image."""
    return np.random.default_rng(7).integers(0, image.GetSize(), size=(count, 3))


def test_atlas_and_labels_share_a_grid_and_target_and_truth_another(made):
    def grid(image):
        return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()

    assert grid(made.atlas) == grid(made.atlasLabels)
    assert grid(made.target) == grid(made.truth)
    assert grid(made.atlas) != grid(made.target)


def test_the_truth_is_the_atlass_label_at_the_mapped_point_and_nothing_else(made):
    inside = np.argwhere(sitk.GetArrayFromImage(made.truth) > 0)[::997, ::-1]
    voxels = np.concatenate([inside, chosen_voxels(made.truth)])
    mapped = made.toAtlas(voxel_to_lps(made.truth, voxels))
    checked = 0
    for voxel, point in zip(voxels, mapped):
        at = np.array(made.atlasLabels.TransformPhysicalPointToContinuousIndex(point.tolist()))
        index = np.rint(at).astype(int)
        if np.abs(at - index).max() > 0.499 or (index < 0).any() or (index >= made.atlasLabels.GetSize()).any():
            continue  # on the border between two voxels, or out of view
        assert made.truth[[int(n) for n in voxel]] == made.atlasLabels[index.tolist()]
        checked += 1
    assert checked > 1500


def test_every_structure_is_in_the_atlas_and_in_the_truth_with_a_name_of_its_own(made):
    values = {structure.value for structure in made.structures}
    for image in (made.atlasLabels, made.truth):
        assert set(np.unique(sitk.GetArrayFromImage(image))) - {0} == values
    assert len({structure.name for structure in made.structures}) == len(values) == 83
    assert {"left hippocampus", "right hippocampus", "left rostral middle frontal"} <= {
        structure.name for structure in made.structures
    }


def test_the_known_map_moves_by_millimetres_and_never_folds(made):
    points = voxel_to_lps(made.target, chosen_voxels(made.target))
    moved = np.linalg.norm(made.toAtlas(points) - points, axis=1)
    assert 3 < moved.mean() < 30
    # The displacement is linear between the nodes of its lattice: differences to the next nodes are its derivatives.
    field = made.toAtlas.displacement / sample.NODE_SPACING
    inner = field[:-1, :-1, :-1]
    along = [field[:-1, :-1, 1:] - inner, field[:-1, 1:, :-1] - inner, field[1:, :-1, :-1] - inner]  # x, y, z
    jacobian = np.stack(along, axis=-1) + np.eye(3)
    assert np.linalg.det(jacobian).min() > 0.1
    assert np.linalg.det(made.toAtlas.affine[:3, :3]) > 0.8


def test_the_target_looks_like_another_scan(made):
    """Other contrast, uneven brightness and noise: no function of the atlas's intensity gives the target's."""
    target, truth = (image[:, :, 60:100] for image in (made.target, made.truth))
    still, _ = sample.deformed(made.atlas, made.atlasLabels, target, made.toAtlas)
    still, seen = sitk.GetArrayFromImage(still), sitk.GetArrayFromImage(target).astype(float)
    assert seen.min() >= 0
    brain = sitk.GetArrayFromImage(truth) > 0
    level = np.rint(still[brain] / 4).astype(int).clip(0)
    explained = (np.bincount(level, seen[brain]) / np.bincount(level).clip(1))[level]
    unexplained = (seen[brain] - explained).std() / seen[brain].mean()
    assert 0.03 < unexplained < 0.5
    assert np.corrcoef(still[brain], seen[brain])[0, 1] > 0.5


def test_equal_seeds_give_equal_samples_and_other_seeds_others(made, monkeypatch):
    corner = tuple(slice(60, 100) for _ in range(3))
    small = made.atlas[corner], made.atlasLabels[corner]
    monkeypatch.setattr(sample, "readAtlas", lambda: small)
    first, again, other = sample.make(0), sample.make(0), sample.make(1)
    for name in ("atlas", "atlasLabels", "target", "truth"):
        views = [sitk.GetArrayViewFromImage(getattr(made, name)) for made in (first, again)]
        assert np.array_equal(*views), name
    assert np.array_equal(first.toAtlas.affine, again.toAtlas.affine)
    points = voxel_to_lps(first.target, chosen_voxels(first.target, 100))
    assert np.linalg.norm(first.toAtlas(points) - other.toAtlas(points), axis=1).mean() > 1


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(sample.SampleMissing, match="nilearn"):
        sample.readAtlas()


# ------------------------------------------------------------ the output folder


def test_an_earlier_output_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "demo-output"
    for name in ("first", "second"):
        with output.replacing(folder) as new:
            (new / name).write_text(name)
    assert sorted(path.name for path in folder.iterdir()) == sorted([output.MARKER, "second"])
    assert list(tmp_path.iterdir()) == [folder]


def test_a_failed_run_leaves_the_earlier_output_and_nothing_else(tmp_path):
    folder = tmp_path / "demo-output"
    with output.replacing(folder) as new:
        (new / "first").write_text("first")
    with pytest.raises(KeyboardInterrupt), output.replacing(folder):
        raise KeyboardInterrupt
    assert (folder / "first").exists() and list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_the_program_leaves_alone_what_it_did_not_make(kind, tmp_path, capsys):
    path = tmp_path / "thesis"
    if kind == "folder":
        path.mkdir()
    kept = path / "chapter.txt" if kind == "folder" else path
    kept.write_text("years of work")
    assert demo_program.main(["--output", str(path)]) == 1
    told = capsys.readouterr().err
    assert str(path) in told and "--output" in told and len(told.splitlines()) == 1
    assert kept.read_text() == "years of work"
