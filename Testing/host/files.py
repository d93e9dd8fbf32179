"""Reads and writes the scene's data by MRML's own logics; slicer.util's functions need the desktop's readers."""

import os

import slicer


def loadVolume(path):
    """Any format that MRML reads. Raises OSError where that fails, as all here."""
    return _loaded(_logic("volumes").AddArchetypeVolume(str(path), _name(path)), path)


def loadLabelMap(path):
    labelMapOption = 1
    return _loaded(_logic("volumes").AddArchetypeVolume(str(path), _name(path), labelMapOption), path)


def loadSegmentation(path):
    """A .seg.nrrd file."""
    return _loaded(_logic("segmentations").LoadSegmentationFromFile(str(path)), path)


def loadScene(path):
    """A .mrb file, in place of what the scene holds."""
    slicer.mrmlScene.Clear(False)
    folder = os.getcwd()
    try:
        return _loaded(slicer.mrmlScene.ReadFromMRB(os.path.abspath(path)), path)
    finally:
        os.chdir(folder)  # a bundle that cannot be read leaves the process in a temporary folder


def saveScene(path):
    """A .mrb file."""
    if not slicer.mrmlScene.WriteToMRB(str(path)):
        raise OSError(f"Cannot write {path}.")


def _logic(name):
    return getattr(slicer.modules, name).logic()


def _name(path):
    return os.path.basename(path).split(".")[0]


def _loaded(result, path):
    if not result:
        raise OSError(f"Cannot read {path}.")
    return result
