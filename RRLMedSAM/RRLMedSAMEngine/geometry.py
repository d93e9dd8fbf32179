"""Where the voxels of a volume lie in the world."""

import dataclasses
import functools
import itertools

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Geometry:
    """A voxel grid in the world.

    ``voxel_to_lps``: (4, 4) float64, voxel coordinates (i, j, k) -> LPS mm. It may carry any invertible
    linear part: oblique, left-handed, anisotropic, and scale or shear of a parent transform.
    ``shape``: (k, j, i), as the array in memory.
    """

    voxel_to_lps: np.ndarray
    shape: tuple[int, int, int]

    def __post_init__(self):
        matrix = np.array(self.voxel_to_lps, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.array_equal(matrix[3], [0, 0, 0, 1]):
            raise ValueError("voxel_to_lps must be a finite 4x4 affine matrix")
        if abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
            raise ValueError("voxel_to_lps must be invertible")
        matrix.setflags(write=False)
        object.__setattr__(self, "voxel_to_lps", matrix)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @classmethod
    def from_parts(cls, origin, spacing, direction, shape) -> "Geometry":
        """From ITK's parts: origin (3,) LPS mm, spacing (3,) mm along i, j, k, direction (3, 3) by columns."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.asarray(direction, float).reshape(3, 3) * np.asarray(spacing, float)
        matrix[:3, 3] = origin
        return cls(matrix, shape)

    @property
    def size_ijk(self) -> np.ndarray:
        """Number of voxels along i, j, k."""
        return np.array(self.shape[::-1])

    @functools.cached_property
    def spacing(self) -> np.ndarray:
        """Distance of neighbouring voxels along i, j, k in mm."""
        return np.linalg.norm(self.voxel_to_lps[:3, :3], axis=0)

    @property
    def direction(self) -> np.ndarray:
        """(3, 3), the unit vectors of i, j, k as columns; orthonormal unless the matrix has shear."""
        return self.voxel_to_lps[:3, :3] / self.spacing

    @property
    def origin(self) -> np.ndarray:
        """Centre of the first voxel in LPS mm."""
        return self.voxel_to_lps[:3, 3]

    @functools.cached_property
    def lps_to_voxel(self) -> np.ndarray:
        return np.linalg.inv(self.voxel_to_lps)

    @property
    def centre(self) -> np.ndarray:
        """Centre of the field of view in LPS mm."""
        return self.to_lps((self.size_ijk - 1) / 2)

    @property
    def corners(self) -> np.ndarray:
        """Centres of the eight voxels at the corners in LPS mm: (8, 3)."""
        return self.to_lps(list(itertools.product(*((0, n - 1) for n in self.size_ijk))))

    @property
    def voxel_volume_ml(self) -> float:
        return abs(float(np.linalg.det(self.voxel_to_lps[:3, :3]))) / 1000

    @property
    def is_orthonormal(self) -> bool:
        return bool(np.allclose(self.direction.T @ self.direction, np.eye(3), atol=1e-4))

    def to_lps(self, voxels) -> np.ndarray:
        """(..., 3) voxel coordinates (i, j, k) -> (..., 3) LPS mm."""
        return np.asarray(voxels) @ self.voxel_to_lps[:3, :3].T + self.voxel_to_lps[:3, 3]

    def to_voxel(self, points) -> np.ndarray:
        """(..., 3) LPS mm -> (..., 3) voxel coordinates (i, j, k)."""
        return np.asarray(points) @ self.lps_to_voxel[:3, :3].T + self.lps_to_voxel[:3, 3]

    def box_around(self, points, reach_mm: float = 0.0) -> tuple[slice, slice, slice]:
        """The voxels, slices along k, j, i, around ``points`` (n, 3) in LPS mm and ``reach_mm`` around these; at least
        one voxel, even where none is there."""
        at = self.to_voxel(points)
        reach = reach_mm * np.linalg.norm(self.lps_to_voxel[:3, :3], axis=1)  # in voxels along i, j, k
        first = np.clip(np.floor(at.min(axis=0) - reach), 0, self.size_ijk - 1).astype(int)
        stop = np.clip(np.ceil(at.max(axis=0) + reach) + 1, first + 1, self.size_ijk).astype(int)
        return tuple(slice(*ends) for ends in zip(first.tolist()[::-1], stop.tolist()[::-1]))

    def matches(self, other: "Geometry", tolerance_mm: float = 1e-3) -> bool:
        """Whether every voxel of the other grid lies where this one's does."""
        corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]) * self.size_ijk
        return self.shape == other.shape and bool(
            np.allclose(self.to_lps(corners), other.to_lps(corners), atol=tolerance_mm)
        )

    def overlaps(self, other: "Geometry") -> bool:
        """Whether the fields of view share space: a lattice of points of each, tested in the other."""
        return self._reaches_into(other) or other._reaches_into(self)

    def _reaches_into(self, other):
        steps = [np.linspace(-0.5, n - 0.5, 9) for n in self.size_ijk]
        lattice = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3)
        inside = other.to_voxel(self.to_lps(lattice))
        return bool(((inside >= -0.5) & (inside <= other.size_ijk - 0.5)).all(axis=1).any())

    def part(self, box) -> "Geometry":
        """The grid of the voxels in a ``box``, slices with a start and a stop along k, j, i; it may reach outside."""
        first = self.voxel_to_lps.copy()
        first[:3, 3] = self.to_lps([axis.start for axis in box[::-1]])
        return Geometry(first, [axis.stop - axis.start for axis in box])

    def rounded(self) -> "Geometry":
        """To a millionth of a millimetre: the same however many conversions the numbers went through."""
        return Geometry(self.voxel_to_lps.round(6), self.shape)

    def to_matrix(self) -> tuple:
        """The matrix as the protocol's rows."""
        return to_rows(self.voxel_to_lps)


def to_rows(matrix: np.ndarray) -> tuple:
    """A (4, 4) matrix as the protocol's rows."""
    return tuple(tuple(float(x) for x in row) for row in matrix)
