"""A small scripted module goes the whole way: panel, node chosen, button clicked, scene saved and read."""

import time

import numpy as np
import pytest
import qt
import slicer
import slicer.util
from host import files
from host.events import Heartbeat, pump, screenshot

SOURCE = """
import qt
import slicer
import slicer.util
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import *


class HostSample(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "Sample"
        self.parent.helpText = _("Doubles a volume.")


@parameterNodeWrapper
class HostSampleParameters:
    volume: vtkMRMLScalarVolumeNode
    isOften: bool


class HostSampleWidget(ScriptedLoadableModuleWidget):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.calls, self.tag = [], None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/HostSample.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = HostSampleLogic()
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)

    def enter(self):
        self.calls.append("enter")
        self.parameters = self.logic.getParameterNode()
        self.tag = self.parameters.connectGui(self.ui)

    def exit(self):
        self.calls.append("exit")
        self.disconnect()

    def cleanup(self):
        self.calls.append("cleanup")
        self.disconnect()

    def disconnect(self):
        if self.tag is not None:
            self.parameters.disconnectGui(self.tag)
        self.tag = None

    def onApplyButton(self):
        array = slicer.util.arrayFromVolume(self.parameters.volume)
        array *= 2
        slicer.util.arrayFromVolumeModified(self.parameters.volume)


class HostSampleLogic(ScriptedLoadableModuleLogic):
    def getParameterNode(self):
        return HostSampleParameters(super().getParameterNode())


class HostSampleTest(ScriptedLoadableModuleTest):
    def runTest(self):
        slicer.modules.HostSampleWidget.calls.append("test")
        self.delayDisplay("done")
"""

UI = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>HostSample</class>
 <widget class="qMRMLWidget" name="HostSample">
  <layout class="QVBoxLayout">
   <item><widget class="ctkCollapsibleButton" name="inputs">
    <property name="text"><string>Inputs</string></property>
    <layout class="QFormLayout">
     <item row="0" column="1"><widget class="qMRMLNodeComboBox" name="volumeSelector">
      <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
      <property name="noneEnabled"><bool>true</bool></property>
      <property name="SlicerParameterName" stdset="0"><string>volume</string></property>
     </widget></item>
     <item row="1" column="1"><widget class="QCheckBox" name="oftenCheckBox">
      <property name="SlicerParameterName" stdset="0"><string>isOften</string></property>
     </widget></item>
    </layout>
   </widget></item>
   <item><widget class="QPushButton" name="applyButton">
    <property name="text"><string>Apply</string></property>
   </widget></item>
  </layout>
 </widget>
 <customwidgets>
  <customwidget>
   <class>qMRMLWidget</class><extends>QWidget</extends><header>qMRMLWidget.h</header>
  </customwidget>
  <customwidget>
   <class>qMRMLNodeComboBox</class><extends>QWidget</extends><header>qMRMLNodeComboBox.h</header>
  </customwidget>
  <customwidget>
   <class>ctkCollapsibleButton</class><extends>QWidget</extends><header>ctkCollapsibleButton.h</header>
  </customwidget>
 </customwidgets>
 <connections>
  <connection>
   <sender>HostSample</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
   <receiver>volumeSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot>
  </connection>
 </connections>
</ui>
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "Resources" / "UI").mkdir(parents=True)
    (tmp_path / "Resources" / "UI" / "HostSample.ui").write_text(UI)
    (tmp_path / "HostSample.py").write_text(SOURCE)
    return tmp_path / "HostSample.py"


def addVolume(name):
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(volume, np.ones((2, 3, 4), np.int16))
    return volume


def testTheWholeWay(moduleLoader, scene, path, tmp_path):
    loaded = moduleLoader(path)
    ui = loaded.widget.ui
    volume = addVolume("first")
    assert ui.volumeSelector.currentNode() is None
    ui.volumeSelector.setCurrentNode(volume)
    ui.oftenCheckBox.click()
    assert loaded.widget.parameters.volume is volume and loaded.widget.parameters.isOften
    ui.applyButton.click()
    assert slicer.util.arrayFromVolume(volume).tolist() == np.full((2, 3, 4), 2).tolist()

    loaded.exit()
    files.saveScene(tmp_path / "scene.mrb")
    scene.Clear(False)
    assert ui.volumeSelector.nodeCount() == 0
    files.loadScene(tmp_path / "scene.mrb")
    loaded.enter()
    assert ui.volumeSelector.currentNode() is slicer.util.getNode("first") is not volume
    assert ui.oftenCheckBox.checked


def testTheApplicationKnowsTheModule(moduleLoader, path):
    loaded = moduleLoader(path)
    assert loaded.parent.title == "Sample" and loaded.parent.helpText == "Doubles a volume."
    assert slicer.modules.HostSampleWidget is loaded.widget is slicer.util.getModuleWidget("HostSample")
    assert slicer.util.getModuleLogic("HostSample") is loaded.widget.logic
    assert slicer.util.modulePath("HostSample") == str(path)
    with pytest.raises(AttributeError):
        loaded.parent.titel = "misspelt"


def testEnterExitAndCleanup(moduleLoader, path):
    loaded = moduleLoader(path, isEntered=False)
    assert not loaded.panel.isEntered
    loaded.enter()
    assert loaded.panel.isEntered
    loaded.instance.runTest()
    loaded.unload()
    assert loaded.widget.calls == ["enter", "test", "exit", "cleanup"]
    assert not hasattr(slicer.modules, "HostSampleWidget")
    addVolume("after the panel has gone")


def testReload(moduleLoader, path):
    loaded = moduleLoader(path)
    path.write_text(SOURCE.replace("array *= 2", "array *= 3"))
    slicer.util.reloadScriptedModule("HostSample")
    volume = addVolume("volume")
    loaded.enter()
    slicer.modules.HostSampleWidget.ui.volumeSelector.setCurrentNode(volume)
    slicer.modules.HostSampleWidget.ui.applyButton.click()
    assert slicer.util.arrayFromVolume(volume).max() == 3


def testParameterNodeIsOnePerScene(moduleLoader, path):
    logic = moduleLoader(path).widget.logic
    assert logic.getParameterNode().parameterNode is logic.getParameterNode().parameterNode
    assert len(logic.getAllParameterNodes()) == 1


@pytest.mark.parametrize(
    "right, wrong, message",
    [
        ("QCheckBox", "ctkUnknownBox", "no stand-in for ctkUnknownBox"),
        ('"noneEnabled"', '"noneEnabeld"', "no property noneEnabeld of qMRMLNodeComboBox"),
    ],
)
def testErrorsInTheUiFile(moduleLoader, path, right, wrong, message):
    (path.parent / "Resources" / "UI" / "HostSample.ui").write_text(UI.replace(right, wrong))
    with pytest.raises(RuntimeError, match=message):
        moduleLoader(path)


def testScreenshot(moduleLoader, path, tmp_path):
    loaded = moduleLoader(path)
    loaded.panel.resize(300, 200)
    screenshot(loaded.panel, tmp_path / "panel.png")
    image = qt.QImage(str(tmp_path / "panel.png"))
    assert image.width() >= 200
    assert len({image.pixel(x, y) for x in range(0, 200, 3) for y in range(0, 100, 3)}) > 5  # something is drawn


def testPumpTimesOut():
    with pytest.raises(TimeoutError):
        pump(lambda: False, timeout=0.02)


def testHeartbeatFindsABlockedEventLoop():
    qt.QTimer.singleShot(5, lambda: time.sleep(0.12))
    ended = []
    qt.QTimer.singleShot(200, lambda: ended.append(True))
    with Heartbeat() as beat:
        pump(lambda: ended)
    assert 0.11 < beat.longestGap < 1
