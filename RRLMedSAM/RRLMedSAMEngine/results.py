"""The files of one target's result, in a folder that appears whole or not at all."""

import contextlib
import json
import os
import shutil
import time
from pathlib import Path

from . import memory, nifti, ownership, segfile
from .errors import EngineError
from .files import patiently, writing_error
from .image import Volume
from .targets import FILES, has_result

OLD = "old"  # folder of what a new result replaces, until it is there


class Exists(EngineError):
    """There is a result already."""

    def __init__(self):
        super().__init__(
            "exists",
            "There is a result already.",
            "Choose another output folder, or have it replaced (--overwrite; in a script overwrite=True).",
        )


@contextlib.contextmanager
def appearing(folder: Path, overwrite: bool):
    """A new folder beside ``folder`` for the result's files, which move to ``folder`` when the block ends well.

    Other files in ``folder`` stay. What killed processes left there is removed. Raises EngineError: `Exists` without
    ``overwrite``, or what writing raises.
    """
    _refuse_to_replace(folder, overwrite)
    ownership.remove_abandoned_parts(folder.parent)
    temporary = Path(ownership.part_of(str(folder)))
    try:
        os.makedirs(temporary)
    except OSError as error:
        raise writing_error(error) from error
    try:
        claim = ownership.claim(temporary)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise writing_error(error) from error
    try:
        yield temporary
        _refuse_to_replace(folder, overwrite)  # another process may have been quicker
        try:
            claim.close()
            patiently(os.unlink, claim.name)
            if folder.exists():
                _exchange(temporary, folder)
            else:
                patiently(os.replace, temporary, folder)
        except OSError as error:
            raise writing_error(error) from error
    finally:
        claim.close()
        if not (temporary / OLD).exists():
            shutil.rmtree(temporary, ignore_errors=True)


def _exchange(new: Path, folder: Path):
    """Moves the result's files from ``new`` to ``folder``. Those that were there make room first, and come back where
    that fails: one may be held open. What cannot come back stays in ``new``'s folder `OLD`."""
    old = new / OLD
    old.mkdir()
    placed = []
    try:
        for name in FILES:
            if (folder / name).exists():
                patiently(os.replace, folder / name, old / name)
        for name in FILES:  # the report last: with it the result is whole
            if (new / name).exists():
                patiently(os.replace, new / name, folder / name)
                placed.append(folder / name)
    except OSError:
        for file in placed:
            with contextlib.suppress(OSError):
                patiently(os.unlink, file)
        for file in old.iterdir():
            with contextlib.suppress(OSError):
                patiently(os.replace, file, folder / file.name)
        with contextlib.suppress(OSError):  # not empty
            old.rmdir()
        raise
    shutil.rmtree(old, ignore_errors=True)


def _refuse_to_replace(folder, overwrite):
    if not overwrite and has_result(folder):
        raise Exists()


def write(folder: Path, result, atlas: Volume, target: Volume, structures, check) -> None:
    """Writes a pipeline's result. ``check()`` is called often and may raise to stop. Raises EngineError.

    ``atlas_to_target`` lies on the target's grid and takes target points to atlas points, ``target_to_atlas`` on the
    atlas's grid and takes atlas points to target points: x + d(x), LPS mm. Named as resampling uses them: the first
    brings the atlas's image to the target. ``result.report`` gets the seconds of the writing and the peak memory.
    """
    started = time.monotonic()
    if len(result.labels) != 1:
        raise ValueError("a label map has no room for overlapping segments")
    labels, deformation, report = result.labels[0], result.deformation, result.report
    try:
        nifti.write(folder / "labels.nii.gz", labels.array, labels.geometry, check)
        segfile.write(labels, structures, folder / "segmentation.seg.nrrd")
        check()
        # Each field lives only while it is written: that of a large CT takes 2 GB.
        place = target.geometry
        nifti.write(folder / "atlas_to_target.nii.gz", deformation.total_forward(place), place, check)
        place = atlas.geometry
        nifti.write(folder / "target_to_atlas.nii.gz", deformation.total_inverse(place), place, check)
        nifti.write(folder / "confidence.nii.gz", result.confidence.array, target.geometry, check)
        report["seconds"]["write"] = round(time.monotonic() - started, 2)
        report["peak_memory_gb"] = round(memory.peak_gb(), 2)
        text = json.dumps(report, indent=1, allow_nan=False)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise writing_error(error) from error
