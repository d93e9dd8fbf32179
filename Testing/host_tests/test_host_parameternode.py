"""Typed parameters live in a node of the scene and follow widgets both ways."""

import enum
import importlib
import inspect
import os
from typing import Annotated, Optional, Union

import ctk
import numpy as np
import pytest
import qt
import slicer
import slicer.util
import vtk
from host import files
from slicer import vtkMRMLLabelMapVolumeNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import Choice, Default, WithinRange, parameterNodeWrapper


class Effort(enum.Enum):
    FAST = "fast"
    BEST = "best"

    def label(self):
        return self.value.title()


@parameterNodeWrapper
class Parameters:
    volume: vtkMRMLScalarVolumeNode
    atlas: Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, None]
    other: Optional[vtkMRMLScalarVolumeNode]
    effort: Effort = Effort.BEST
    count: int = 3
    fraction: Annotated[float, WithinRange(0, 1), Default(0.5)]
    isDone: bool
    label: Annotated[str, Choice(["one", "two"])] = "two"
    note: str


@pytest.fixture
def parameters(scene):
    return Parameters(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "parameters"))


def testDefaults(parameters):
    assert (parameters.effort, parameters.count, parameters.fraction) == (Effort.BEST, 3, 0.5)
    assert (parameters.isDone, parameters.label, parameters.note) == (False, "two", "")
    assert parameters.volume is None and parameters.atlas is None and parameters.other is None


def testSavedAndReadWithTheScene(parameters, scene, tmp_path):
    parameters.volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "a volume")
    slicer.util.updateVolumeFromArray(parameters.volume, np.zeros((2, 3, 4), np.uint8))
    parameters.atlas = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "an atlas")
    parameters.effort, parameters.count, parameters.fraction = Effort.FAST, -7, 0.25
    parameters.isDone, parameters.label, parameters.note = True, "one", 'with "quotes" & \u00fc'
    files.saveScene(tmp_path / "scene.mrb")
    files.loadScene(tmp_path / "scene.mrb")
    read = Parameters(slicer.util.getNode("parameters"))
    assert read.volume.GetName() == "a volume" and read.atlas.GetName() == "an atlas" and read.other is None
    assert (read.effort, read.count, read.fraction) == (Effort.FAST, -7, 0.25)
    assert (read.isDone, read.label, read.note) == (True, "one", 'with "quotes" & \u00fc')


@pytest.mark.parametrize(
    "name, value, error",
    [
        ("fraction", 1.5, ValueError),
        ("label", "three", ValueError),
        ("count", "4", TypeError),
        ("effort", "fast", TypeError),
        ("note", None, (TypeError, ValueError)),
    ],
)
def testWrongValuesAreRefused(parameters, name, value, error):
    before = getattr(parameters, name)
    with pytest.raises(error):
        setattr(parameters, name, value)
    assert getattr(parameters, name) == before


def testNodeOfAnotherClassIsRefused(parameters, scene):
    with pytest.raises((TypeError, ValueError)):
        parameters.volume = scene.AddNewNodeByClass("vtkMRMLTextNode")


def testReservedNamesAreRefused():
    with pytest.raises(ValueError, match="AddObserver"):

        @parameterNodeWrapper
        class Wrong:
            AddObserver: int


def testObserversHearOfChanges(parameters):
    heard = []
    tag = parameters.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: heard.append(parameters.count))
    parameters.count = 4
    assert heard == [4]
    parameters.RemoveObserver(tag)
    parameters.count = 5
    assert heard == [4]


def makeWidgets(scene):
    widgets = {
        "volume": slicer.qMRMLNodeComboBox(),
        "atlas": slicer.qMRMLNodeComboBox(),
        "effort": qt.QComboBox(),
        "count": qt.QSpinBox(),
        "fraction": qt.QDoubleSpinBox(),
        "isDone": ctk.ctkCheckBox(),
        "label": ctk.ctkComboBox(),
        "note": qt.QLineEdit(),
    }
    for name in ("volume", "atlas"):
        widgets[name].noneEnabled = True
        widgets[name].setMRMLScene(scene)
    return widgets


def testWidgetsFollowParametersAndBack(parameters, scene):
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    widgets = makeWidgets(scene)
    parameters.connectParametersToGui(widgets)
    assert widgets["effort"].currentText == "Best" and widgets["effort"].count == 2
    assert widgets["label"].currentText == "two" and widgets["count"].value == 3
    assert sorted(widgets["atlas"].nodeTypes) == ["vtkMRMLLabelMapVolumeNode", "vtkMRMLSegmentationNode"]

    parameters.volume, parameters.atlas, parameters.isDone = volume, labels, True
    parameters.fraction, parameters.note = 0.75, "note"
    assert widgets["volume"].currentNode() is volume and widgets["atlas"].currentNode() is labels
    assert widgets["isDone"].checked and widgets["fraction"].value == 0.75 and widgets["note"].text == "note"

    widgets["effort"].currentIndex = 0
    widgets["label"].setCurrentIndex(0)
    widgets["count"].value = 9
    widgets["isDone"].click()
    widgets["note"].setText("typed")
    widgets["volume"].setCurrentNode(None)
    assert (parameters.effort, parameters.label, parameters.count) == (Effort.FAST, "one", 9)
    assert (parameters.isDone, parameters.note, parameters.volume) == (False, "typed", None)


def testDisconnected(parameters, scene):
    widgets = makeWidgets(scene)
    tag = parameters.connectParametersToGui(widgets)
    parameters.disconnectGui(tag)
    parameters.count = 8
    widgets["note"].text = "typed"
    assert widgets["count"].value == 3 and parameters.note == ""


def testWidgetsAreFoundByTheirDynamicProperty(parameters):
    parent = qt.QWidget()
    edit = qt.QLineEdit(parent)
    edit.setProperty("SlicerParameterName", "note")
    qt.QLineEdit(parent)
    parameters.connectGui(parent)
    edit.text = "typed"
    assert parameters.note == "typed"


def testWidgetThatCannotShowTheTypeIsRefused(parameters):
    with pytest.raises(RuntimeError, match="Unable to create GUI connector"):
        parameters.connectParametersToGui({"note": qt.QSlider()})


def testSlicersFilesAreUsedWhereAskedFor():
    expected = os.environ.get("SLICER_PYTHON_FILES") or os.path.join("host", "slicerfiles")
    for name in ("ScriptedLoadableModule", "parameterNodeWrapper", "i18n"):
        assert expected in inspect.getfile(importlib.import_module(f"slicer.{name}"))
