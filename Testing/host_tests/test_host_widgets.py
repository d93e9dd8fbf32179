"""The other stand-ins for Slicer's and CTK's widgets."""

import ctk
import numpy as np
import pytest
import qt
import slicer
import slicer.util
from host.events import pump


def addSegmentation():
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.CreateDefaultDisplayNodes()
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    slicer.util.updateVolumeFromArray(volume, np.zeros((8, 8, 8), np.uint8))
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name, colour in (("liver", (1, 0, 0)), ("spleen", (0, 0, 1))):
        segmentation.GetSegmentation().AddEmptySegment(name, name, colour)
        mask = np.zeros((8, 8, 8), np.uint8)
        mask[2:6, 2:6, 2:6] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, name, volume)
    return segmentation


def testCollapsibleButton():
    top = qt.QWidget()
    button, changes = ctk.ctkCollapsibleButton("Inputs", top), []
    button.contentsCollapsed.connect(changes.append)
    layout = qt.QVBoxLayout(button)
    shown, hidden = qt.QLabel("shown"), qt.QLabel("hidden")
    layout.addWidget(shown)
    layout.addWidget(hidden)
    hidden.visible = False
    top.show()
    pump()
    full = button.sizeHint().height()
    button.collapsed = True
    assert not shown.visible and changes == [True] and button.maximumHeight < full
    button.click()
    assert shown.visible and not hidden.visible and changes == [True, False] and not button.collapsed


def testCollapsibleButtonThatStartsCollapsed():
    button = ctk.ctkCollapsibleButton()
    button.text, button.collapsed = "Log", True
    layout, label = qt.QVBoxLayout(button), qt.QLabel("log")
    layout.addWidget(label)
    button.show()
    pump()
    assert not label.visible
    button.collapsed = False
    assert label.visible


def testSegmentsTable(scene):
    table, segmentation = slicer.qMRMLSegmentsTableView(), addSegmentation()
    table.setMRMLScene(scene)
    table.setSegmentationNode(segmentation)
    assert table.segmentCount == 2 and table.segmentIDForRow(1) == "spleen" and table.selectedSegmentIDs() == ()
    selections = []
    table.selectionChanged.connect(lambda *_: selections.append(table.selectedSegmentIDs()))
    table.setSelectedSegmentIDs(["spleen"])
    assert table.selectedSegmentIDs() == ("spleen",) and ("spleen",) in selections
    segmentation.GetSegmentation().AddEmptySegment("kidney", "kidney")
    assert table.segmentCount == 3 and table.selectedSegmentIDs() == ("spleen",)
    table.tableWidget().item(0, 0).setCheckState(qt.Qt.Unchecked)
    assert not segmentation.GetDisplayNode().GetSegmentVisibility("liver")
    table.setSegmentationNode(None)
    assert table.segmentCount == 0


def testDestroyedSegmentsTableObservesNothing(scene, errorTrap):
    table, segmentation = slicer.qMRMLSegmentsTableView(), addSegmentation()
    table.setSegmentationNode(segmentation)
    table.deleteLater()
    del table
    pump()
    segmentation.GetSegmentation().RemoveSegment("liver")
    assert errorTrap.errors == []


def testShow3DButton(scene):
    button, segmentation = slicer.qMRMLSegmentationShow3DButton(), addSegmentation()
    assert not button.enabled
    button.setSegmentationNode(segmentation)
    button.click()
    assert segmentation.GetSegmentation().ContainsRepresentation("Closed surface")
    button.click()
    assert not segmentation.GetSegmentation().ContainsRepresentation("Closed surface")


def testComboBoxShowsItsDefaultText():
    def picture(box):
        box.resize(200, 24)
        return box.grab().toImage()

    box, empty = ctk.ctkComboBox(), ctk.ctkComboBox()
    box.defaultText = "Select a Volume"
    assert picture(box) != picture(empty)
    box.addItem("first")
    assert box.currentIndex == 0


def testMessageBoxesAnswerThemselves():
    """With no: slicer.util of 5.13 compares its answer True with the number of the button."""
    assert slicer.util.confirmYesNoDisplay("Really?") is False
    slicer.util.infoDisplay("Information")


def testAbsentWidgetSaysSo():
    with pytest.raises(NotImplementedError, match="no stand-in for ctkRangeWidget"):
        ctk.ctkRangeWidget()
    with pytest.raises(AttributeError):
        ctk.Unknown  # noqa: B018
