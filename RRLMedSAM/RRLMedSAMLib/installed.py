"""The record of what was put on the disk from here, so that it can be listed and removed, and nothing else."""

import csv
import importlib
import importlib.metadata
import json
import os
import sysconfig
from typing import NamedTuple

import slicer

from .errors import RunError
from .messages import _


class Added(NamedTuple):
    """What was put on the disk from here. ``size``: bytes of the files in its own list; ``folder``: where they are."""

    version: str
    size: int
    folder: str


def distributions():
    """Names; a pip that was ended may leave some without one."""
    return {_nameOf(each) for each in importlib.metadata.distributions()} - {None}


def listed():
    """What was put on the disk from here and is still there: `Added` by name."""
    recorded = _recorded()
    found = {_nameOf(each): each for each in importlib.metadata.distributions()}
    return {name: _added(found[name]) for name in recorded if name in found}


def workersFolder():
    """A folder of this user and this Slicer whose packages only the worker sees; it exists where it needs any."""
    return _settings(f"packages-{{}}-{sysconfig.get_platform()}")


def workers():
    """What is in the `workersFolder`: `Added` by name."""
    return {_nameOf(each): _added(each) for each in importlib.metadata.distributions(path=[workersFolder()])}


def record(before):
    """Adds the distributions that are new since ``before`` to the record; those that are gone leave it.

    Returns a `RunError` where the new ones could not be added, else None; the record stays as it was then.
    """
    importlib.invalidate_caches()
    present, recorded = distributions(), _recorded()
    names = sorted({*(present & set(recorded)), *(present - before)})
    if names == recorded:
        return None
    path = _recordPath()
    try:
        with open(path + ".part", "w", encoding="utf-8") as file:
            json.dump(names, file)
        os.replace(path + ".part", path)
    except OSError as error:
        added = sorted(set(names) - set(recorded))
        return _notRecorded(added, error) if added else None  # what is gone is not listed anyway


def _recorded():
    try:
        with open(_recordPath(), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):  # nothing was installed yet
        return []


def _notRecorded(added, error):
    text = _("What was installed could not be written down: {reason}.").format(reason=error.strerror)
    action = _(
        "See that Slicer's settings folder exists and can be written to; 'Remove what was installed' does not know of "
        "{names}, so delete that with pip where you do not want it."
    )
    return RunError("not_recorded", text, action.format(names=", ".join(added)))


def _recordPath():
    return _settings("installed-{}.json")


def _settings(name):
    """A path in the folder of settings that all of a user's Slicers share; ``name``: with {} for the revision."""
    folder = os.path.dirname(slicer.app.slicerUserSettingsFilePath)
    return os.path.join(folder, "RRLMedSAM-" + name.format(slicer.app.revision))


def _added(distribution):
    return Added(distribution.version, _size(distribution), str(distribution.locate_file("")))


def _size(distribution):
    """From its list, not from the files: PyTorch has 10000."""
    rows = csv.reader((distribution.read_text("RECORD") or "").splitlines())
    return sum(int(row[2]) for row in rows if len(row) == 3 and row[2].isdigit())


def _nameOf(distribution):
    return distribution.metadata["Name"]
