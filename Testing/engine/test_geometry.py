"""Where voxels lie, against SimpleITK as the independent witness."""

import numpy as np
import pytest
import SimpleITK as sitk
from RRLMedSAMEngine.geometry import Geometry
from RRLMedSAMEngine.image import Volume, read_volume, to_sitk

DIRECTION = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, -1.0]])  # oblique and left-handed
GEOMETRY = Geometry.from_parts([11.5, -30.25, 7.0], [0.7, 1.1, 3.0], DIRECTION, (5, 6, 7))


def test_voxels_lie_where_simpleitk_says():
    image = to_sitk(Volume(np.zeros((5, 6, 7), np.uint8), GEOMETRY))
    for voxel in ((0, 0, 0), (6, 5, 4), (3, 1, 2)):
        assert np.allclose(GEOMETRY.to_lps(voxel), image.TransformIndexToPhysicalPoint(voxel), atol=1e-9)
        assert np.allclose(GEOMETRY.to_voxel(GEOMETRY.to_lps(voxel)), voxel)


def test_a_file_keeps_array_and_geometry(tmp_path):
    array = np.random.default_rng(0).integers(0, 1000, (5, 6, 7)).astype(np.int16)
    sitk.WriteImage(to_sitk(Volume(array, GEOMETRY)), str(tmp_path / "a.nrrd"))
    volume = read_volume(tmp_path / "a.nrrd")
    assert np.array_equal(volume.array, array)
    assert volume.geometry.matches(GEOMETRY, 1e-6)


def test_matching_and_overlap():
    moved = GEOMETRY.voxel_to_lps.copy()
    moved[:3, 3] += [0.01, 0, 0]
    assert not Geometry(moved, GEOMETRY.shape).matches(GEOMETRY)
    assert Geometry(moved, GEOMETRY.shape).overlaps(GEOMETRY)
    moved[:3, 3] += [500, 0, 0]
    assert not Geometry(moved, GEOMETRY.shape).overlaps(GEOMETRY)


def test_a_small_volume_in_a_large_one_overlaps_it_either_way_round():
    large = Geometry.from_parts([0, 0, 0], [1, 1, 1], np.eye(3), (600, 400, 400))
    small = Geometry.from_parts([160, 160, 305], [1, 1, 1], np.eye(3), (50, 80, 80))
    assert large.overlaps(small) and small.overlaps(large)


@pytest.mark.parametrize("spoil", [lambda m: m * np.nan, lambda m: m * [[0], [1], [1], [1]], lambda m: m[:3]])
def test_an_impossible_geometry_is_refused(spoil):
    with pytest.raises(ValueError):
        Geometry(spoil(GEOMETRY.voxel_to_lps), (5, 6, 7))


def test_a_part_lies_where_its_voxels_did():
    whole = Geometry([[0, -2, 0.3, 5], [1, 0, 0, -7], [0, 0.2, 3, 9], [0, 0, 0, 1]], (6, 7, 8))
    part = whole.part([slice(2, 5), slice(-1, 9), slice(3, 4)])
    assert part.shape == (3, 10, 1)
    assert np.allclose(part.to_lps((0, 4, 1)), whole.to_lps((3, 3, 3)))
    low, high = part.corners.min(axis=0), part.corners.max(axis=0)
    everywhere = part.to_lps(np.stack(np.meshgrid([0], range(10), range(3)), -1).reshape(-1, 3))
    assert np.allclose(everywhere.min(axis=0), low) and np.allclose(everywhere.max(axis=0), high)
