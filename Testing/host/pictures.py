"""`python -m host.pictures FOLDER`: the tutorial's pictures, taken while a user would go through it.

The sample is the phantom, so that the pictures can be made anywhere PyTorch is, and stay true.
"""

import argparse
import os
import pathlib
import sys
import tempfile

import numpy as np

from .events import pump, screenshot
from .load import loadModule
from .picture import writePng
from .runtime import boot
from .views import SliceView
from .window import Window

MODULE = pathlib.Path(__file__).resolve().parents[2] / "RRLMedSAM" / "RRLMedSAM.py"
SIZE = (880, 640)  # pixels of the window; a README shows no more
THUMBNAIL = (280, 260)  # pixels, as the module 'Sample Data' shows its samples
LONGEST_RUN = 300  # s


def makePictures(folder, prepare=lambda logic: None):
    """Writes the pictures and returns their paths. ``prepare``: called with the module's logic before the first step.

    Raises RuntimeError where the sample could not be segmented.
    """
    mrml = boot()
    mrml.clear()
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    loaded = loadModule(MODULE)
    try:
        prepare(loaded.widget.logic)
        window = Window(loaded, mrml)
        window.resize(*SIZE)
        window.show()
        paths = []
        for number, name in enumerate(_steps(loaded.widget.panel, window), start=1):
            paths.append(folder / f"step{number}-{name}.png")
            screenshot(window, paths[-1])
        paths.append(thumbnail(mrml, segmentations()[0], folder / "thumbnail.png"))
        window.takeCentralWidget().deleteLater()
        window.close()
    finally:
        loaded.unload()
        mrml.clear()
    return paths


def _steps(panel, window):
    """Generator of the steps' names; each is taken when the window shows it."""
    import qt
    from RRLMedSAMLib.sampledata import addPhantom

    ui, logic = panel.ui, panel.logic
    atlas, segmentation, target = addPhantom()
    _showOutlines(segmentation)
    window.updateViews()
    yield "sample"
    ui.atlasVolumeSelector.setCurrentNode(atlas)
    ui.atlasSegmentationSelector.setCurrentNode(segmentation)
    ui.targetSelector.setCurrentNode(target)
    ui.effortComboBox.setCurrentIndex(0)
    yield "inputs"
    ui.applyButton.click()
    pump(lambda: not logic.isBusy or ui.progressBar.value > 20, LONGEST_RUN)
    yield "running"
    pump(lambda: not logic.isBusy, LONGEST_RUN)
    result = logic.getParameterNode().resultSegmentation
    if result is None:
        raise RuntimeError(f"The sample was not segmented: {ui.statusLabel.text}")
    _showOutlines(result)
    window.updateViews()
    yield "result"
    _correct(result, target)
    ui.inputsCollapsibleButton.collapsed = True
    ui.refineButton.click()
    pump(lambda: not logic.isBusy, LONGEST_RUN)
    refined = logic.getParameterNode().resultSegmentation
    if refined is result:
        raise RuntimeError(f"The correction was not used: {ui.statusLabel.text}")
    _showOutlines(refined)
    for _structure in range(ui.structuresTable.rowCount):
        ui.nextPlaceButton.click()
    window.updateViews()
    yield "refined"
    ui.resultsCollapsibleButton.collapsed = True
    ui.logCollapsibleButton.collapsed = False
    ui.copyReportButton.click()
    yield "report"
    ui.logCollapsibleButton.collapsed = True
    _addTarget(target)
    ui.worklistCollapsibleButton.collapsed = False
    pump()
    for row in range(ui.worklistTable.rowCount):
        ui.worklistTable.item(row, 0).setCheckState(qt.Qt.Checked)
    pump()
    ui.worklistButton.click()
    pump(lambda: not panel.worklist.isBusy, LONGEST_RUN)
    ui.resultsCollapsibleButton.collapsed = True
    yield "targets"
    ui.worklistCollapsibleButton.collapsed = True
    ui.setupCollapsibleButton.collapsed = False
    pump(lambda: not logic.isBusy, LONGEST_RUN)
    yield "setup"
    ui.setupCollapsibleButton.collapsed = True
    ui.adaptCollapsibleButton.collapsed = False
    ui.adaptScansList.item(ui.adaptScansList.count - 1).setCheckState(qt.Qt.Checked)
    ui.adaptOutputEdit.setText(os.path.join(tempfile.gettempdir(), "mine.rrl"))
    yield "adapt"


def _correct(segmentation, volume):
    """Draws the last structure larger, as a hand would in the Segment Editor."""
    import slicer.util

    segmentId = segmentation.GetSegmentation().GetSegmentIDs()[-1]
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segmentId, volume)
    larger = mask.copy()
    for axis in range(3):
        larger |= np.roll(larger, 2, axis) | np.roll(larger, -2, axis)
    slicer.util.updateSegmentBinaryLabelmapFromArray(larger, segmentation, segmentId, volume)


def _addTarget(volume):
    """A second target: the first one, a little shifted."""
    import slicer
    import slicer.util

    copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "another target")
    slicer.util.updateVolumeFromArray(copy, np.roll(slicer.util.arrayFromVolume(volume), 3, axis=2))
    copy.CopyOrientation(volume)
    copy.CreateDefaultDisplayNodes()


def _showOutlines(segmentation):
    """The host's slices draw a segment's area over the image, not through it."""
    segmentation.GetDisplayNode().SetVisibility2DFill(False)


def segmentations():
    import slicer.util

    return slicer.util.getNodesByClass("vtkMRMLSegmentationNode")


def thumbnail(mrml, segmentation, path):
    """Draws a slice of an atlas with its structures; returns the path."""
    for node in segmentations():
        node.GetDisplayNode().SetVisibility(node is segmentation)
    view = SliceView(mrml, "Red", THUMBNAIL)
    view.show(segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole()))
    writePng(view.image(), path)
    view.close()
    return path


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m host.pictures", description=__doc__)
    parser.add_argument("folder", help="where they are written")
    for path in makePictures(parser.parse_args(arguments).folder):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
