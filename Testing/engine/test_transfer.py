"""Labels are carried in the box that they can reach, and nowhere else is missed."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing")

from RRLMedSAMEngine import deformation  # noqa: E402
from RRLMedSAMEngine.geometry import Geometry  # noqa: E402
from RRLMedSAMEngine.image import Volume  # noqa: E402
from RRLMedSAMEngine.labels import LabelMap  # noqa: E402
from RRLMedSAMEngine.sampling import sample  # noqa: E402
from RRLMedSAMEngine.transfer import Transfer  # noqa: E402


def turned(degrees, axis, spacing, origin):
    """(4, 4), voxels -> LPS mm."""
    angle = np.radians(degrees)
    skew = np.zeros((3, 3))
    skew[[(axis + 1) % 3, (axis + 2) % 3], [(axis + 2) % 3, (axis + 1) % 3]] = -1, 1
    matrix = np.eye(4)
    matrix[:3, :3] = torch.matrix_exp(torch.from_numpy(angle * skew)).numpy() * spacing
    matrix[:3, 3] = origin
    return matrix


def carrier(places):
    """A `Transfer` of one layer for each of the ``places`` of a small structure, and the target's geometry."""
    atlas = Geometry(turned(20, 2, (1.5, 1.0, 2.0), (-30, -25, 12)), (40, 50, 36))
    layers = []
    for number, (k, j, i) in enumerate(places, start=1):
        array = np.zeros(atlas.shape, np.uint8)
        array[k : k + 5, j : j + 4, i : i + 6] = number
        layers.append(Volume(array, atlas))
    affine = turned(-35, 0, (1.1, 0.9, 1.05), (6, -4, 3))
    grid = Geometry(turned(10, 1, (2.0, 2.0, 2.0), (-60, -60, -60)), (60, 60, 60))
    knots = torch.randn((1, 3, 6, 6, 6), generator=torch.Generator().manual_seed(1))
    bent = 2.5 * torch.nn.functional.interpolate(knots, grid.shape, mode="trilinear", align_corners=True)[0]
    displacement, grid = deformation.pad_to_zero(bent, grid)
    target = Geometry(turned(65, 2, (1.2, 1.2, 1.6), (38, -98, -28)), (80, 110, 100))
    return Transfer(layers, affine, displacement, grid), layers, affine, displacement, grid, target


def test_the_box_that_structures_reach_holds_all_that_is_carried():
    transfer, layers, affine, displacement, grid, target = carrier([(30, 8, 5), (12, 30, 20), (20, 20, 8)])
    maps, certainty = transfer.warped(target, lambda: None)
    # Every voxel of the target by itself, through points in the world.
    points = target.to_lps(np.stack(np.meshgrid(*map(np.arange, target.shape), indexing="ij")[::-1], -1).reshape(-1, 3))
    at = torch.from_numpy(grid.to_voxel(points).T.astype(np.float32))
    moved = grid.to_lps((at + sample(displacement, at, padding="zeros")).T.double().numpy())
    there = layers[0].geometry.to_voxel(moved @ affine[:3, :3].T + affine[:3, 3])
    for layer, found in zip(layers, maps):
        expected, share = LabelMap(torch.from_numpy(layer.array.astype(np.int32))).vote(
            torch.from_numpy(there.T).float()
        )
        sure = (share > 0.51).numpy()  # beside a tie, where rounding decides
        assert found.any() and np.array_equal(found.reshape(-1)[sure], expected.numpy()[sure])
    box = transfer.reached(target)
    outside = np.ones(target.shape, bool)
    outside[box] = False
    assert outside.mean() > 0.3 and (certainty[outside] == 100).all() and (certainty < 100).any()


def test_nothing_is_carried_to_a_target_that_lies_beside():
    transfer, *_, target = carrier([(20, 20, 8)])
    beside = target.part([slice(1000, 1040), slice(0, 60), slice(0, 60)])
    maps, certainty = transfer.warped(beside, lambda: None)
    assert maps[0].shape == certainty.shape == beside.shape and not maps[0].any() and (certainty == 100).all()


def test_a_layer_without_a_structure_carries_nothing():
    transfer, layers, affine, displacement, grid, target = carrier([(20, 20, 8)])
    empty = Volume(np.zeros_like(layers[0].array), layers[0].geometry)
    alone, both = (Transfer(held, affine, displacement, grid) for held in ([empty], [empty, layers[0]]))
    assert not alone.warped(target, lambda: None)[0][0].any()
    found = both.warped(target, lambda: None)[0]
    assert not found[0].any() and np.array_equal(found[1], transfer.warped(target, lambda: None)[0][0])
    assert both.reached(target) == transfer.reached(target)  # nothing is looked for where no structure is
