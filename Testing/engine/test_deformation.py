"""Inverse, folding and the fields' frames."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import SimpleITK as sitk  # noqa: E402
from RRLMedSAMEngine import deformation, filters  # noqa: E402
from RRLMedSAMEngine.deformation import Deformation  # noqa: E402
from RRLMedSAMEngine.geometry import Geometry  # noqa: E402
from RRLMedSAMEngine.image import Volume, to_sitk  # noqa: E402

OBLIQUE = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, -1.0]])
GRID = Geometry.from_parts([3, -40, 12], [1.5] * 3, OBLIQUE, (30, 32, 34))


def smooth_displacement(size=2.0, seed=0):
    torch.manual_seed(seed)
    field = filters.gaussian(torch.randn(3, *GRID.shape), 4.0)
    return field * (size / float(field.abs().max()))


def padded(displacement):
    return deformation.pad_to_zero(displacement, GRID)


def test_the_inverse_undoes_and_the_border_is_still():
    forward, grid = padded(smooth_displacement())
    inverse = deformation.invert(forward, torch.ones(forward.shape[1:], dtype=torch.bool), lambda: None)
    everywhere = torch.ones(forward.shape[1:], dtype=torch.bool)
    for there, back in ((forward, inverse), (inverse, forward)):
        miss = deformation.consistency(there, back, everywhere, 1.0)
        assert miss["mean"] < 0.01 and miss["p95"] < 0.03
    assert float(forward[:, 0].abs().max()) == 0 and float(forward[..., -1].abs().max()) == 0
    assert float(deformation.smallest_corner_jacobian(forward).min()) > 0
    assert np.allclose(grid.to_lps((grid.size_ijk - GRID.size_ijk) // 2), GRID.origin)


def test_jacobian_agrees_with_itk():
    # ITK's filter takes no direction into account: compare on axes in its own.
    grid = Geometry.from_parts([0, 0, 0], [1.5] * 3, np.eye(3), GRID.shape)
    displacement = smooth_displacement(4.0)
    field = deformation.to_lps_field(displacement, grid)
    kept = torch.from_numpy(
        np.moveaxis(field, -1, 0) / np.float32(1.5)
    )  # the displacement, as finely as a field has it
    assert 0 < float((kept - displacement).abs().max()) <= 1 / deformation.FINENESS
    expected = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(to_sitk_field(field, grid)))
    inner = (slice(1, -1),) * 3
    assert np.allclose(deformation.jacobian(kept).numpy()[inner], expected[inner], atol=1e-4)


def test_folds_are_smoothed_away():
    displacement = smooth_displacement(12.0)
    assert bool((deformation.jacobian(displacement) <= 0).any())
    unfolded = deformation.unfold(displacement, lambda: None)
    assert not bool((deformation.smallest_corner_jacobian(unfolded) <= 0).any())


def to_sitk_field(field, geometry):
    image = sitk.GetImageFromArray(field.astype(np.float64), isVector=True)
    for name, value in zip(("Origin", "Spacing", "Direction"), (geometry.origin, geometry.spacing, geometry.direction)):
        getattr(image, "Set" + name)(np.ravel(value).tolist())
    return image


def test_total_fields_map_points_as_itk_reads_them():
    """An oblique work grid, other oblique geometries to sample on, an affine with scale: one convention for all."""
    forward, grid = padded(smooth_displacement())
    inverse = deformation.invert(forward, torch.ones(forward.shape[1:], dtype=torch.bool), lambda: None)
    affine = np.array([[1.1, 0.1, 0, 5], [-0.1, 0.9, 0.05, -8], [0, 0, 1.05, 3], [0, 0, 0, 1.0]])
    found = Deformation(affine, deformation.to_lps_field(forward, grid), deformation.to_lps_field(inverse, grid), grid)
    target = Geometry.from_parts(GRID.to_lps([4, 4, 4]), [1.0, 1.2, 1.7], np.eye(3), (22, 24, 26))
    transform = sitk.DisplacementFieldTransform(to_sitk_field(found.total_forward(target), target))
    work = sitk.DisplacementFieldTransform(to_sitk_field(found.forward, grid))
    voxels = np.random.default_rng(0).integers(0, target.size_ijk, (50, 3)).tolist()
    for point in target.to_lps(voxels):
        expected = affine[:3, :3] @ work.TransformPoint(point.tolist()) + affine[:3, 3]
        assert np.allclose(transform.TransformPoint(point.tolist()), expected, atol=1e-3)
    atlas = Geometry(affine @ target.voxel_to_lps, target.shape)
    back = found.total_inverse(atlas)
    there = found.total_forward(target)
    interior = (slice(4, -4),) * 3
    points = np.stack(np.meshgrid(*map(np.arange, target.shape), indexing="ij"), -1)[..., ::-1]
    mapped = target.to_lps(points) + there
    # T^-1 at the mapped points, read from its samples on the atlas's grid
    from scipy.ndimage import map_coordinates

    at = np.moveaxis(atlas.to_voxel(mapped)[..., ::-1], -1, 0)
    returned = mapped + np.stack([map_coordinates(back[..., c], at, order=1) for c in range(3)], -1)
    miss = np.linalg.norm(returned - target.to_lps(points), axis=-1)[interior]
    assert miss.mean() < 0.05 and np.percentile(miss, 95) < 0.15


def test_slabs_cover_the_grid_once():
    seen = np.zeros(GRID.shape, int)
    for slab, part in deformation.slabs(GRID, voxels=3000):
        seen[slab] += 1
        assert np.allclose(part.origin, GRID.to_lps([0, 0, slab.start]))
    assert (seen == 1).all()


def test_volume_and_geometry_must_agree():
    with pytest.raises(ValueError):
        Volume(np.zeros((3, 3, 3)), GRID)
    assert to_sitk(Volume(np.zeros(GRID.shape), GRID)).GetSize() == (34, 32, 30)
