"""Targets as files: what their results are called, and which of a folder's entries are targets.

Standard library only, so that Slicer's process can import it.
"""

import os

EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".img.gz", ".img", ".gipl.gz", ".gipl")
SEGMENTATIONS = (".seg.nrrd", ".seg.nhdr")  # images by their extension, but no targets
DICOM = (".dcm", ".dicom", ".ima")
PREAMBLE = 128  # bytes before the letters DICM in a DICOM file


def target_name(path: str) -> str:
    """The name of a target's folder: the file's without its extension, a DICOM folder's as it is."""
    path = os.path.abspath(path)
    name = os.path.basename(path)
    if os.path.isdir(path):
        return name
    for extension in (*SEGMENTATIONS, *EXTENSIONS):
        if name.lower().endswith(extension):
            return name[: -len(extension)]
    return os.path.splitext(name)[0]


def find_targets(folder: str) -> list[str]:
    """The paths of a folder's images, by name: files, and folders in it that hold a DICOM series.

    A folder of DICOM files is one target itself. Raises OSError where the folder cannot be read.
    """
    if _holds_dicom(folder):
        return [folder]
    with os.scandir(folder) as entries:
        named = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    return [entry.path for entry in named if (_holds_dicom(entry.path) if entry.is_dir() else _is_image(entry.name))]


def _is_image(name: str) -> bool:
    name = name.lower()
    # An .img or .mhd's other half is no image of its own: .hdr and .raw are not in the list.
    return name.endswith(EXTENSIONS) and not name.endswith(SEGMENTATIONS)


def _holds_dicom(folder: str) -> bool:
    """Whether the folder's first file is of a DICOM series; a series alone in a folder is what can be read."""
    try:
        with os.scandir(folder) as entries:
            files = [entry.path for entry in entries if entry.is_file() and not entry.name.startswith(".")]
        if not files:
            return False
        first = min(files)
        if first.lower().endswith(DICOM):
            return True
        with open(first, "rb") as file:
            return file.read(PREAMBLE + 4)[PREAMBLE:] == b"DICM"
    except OSError:
        return False
