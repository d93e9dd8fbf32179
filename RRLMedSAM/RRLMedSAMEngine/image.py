"""Volumes and the files they live in, by SimpleITK."""

import contextlib
import dataclasses
import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from . import dicomheader, nifti
from .errors import bad_input
from .files import patiently, writing_error
from .geometry import Geometry
from .memory import is_out_of_memory

SERIES = "0020|000e"  # DICOM's tag of a series' UID, as GDCM writes it
UNEVEN = 0.2  # of the slices' distance, by which one of a series may lie off its place

sitk.ProcessObject.SetGlobalWarningDisplay(False)


@dataclasses.dataclass(frozen=True, eq=False)
class Volume:
    """An image or label map: ``array`` (k, j, i) of one component, and its geometry."""

    array: np.ndarray
    geometry: Geometry

    def __post_init__(self):
        if self.array.shape != self.geometry.shape:
            raise ValueError(f"array {self.array.shape} and geometry {self.geometry.shape} differ")


def read_volume(path) -> Volume:
    """An image of any format that SimpleITK reads, a folder with one DICOM series, or a file of a series.

    Raises EngineError (bad_input) for what is no 3D image of one component with a usable geometry.
    """
    image = _read(Path(path))
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[..., 0]
    if image.GetDimension() != 3:
        raise bad_input(f"The image has {image.GetDimension()} dimensions.", "Give one 3D volume.")
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise bad_input(
            f"The image has {image.GetNumberOfComponentsPerPixel()} values in each voxel (colour, vectors or "
            "overlapping segments).",
            "Give a volume with one value in each voxel.",
        )
    size = image.GetSize()[::-1]
    try:
        geometry = Geometry.from_parts(image.GetOrigin(), image.GetSpacing(), image.GetDirection(), size)
    except ValueError as error:
        raise bad_input("The image's position or spacing is not valid.", "Export it again.") from error
    if not geometry.is_orthonormal:
        raise _aslant()
    return Volume(sitk.GetArrayFromImage(image), geometry)


def read_labels(path) -> Volume:
    """A label map: like `read_volume`, with values that are whole numbers; returned as integers."""
    labels = read_volume(path)
    if np.issubdtype(labels.array.dtype, np.integer):
        return labels
    rounded = np.rint(labels.array)
    if not np.array_equal(rounded, labels.array) or np.abs(rounded).max() >= 2**62:  # infinite, too
        raise bad_input("The labels are not whole numbers.", "Give a label map, not an image.")
    kind = np.int32 if np.abs(rounded).max() < 2**31 else np.int64
    return Volume(rounded.astype(kind), labels.geometry)


def to_sitk(volume: Volume) -> sitk.Image:
    """As a SimpleITK image; an array (k, j, i, 3) becomes a vector image."""
    image = sitk.GetImageFromArray(volume.array, isVector=volume.array.ndim == 4)
    place(image, volume.geometry)
    return image


def place(image: sitk.Image, geometry: Geometry) -> None:
    """Gives the image the geometry, which must have no shear."""
    image.SetOrigin(geometry.origin.tolist())
    image.SetSpacing(geometry.spacing.tolist())
    image.SetDirection(geometry.direction.ravel().tolist())


def write_image(image: sitk.Image, path) -> None:
    """Writes compressed, under a temporary name first: a failed run leaves no half-written file.

    Not for NIfTI, whose writer tells nothing of a full disk: `nifti.write`.
    Raises EngineError disk_full, or bad_input where the folder cannot be written.
    """
    path = Path(path)
    # The extension decides the format, so the temporary name must keep it. Not in a folder of `tempfile`: on Windows
    # that is for one user alone, and so is what was written there, wherever it is moved.
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        sitk.WriteImage(image, str(temporary), useCompression=True)
        patiently(os.replace, temporary, path)
    except (RuntimeError, OSError) as error:
        raise writing_error(error, path.parent) from error
    finally:
        with contextlib.suppress(OSError):  # what cannot be moved may not be removed either
            temporary.unlink(missing_ok=True)


def _read(path: Path) -> sitk.Image:
    if not path.exists():
        raise bad_input("The file does not exist.", "Check its name.")
    try:
        if path.is_dir():
            return _read_dicom(path)
        header = dicomheader.read(path)
        if header is not None:
            series = header.series or _series_of(path)
            return _read_series(path, series) if series else sitk.ReadImage(str(path))
        if not nifti.is_whole(path):
            raise RuntimeError("cut off")
        return sitk.ReadImage(str(path))
    except (RuntimeError, OSError) as error:
        if is_out_of_memory(error):
            raise
        if "orthonormal" in str(error):  # ITK's word for what it does not read at all
            raise _aslant() from error
        raise bad_input(
            "The file cannot be read as an image: it may be damaged, or of another kind.",
            "Open it in a viewer to check it, or export it again.",
        ) from error


def _aslant():
    return bad_input("The image's axes are not at right angles.", "Resample it to an ordinary grid first.")


def _read_dicom(folder: Path) -> sitk.Image:
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        found = "no DICOM series" if not series else f"{len(series)} DICOM series"
        raise bad_input(f"The folder holds {found}.", "Give a folder with one series, or a file of one.")
    return _read_slices(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0]))


def _series_of(path: Path) -> str:
    """The UID of a DICOM file's series, "" where it has none, by GDCM, which reads the compressed headers that
    `dicomheader` does not. Raises RuntimeError."""
    header = sitk.ImageFileReader()
    header.SetFileName(str(path))
    header.ReadImageInformation()
    return header.GetMetaData(SERIES).strip(" \0") if header.HasMetaDataKey(SERIES) else ""


def _read_series(path: Path, series: str) -> sitk.Image:
    """The whole series of a DICOM file, whose other files lie beside it."""
    return _read_slices(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path.parent), series))


def _read_slices(files) -> sitk.Image:
    """The volume of a series. ITK puts its slices at even distances along their normal, wherever they lie."""
    if len(files) == 1:  # with all of its frames
        return sitk.ReadImage(files[0])
    image = sitk.ReadImage(files)
    is_uneven = "ITK_non_uniform_sampling_deviation" in image.GetMetaDataKeys()
    for number in range(len(files)) if is_uneven else [len(files) - 1]:
        header = sitk.ImageFileReader()
        header.SetFileName(files[number])
        header.ReadImageInformation()
        off = np.subtract(header.GetOrigin(), image.TransformIndexToPhysicalPoint((0, 0, number)))
        if np.linalg.norm(off) > UNEVEN * image.GetSpacing()[2]:
            raise bad_input(
                "The slices of the series do not make one even volume: some are missing or lie aslant, or it shows "
                "several times.",
                "Export it again, or import it in Slicer and save the volume.",
            )
    return image
