"""Targets as files: what their results are called, and which of a folder's entries are targets.

Standard library only, so that Slicer's process can import it. A target is an image's file, a folder with a single DICOM
series, or any file of a DICOM series that shares its folder with others.
"""

import collections
import errno
import os
import re

from . import dicomheader

EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".img.gz", ".img", ".gipl.gz", ".gipl")
SEGMENTATIONS = (".seg.nrrd", ".seg.nhdr")  # images by their extension, but no targets
DICOM = re.compile(r"(\.dcm|\.dicom|\.ima|\.\d*|)", re.IGNORECASE)  # extensions; files are called by their UID, too
FILES = (  # of a result, in a folder of the target's name
    "labels.nii.gz",
    "segmentation.seg.nrrd",
    "atlas_to_target.nii.gz",
    "target_to_atlas.nii.gz",
    "confidence.nii.gz",
    "report.json",
)
RESULT = {"report.json", "confidence.nii.gz"}  # a folder with these files is an earlier result
DEEPEST = 8  # folders in folders
MOST_FILES = 100_000
UNFIT = re.compile(r'[\x00-\x1f<>:"/\\|?*]+')  # for a file's name, on some system


def target_name(path: str) -> str:
    """What a target is called: the file without its extension, a DICOM folder as it is, a series in it by its folder,
    number and description."""
    path = os.path.abspath(path)
    name = os.path.basename(path)
    if os.path.isdir(path):
        return name
    for extension in (*SEGMENTATIONS, *EXTENSIONS):
        if name.lower().endswith(extension):
            return name[: -len(extension)]
    header = _header(path)
    if header is not None and (header.number or header.description):
        parts = (_folder_name(path), header.number, header.description)
        return UNFIT.sub("_", "_".join(filter(None, parts)))[:100].rstrip(" .")
    return os.path.splitext(name)[0]


def unique_names(paths, taken=()) -> list[str]:
    """A name for each target, no two the same, nor one of ``taken``, even where capitals count for nothing.

    Where targets share their `target_name`, the folders that they lie in come before it, as many as it takes, and where
    that does not help either a number comes behind it.
    """
    own = [target_name(path) for path in paths]
    names = list(own)
    for depth in range(1, DEEPEST + 1):
        counts = collections.Counter(name.casefold() for name in (*names, *taken))
        for number, path in enumerate(paths):
            if counts[names[number].casefold()] > 1:
                names[number] = "_".join([*_folders(path, own[number])[-depth:], own[number]])
    used = {name.casefold() for name in taken}
    for number, name in enumerate(names):
        count = 1
        while names[number].casefold() in used:
            count += 1
            names[number] = f"{name} ({count})"
        used.add(names[number].casefold())
    return names


def has_result(folder) -> bool:
    """Whether a folder, if it exists, has one of a result's files."""
    return any(os.path.exists(os.path.join(folder, name)) for name in FILES)


def find_targets(folder: str) -> list[str]:
    """The targets in a folder and the folders in it, by name; not hidden ones, segmentations and earlier results.

    Raises OSError where the folder cannot be read, or holds so many files that it cannot be meant.
    """
    os.scandir(folder).close()  # what `walk` cannot read, it leaves out
    found, count = [], 0
    for place, folders, files in os.walk(folder):
        count += len(files)
        if count > MOST_FILES:
            raise OSError(errno.E2BIG, f"it holds more than {MOST_FILES} files")
        is_result = files and set(files) >= RESULT
        is_deep = os.path.relpath(place, folder).count(os.sep) >= DEEPEST
        folders[:] = [] if is_result or is_deep else sorted(name for name in folders if not name.startswith("."))
        if not is_result:
            found += [os.path.join(place, name) for name in sorted(files) if _is_image(name)] + find_series(place)
    return found


def find_series(folder: str) -> list[str]:
    """The targets of a folder's own DICOM files, by number. Raises OSError."""
    files_of = {}
    with os.scandir(folder) as entries:
        candidates = [entry for entry in entries if _may_be_dicom(entry.name) and entry.is_file()]
    for path in sorted(entry.path for entry in candidates):
        header = _header(path)
        if header is not None:
            files_of.setdefault(header.series, (header, path))
    series = sorted(files_of.values(), key=lambda each: (each[0].number.zfill(9), each[1]))
    paths = [path for header, path in series if header.is_image]
    return [folder] if paths and len(series) == 1 else paths


def _is_image(name):
    name = name.lower()
    # An .img or .mhd's other half is no image of its own: .hdr and .raw are not in the list.
    return name.endswith(EXTENSIONS) and not name.startswith(".") and not name.endswith(SEGMENTATIONS)


def _may_be_dicom(name):
    return not name.startswith(".") and DICOM.fullmatch(os.path.splitext(name)[1]) is not None


def _header(path):
    """The header of a DICOM file, None for what is none or cannot be read."""
    try:
        return dicomheader.read(path)
    except OSError:
        return None


def _folder_name(path):
    return os.path.basename(os.path.dirname(path))


def _folders(path, name):
    """The names of the folders above a target that its own ``name`` does not tell, from the outermost on."""
    place = os.path.dirname(os.path.abspath(path))
    if name.startswith(_folder_name(path) + "_"):  # a series
        place = os.path.dirname(place)
    return [name for name in os.path.splitdrive(place)[1].split(os.sep) if name]
