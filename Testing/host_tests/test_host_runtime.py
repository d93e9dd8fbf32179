"""A real scene without the desktop: slicer.util works on it, and it is saved and read back."""

import numpy as np
import pytest
import slicer
import slicer.util
from host import files
from host.runtime import boot


def makeVolume(name="volume"):
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(volume, np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    volume.SetIJKToRASMatrix(
        slicer.util.vtkMatrixFromArray(np.array([[0, 0, 2, 1], [1, 0, 0, 2], [0, 1.5, 0, 3], [0, 0, 0, 1]], float))
    )
    return volume


def makeSegmentation(volume):
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segmentation")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for value, name in enumerate(["first", "second"]):
        segmentation.GetSegmentation().AddEmptySegment(name, f"{name} segment", (0.25, 0.5, 0.75))
        mask = np.zeros((3, 4, 5), np.uint8)
        mask[value, 1:3, 1:4] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, name, volume)
    return segmentation


def testBootIsDoneOnce(mrml):
    assert boot() is mrml
    assert slicer.app.mrmlScene() is slicer.mrmlScene is mrml.scene
    assert slicer.modules.segmentations.logic().GetClassName() == "vtkSlicerSegmentationsModuleLogic"
    assert slicer.app.moduleManager().module("Volumes") is slicer.modules.volumes
    assert slicer.util.mainWindow() is None


def testTemporaryFolderAndSettingsAreNotTheUsers():
    assert slicer.util.tempDirectory().startswith(slicer.app.temporaryPath)
    assert slicer.app.userSettings().fileName().startswith(slicer.app.temporaryPath)
    assert slicer.util.settingsValue("RRLMedSAM/none", 3, converter=int) == 3


def testSceneBundleRoundTrip(scene, tmp_path):
    volume = makeVolume()
    makeSegmentation(volume)
    text = scene.AddNewNodeByClass("vtkMRMLTextNode", "text")
    text.SetText("some text")
    files.saveScene(tmp_path / "scene.mrb")
    files.loadScene(tmp_path / "scene.mrb")
    volume = slicer.util.getNode("volume")
    assert np.array_equal(slicer.util.arrayFromVolume(volume), np.arange(60).reshape(3, 4, 5))
    assert np.allclose(volume.GetSpacing(), (1, 1.5, 2)) and np.allclose(volume.GetOrigin(), (1, 2, 3))
    segmentation = slicer.util.getNode("segmentation").GetSegmentation()
    assert segmentation.GetSegmentIDs() == ("first", "second")
    assert segmentation.GetSegment("second").GetName() == "second segment"
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(slicer.util.getNode("segmentation"), "second", volume)
    assert mask.sum() == 6 and mask[1, 1, 1] == 1
    assert slicer.util.getNode("text").GetText() == "some text"


def testClearKeepsTheApplicationsNodes(mrml, scene):
    makeVolume()
    scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    mrml.clear()
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    assert slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode") == []
    assert mrml.applicationLogic.GetSelectionNode() is not None


def testLabelMapHasColours(scene):
    colours = scene.GetNodeByID(slicer.modules.colors.logic().GetDefaultLabelMapColorNodeID())
    assert colours.GetColorName(3) == "region 3"


def testUnreadableFileIsReported(scene, tmp_path):
    path = tmp_path / "broken.mrb"
    path.write_bytes(b"no archive")
    with pytest.raises(OSError, match="broken.mrb"):
        files.loadScene(path)
