"""The demo's sample at its real size, and the demo as a program. Its parts: test_setup_sample."""

import numpy as np
import pytest

sitk = pytest.importorskip("SimpleITK")
from demo import __main__ as program  # noqa: E402
from demo import sample  # noqa: E402


@pytest.fixture(scope="module")
def made():
    try:
        return sample.make(0)
    except sample.SampleMissing as error:
        pytest.skip(str(error))


def test_every_structure_is_in_the_truth(made):
    values = {structure.value for structure in made.structures}
    for image in (made.atlas_labels, made.truth):
        assert set(np.unique(sitk.GetArrayViewFromImage(image))) - {0} == values


def test_the_truth_is_the_atlass_label_at_the_mapped_point(made):
    inside = np.argwhere(sitk.GetArrayViewFromImage(made.truth) > 0)[::997, ::-1]
    points = np.array([made.truth.TransformIndexToPhysicalPoint(voxel.tolist()) for voxel in inside])
    checked = 0
    for voxel, point in zip(inside, made.to_atlas(points)):
        at = np.array(made.atlas_labels.TransformPhysicalPointToContinuousIndex(point.tolist()))
        if np.abs(at - np.rint(at)).max() > 0.499:
            continue  # between two voxels either is right
        index = np.rint(at).astype(int).tolist()
        assert made.truth.GetPixel(voxel.tolist()) == made.atlas_labels.GetPixel(index)
        checked += 1
    assert checked > 500


def test_no_function_of_the_atlass_intensity_gives_the_targets(made):
    """Contrast alone would be such a function; uneven brightness and noise are not."""
    target, truth = (image[:, :, 60:100] for image in (made.target, made.truth))
    still, _ = sample.deformed(made.atlas, made.atlas_labels, target, made.to_atlas)
    brain = sitk.GetArrayViewFromImage(truth) > 0
    still, seen = (sitk.GetArrayViewFromImage(image)[brain].astype(float) for image in (still, target))
    level = np.rint(still / 4).astype(int).clip(0)
    explained = (np.bincount(level, seen) / np.bincount(level).clip(1))[level]
    assert 0.03 < (seen - explained).std() / seen.mean() < 0.5
    assert np.corrcoef(still, seen)[0, 1] > 0.5


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_the_program_leaves_alone_what_it_did_not_make(kind, tmp_path, capsys):
    path = tmp_path / "thesis"
    if kind == "folder":
        path.mkdir()
    kept = path / "chapter.txt" if kind == "folder" else path
    kept.write_text("years of work")
    assert program.main(["--output", str(path)]) == 1
    told = capsys.readouterr().err
    assert str(path) in told and "--output" in told and len(told.splitlines()) == 1
    assert kept.read_text() == "years of work"
