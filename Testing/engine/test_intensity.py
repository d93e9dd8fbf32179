"""Windows found for MR, CT and cropped organs, and work grids trimmed to the anatomy."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from RRLMedSAMEngine import intensity, plan, workgrid  # noqa: E402
from RRLMedSAMEngine.geometry import Geometry  # noqa: E402
from RRLMedSAMEngine.image import Volume  # noqa: E402


def ball(shape=(40, 44, 48), centre=(20, 22, 24), radius=12.0, inside=500.0, outside=0.0, noise=0.0):
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    array = np.where(np.linalg.norm(grid - centre, axis=-1) < radius, inside, outside)
    return array + np.random.default_rng(0).normal(0, noise, shape) if noise else array


def test_hounsfield_units_are_recognised():
    array = ball(inside=40, outside=-1000, noise=10).astype(np.int16)
    window = intensity.find_window(array, "target")
    assert window.kind == "CT"
    mapped = window.apply(array)
    assert abs(float(np.median(mapped)) - 24 / (window.high + 1024)) < 0.02
    assert (mapped[20, 22, 24] > window.foreground) and mapped[0, 0, 0] < window.foreground


@pytest.mark.parametrize("outside, kind", [(-1000, "CT"), (0, "MR")])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_what_fills_up_a_volume_does_no_harm(outside, kind, share):
    array = ball(inside=40, outside=outside, noise=10)
    filled = array.copy()
    filled[:, : int(share * array.shape[1] / 2)] = filled[:, -int(share * array.shape[1] / 2) :] = -32768
    window = intensity.find_window(filled, "target")
    assert window.kind == kind
    organ = np.linalg.norm(np.stack(np.indices(array.shape), -1) - (20, 22, 24), axis=-1) < 8
    expected = intensity.find_window(array, "target").apply(array)[organ]
    assert np.allclose(window.apply(filled)[organ], expected, atol=0.2)
    assert float(window.apply(filled)[organ].std()) > 0.5 * float(expected.std())


@pytest.mark.parametrize("scale, offset", [(1, 0), (1e-4, 5), (3000, -2000)])
def test_any_scale_of_an_unknown_image_gives_the_same(scale, offset):
    array = ball(noise=20)
    window = intensity.find_window(array * scale + offset, "target")
    expected = intensity.find_window(array, "target").apply(array)
    assert np.allclose(window.apply(array * scale + offset), expected, atol=1e-3)


def test_bright_outliers_and_nothing_finite_voxels_do_no_harm():
    array = ball(noise=20)
    clean = intensity.find_window(array, "target").apply(array)
    array[3, 3, 3], array[5, 5, 5] = 1e9, np.nan
    mapped = intensity.find_window(array, "target").apply(array)
    assert np.isfinite(mapped).all() and mapped.max() <= 1.2 + 1e-6
    assert abs(mapped[20, 22, 24] - clean[20, 22, 24]) < 0.05


def box_of(array):
    volume = Volume(array, Geometry(np.eye(4), array.shape))
    return workgrid.anatomy_box(volume, intensity.find_window(array, "target"))


def test_the_box_holds_the_anatomy_and_its_margin():
    centre = np.array([44, 42, 40])  # i, j, k
    first, last, cut = box_of(ball(shape=(80, 84, 88), centre=centre[::-1]))
    assert not cut.any()
    assert (first <= centre - 12).all() and (last >= centre + 12).all()
    assert (first > centre - 30).all() and (last < centre + 30).all()


def test_a_face_that_cuts_the_anatomy_gets_no_margin():
    first, _, cut = box_of(ball(centre=(4, 22, 24)))
    assert cut.tolist() == [[False, False], [False, False], [True, False]]  # i, j, k; first and last face
    assert first[2] == 0


def test_a_grid_of_the_same_spacing_crops_and_does_not_interpolate():
    array = ball(noise=30)
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]) * 1.5
    volume = Volume(array, Geometry(matrix, array.shape))
    window = intensity.find_window(array, "target")
    work = workgrid.to_work_grid(volume, window, 1.5, workgrid.anatomy_box(volume, window), "cpu")
    i, j, k = np.rint(volume.geometry.to_voxel(work.grid.origin)).astype(int)
    nk, nj, ni = work.grid.shape
    crop = window.apply(array)[k : k + nk, j : j + nj, i : i + ni]
    assert np.allclose(work.image.numpy()[: crop.shape[0], : crop.shape[1], : crop.shape[2]], crop, atol=1e-4)


def test_the_plan_follows_extent_spacing_and_effort():
    brain = 150 * 180 * 150.0
    assert plan.work_spacing(brain, brain, [1.0, 1.0], "balanced") == 1.0
    assert plan.work_spacing(brain, brain, [1.0, 0.5], "best") == 1.0  # nothing to match finer than the coarser image
    body = 380 * 380 * 600.0
    fast, best = (plan.work_spacing(body, body, [0.75, 0.75], effort) for effort in ("fast", "best"))
    assert fast > best > 1.5
    # A small part of a body is seen more finely than all of it, and not so finely that the atlas has no room.
    part = plan.work_spacing(brain, body, [0.5, 0.5], "fast")
    assert 0.5 < part < fast and body / part**3 < 1.01e7
    for shape, count in (((150, 180, 150), 4), ((35, 51, 35), 2), ((26, 52, 37), 2), ((10, 12, 11), 1)):
        levels = plan.levels(shape, 1.0, "balanced")
        assert len(levels) == count and levels[-1].spacing == 1.0
