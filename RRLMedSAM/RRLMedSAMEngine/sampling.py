"""Trilinear sampling of volumes at points given in voxel coordinates."""

import numpy as np
import torch
import torch.nn.functional as F


def lattice(shape, matrix: np.ndarray, device="cpu") -> torch.Tensor:
    """Where a matrix (4, 4) takes each voxel (i, j, k) of a grid ``shape`` (k, j, i): (3, k, j, i), float32.

    Computed in float64 along each axis, so that a shift of hundreds of voxels costs no accuracy.
    """
    axes = [torch.arange(n, dtype=torch.float64, device=device) for n in reversed(shape)]
    result = torch.empty(3, *shape, dtype=torch.float32, device=device)
    for row in range(3):
        i, j, k = (float(matrix[row, column]) * axis for column, axis in enumerate(axes))
        result[row] = (k[:, None, None] + float(matrix[row, 3])) + j[:, None] + i
    return result


def places(index: np.ndarray, geometry, grid) -> np.ndarray:
    """Where the voxels of one `Geometry` with these flat indices lie on another, ``grid``: (3, n), (i, j, k)."""
    at = np.stack(np.unravel_index(index, geometry.shape)[::-1])
    matrix = grid.lps_to_voxel @ geometry.voxel_to_lps
    return (matrix[:3, :3] @ at + matrix[:3, 3:]).astype(np.float32)


def sample(volume: torch.Tensor, voxels: torch.Tensor, padding: str = "border") -> torch.Tensor:
    """``volume`` (c, k, j, i) at ``voxels`` (3, ...), coordinates (i, j, k): (c, ...).

    ``padding``: ``border`` continues the outermost voxel, ``zeros`` fades to zero outside the grid.
    """
    size = volume.shape[:0:-1]
    # grid_sample's coordinates: -1 and 1 are the centres of the first and last voxel
    scales = [(2 / (n - 1), -1) if n > 1 else (2, 0) for n in size]
    if voxels.requires_grad:
        points = torch.stack([v * scale + shift for v, (scale, shift) in zip(voxels, scales)], dim=-1)
    else:
        points = torch.empty(*voxels.shape[1:], 3, dtype=volume.dtype, device=volume.device)
        for c, (scale, shift) in enumerate(scales):
            torch.mul(voxels[c], scale, out=points[..., c]).add_(shift)
    return _grid_sample(volume, points.reshape(-1, 3), padding).reshape(volume.shape[0], *voxels.shape[1:])


def _grid_sample(volume: torch.Tensor, points: torch.Tensor, padding: str) -> torch.Tensor:
    """(c, k, j, i) at (n, 3) -> (c, n). On a CPU torch shares only the batch among threads: make one."""
    parts = torch.get_num_threads() if volume.device.type == "cpu" else 1
    each = len(points) // parts
    result = torch.empty(volume.shape[0], len(points), dtype=volume.dtype, device=volume.device)
    for first, count, batch in ((0, each, parts), (each * parts, len(points) - each * parts, 1)):
        if not count:
            continue
        grid = points[first : first + count * batch].view(batch, 1, 1, count, 3)
        values = F.grid_sample(
            volume.expand(batch, *volume.shape), grid, mode="bilinear", padding_mode=padding, align_corners=True
        )
        result[:, first : first + count * batch] = (
            values.view(batch, -1, count).transpose(0, 1).reshape(volume.shape[0], -1)
        )
    return result


def nearest(labels: np.ndarray, geometry, grid) -> np.ndarray:
    """Labels (k, j, i) of one `Geometry` at the voxels of another, ``grid``; 0 outside."""
    at = lattice(grid.shape, geometry.lps_to_voxel @ grid.voxel_to_lps).round_().long().numpy()
    limits = geometry.size_ijk.reshape(3, 1, 1, 1)
    inside = ((at >= 0) & (at < limits)).all(axis=0)
    i, j, k = np.clip(at, 0, limits - 1)
    return labels[k, j, i] * inside
