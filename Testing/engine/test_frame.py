"""The atlas's frame: oblique, left-handed and anisotropic volumes meet in it where they shall."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing")

from RRLMedSAMEngine.frame import MARGIN_MM, MULTIPLE, frame_atlas, make_frame, numbered  # noqa: E402
from RRLMedSAMEngine.geometry import Geometry  # noqa: E402
from RRLMedSAMEngine.image import Volume  # noqa: E402
from RRLMedSAMEngine.intensity import find_window  # noqa: E402
from RRLMedSAMEngine.networks.encoder import Encoder  # noqa: E402
from RRLMedSAMEngine.networks.sizes import Sizes  # noqa: E402
from RRLMedSAMEngine.sampling import lattice, nearest, sample  # noqa: E402
from RRLMedSAMEngine.workgrid import WorkImage, anatomy_box, to_work_grid  # noqa: E402

pytestmark = pytest.mark.needs_torch

TURN = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, -1.0]])  # left-handed
SHAPE = (22, 24, 26)


def geometry(spacing=(2.0, 2.0, 2.0), direction=TURN, centre=(5.0, -20.0, 30.0), shape=SHAPE):
    matrix = np.eye(4)
    matrix[:3, :3] = direction * spacing
    matrix[:3, 3] = centre - matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return Geometry(matrix, shape)


def positions(grid):
    """(k, j, i, 3) LPS mm of the grid's voxels."""
    return torch.from_numpy(np.moveaxis(lattice(grid.shape, grid.voxel_to_lps).numpy(), 0, -1).copy())


def block(grid):
    labels = np.zeros(grid.shape, np.uint8)
    labels[6:16, 7:18, 8:17] = 40
    labels[8:12, 9:14, 10:14] = 7
    return Volume(labels, grid)


def work_image(grid):
    """Intensities that tell where a voxel lies: 0.01 x + 0.02 y - 0.015 z."""
    image = (positions(grid) * torch.tensor([0.01, 0.02, -0.015])).sum(-1)
    return WorkImage(image, grid, torch.ones(grid.shape, dtype=torch.bool), np.zeros((3, 2), bool))


AFFINE = np.array([[0.0, -1.05, 0.1, 12.0], [0.95, 0.0, 0.0, -7.0], [0.0, 0.1, 1.1, 4.0], [0, 0, 0, 1]])


def test_the_frame_holds_the_structures_and_their_margin():
    labels = block(geometry(spacing=(1.5, 2.0, 3.0)))
    frame = make_frame([labels], 1.5)
    assert np.allclose(frame.grid.direction, np.eye(3)) and np.allclose(frame.grid.spacing, 1.5)
    assert all(n % MULTIPLE == 0 for n in frame.grid.shape)
    where = labels.geometry.to_lps(np.argwhere(labels.array)[:, ::-1])
    voxels = frame.grid.to_voxel(where) * 1.5
    assert voxels.min() >= MARGIN_MM - 1.5
    assert ((frame.grid.size_ijk - 1) * 1.5 - voxels.max(axis=0)).min() >= MARGIN_MM - 1.5


def test_an_atlas_along_the_axes_is_not_interpolated():
    """Its voxels lie on the frame's, flipped axes or not."""
    grid = geometry(spacing=(1.0, 1.0, 1.0), direction=np.diag([-1.0, -1.0, 1.0]))
    frame = make_frame([block(grid)], 1.0)
    offsets = grid.to_voxel(frame.grid.origin)
    assert np.allclose(offsets, np.round(offsets), atol=1e-6)


def test_a_large_atlas_gets_wider_voxels():
    grid = geometry(spacing=(40.0, 40.0, 40.0))
    assert make_frame([block(grid)], 0.5).spacing > 1.0


def test_the_networks_can_see_the_frame_of_a_single_voxel():
    labels = block(geometry(spacing=(1.0, 1.0, 1.0)))
    labels.array[...] = 0
    labels.array[3, 3, 3] = 1
    frame = make_frame([labels], 1.0)
    with torch.no_grad():
        features = Encoder(Sizes())(torch.rand(1, 1, *frame.grid.shape))
    assert all(bool(torch.isfinite(f).all()) and float(f.std()) > 0 for f in features)


def test_labels_are_where_they_lie_in_space():
    grid = geometry(spacing=(1.5, 2.0, 3.0))
    labels = block(grid)
    frame = make_frame([labels], 1.0)
    atlas = frame_atlas(frame, work_image(grid), labels)
    assert atlas.values.tolist() == [7, 40] and atlas.count == 3
    volumes = [float((atlas.labels == n).sum()) * 1.0 for n in (1, 2)]
    expected = [float((labels.array == v).sum()) * 9.0 for v in (7, 40)]
    assert np.allclose(volumes, expected, rtol=0.1)
    centre = np.argwhere(labels.array == 7).mean(axis=0)[::-1]
    found = np.argwhere(atlas.labels.numpy() == 1).mean(axis=0)[::-1]
    assert np.allclose(frame.grid.to_lps(found), grid.to_lps(centre), atol=0.3)


def test_an_aligned_targets_image_shows_what_the_alignment_says():
    """The frame's voxel y shows the target's intensity at affine^-1(y)."""
    target = work_image(geometry(spacing=(2.0, 2.0, 2.0), shape=(40, 42, 44)))
    frame = make_frame([block(geometry())], 2.0)
    image = frame.image(target, AFFINE)
    inverse = np.linalg.inv(AFFINE)
    points = positions(frame.grid).double().numpy() @ inverse[:3, :3].T + inverse[:3, 3]
    voxels = target.grid.to_voxel(points)
    inside = ((voxels >= 0) & (voxels <= target.grid.size_ijk - 1)).all(axis=-1)
    assert inside.sum() > 1000
    expected = points @ [0.01, 0.02, -0.015]
    assert np.abs(image.numpy() - expected)[inside].max() < 1e-4


def test_beyond_a_face_that_cuts_the_target_the_atlas_is_shown():
    """From 8 mm on, seen from the target: near the face, and beyond the others, the face's voxels go on."""
    target = work_image(geometry(spacing=(2.0, 2.0, 2.0), shape=(8, 9, 10)))
    target.cut[0, 1] = target.cut[2, 0] = True  # towards more i, and towards less k
    frame = make_frame([block(geometry())], 2.0)
    atlas = torch.full(frame.grid.shape, 5.0)
    inverse = np.linalg.inv(AFFINE)
    voxels = target.grid.to_voxel(positions(frame.grid).double().numpy() @ inverse[:3, :3].T + inverse[:3, 3])
    last = target.grid.size_ijk - 1
    beyond = (voxels[..., 0] > last[0] + 4) | (voxels[..., 2] < -4)
    assert 500 < beyond.sum() < beyond.size - 500
    image = frame.image(target, AFFINE, atlas)
    assert bool((image[torch.from_numpy(beyond)] == 5.0).all())
    assert torch.equal(image[torch.from_numpy(~beyond)], frame.image(target, AFFINE)[torch.from_numpy(~beyond)])


def test_a_displacement_in_the_frame_leads_to_the_same_atlas_point():
    """y + d(y) = affine(x + u(x)) with x = affine^-1(y), to a hundredth of a millimetre."""
    grid = geometry(spacing=(2.0, 2.0, 2.0), shape=(40, 42, 44))
    torch.manual_seed(0)
    u = torch.nn.functional.interpolate(torch.randn(1, 3, 5, 5, 5), size=grid.shape, mode="trilinear")[0]
    frame = make_frame([block(geometry())], 2.0)
    d = frame.displacement(u, grid, AFFINE)
    y = positions(frame.grid).double().numpy()
    inverse = np.linalg.inv(AFFINE)
    x = grid.to_voxel(y @ inverse[:3, :3].T + inverse[:3, 3])
    inside = ((x >= 1) & (x <= grid.size_ijk - 2)).all(axis=-1)
    moved = sample(u, torch.from_numpy(np.moveaxis(x, -1, 0).astype(np.float32))).numpy()
    there = grid.to_lps(x + np.moveaxis(moved, 0, -1)) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    found = y + np.moveaxis(d.numpy(), 0, -1) @ frame.grid.voxel_to_lps[:3, :3].T
    assert inside.sum() > 1000
    assert np.abs(found - there)[inside].max() < 0.01


def test_the_frame_seen_from_the_target_is_where_the_alignment_puts_it():
    frame = make_frame([block(geometry())], 2.0)
    seen = frame.seen_from(AFFINE)
    point = seen.to_lps([3.0, 4.0, 5.0])
    assert np.allclose(AFFINE[:3, :3] @ point + AFFINE[:3, 3], frame.grid.to_lps([3.0, 4.0, 5.0]))


def test_values_are_numbered_in_ascending_order():
    found = numbered(np.array([0, 7, 40, 9, -3]), np.array([-3, 7, 40]))
    assert found.tolist() == [0, 2, 3, 0, 1]
    assert numbered(np.array([0, 5]), np.array([], int)).tolist() == [0, 0]


def test_nearest_labels_are_zero_outside():
    labels = block(geometry())
    away = geometry(centre=(500.0, 0.0, 0.0))
    assert not nearest(labels.array, labels.geometry, away).any()
    assert np.array_equal(nearest(labels.array, labels.geometry, labels.geometry), labels.array)


def test_of_a_large_atlas_only_what_the_frame_shows_is_looked_at():
    random = np.random.default_rng(0)
    grid = geometry(spacing=(1.5, 1.5, 1.5), direction=np.eye(3), shape=(90, 100, 110))
    values = torch.nn.functional.interpolate(torch.rand(1, 1, 12, 12, 12), grid.shape, mode="trilinear")[0, 0]
    volume = Volume(values.numpy() + random.normal(0, 0.01, grid.shape).astype(np.float32), grid)
    labels = np.zeros(grid.shape, np.uint8)
    labels[40:48, 50:58, 60:70] = 3
    frame = make_frame([Volume(labels, grid)], 1.5)
    window = find_window(volume.array, "atlas")
    box = anatomy_box(volume, window)
    part = frame.atlas_image(volume, window, box, "cpu")
    whole = to_work_grid(volume, window, frame.spacing, box, "cpu")
    assert part.image.numel() < whole.image.numel() / 8
    assert torch.allclose(frame.image(part, np.eye(4)), frame.image(whole, np.eye(4)), atol=1e-5)
