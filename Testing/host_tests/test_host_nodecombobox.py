"""qMRMLNodeComboBox selects what Slicer's selects."""

import pytest
import slicer


def makeBox(scene=None, **properties):
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    for name, value in properties.items():
        setattr(box, name, value)
    box.setMRMLScene(scene)
    return box


def addVolume(name, className="vtkMRMLScalarVolumeNode"):
    return slicer.mrmlScene.AddNewNodeByClass(className, name)


def names(box):
    return [box.nodeFromIndex(index).GetName() for index in range(box.nodeCount())]


def testDefaultsAreSlicers():
    box = slicer.qMRMLNodeComboBox()
    flags = ("noneEnabled", "addEnabled", "removeEnabled", "editEnabled", "renameEnabled", "showChildNodeTypes")
    assert [getattr(box, flag) for flag in flags] == [False, True, True, False, False, True]
    assert not box.enabled and box.nodeCount() == 0 and box.currentNode() is None


def testWithoutNoneTheFirstNodeIsSelected(scene):
    first, _ = addVolume("first"), addVolume("second")
    assert makeBox(scene).currentNode() is first
    assert makeBox(scene, noneEnabled=True).currentNode() is None


def testLaterNodesAreNotSelected(scene):
    """But in a list without any other row the first one is: Qt's combo box does so, and with it Slicer's."""
    box, boxWithNone, bareBox = makeBox(scene), makeBox(scene, noneEnabled=True), None
    bareBox = makeBox(scene, addEnabled=False, removeEnabled=False)
    first = addVolume("first")
    addVolume("second")
    assert box.currentNode() is None and boxWithNone.currentNode() is None
    assert bareBox.currentNode() is first
    assert names(box) == names(boxWithNone) == names(bareBox) == ["first", "second"]


def testRemovalOfTheSelectedNode(scene):
    nodes = [addVolume(name) for name in "abc"]
    box, seen = makeBox(scene, noneEnabled=True), []
    box.currentNodeChanged.connect(seen.append)
    box.setCurrentNode(nodes[1])
    scene.RemoveNode(nodes[1])
    assert box.currentNode() is nodes[0]  # the row above
    scene.RemoveNode(nodes[0])
    assert box.currentNode() is None
    assert seen == [nodes[1], nodes[0], None] and names(box) == ["c"]


def testClosingTheSceneEmptiesTheBox(scene):
    box = makeBox(scene, addEnabled=False, removeEnabled=False)
    addVolume("a")
    scene.Clear(False)
    assert box.nodeCount() == 0 and box.currentNode() is None and box.currentNodeID == ""


def testNodeTypes(scene):
    addVolume("image")
    addVolume("labels", "vtkMRMLLabelMapVolumeNode")
    addVolume("segments", "vtkMRMLSegmentationNode")
    hidden = addVolume("hidden")
    hidden.SetHideFromEditors(True)
    box = makeBox(scene)
    assert names(box) == ["image", "labels"] and box.nodeTypes == ("vtkMRMLScalarVolumeNode",)
    box.showChildNodeTypes = False
    assert names(box) == ["image"]
    box.nodeTypes = ["vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode"]
    assert sorted(names(box)) == ["labels", "segments"]
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    hidden.SetHideFromEditors(False)
    assert sorted(names(box)) == ["hidden", "image"]


def testAttributeFilter(scene):
    addVolume("plain")
    addVolume("marked").SetAttribute("mark", "1")
    box = makeBox(scene)
    box.addAttribute("vtkMRMLScalarVolumeNode", "mark", 1)
    assert names(box) == ["marked"]
    assert box.addNode().GetAttribute("mark") == "1"
    box.removeAttribute("vtkMRMLScalarVolumeNode", "mark")
    assert len(names(box)) == 3


def testSignals(scene):
    volume = addVolume("volume")
    box, nodes, ids, flags = makeBox(scene, noneEnabled=True), [], [], []
    box.connect("currentNodeChanged(vtkMRMLNode*)", nodes.append)
    box.connect("currentNodeIDChanged(QString)", ids.append)
    box.connect("currentNodeChanged(bool)", flags.append)
    box.setCurrentNode(volume)
    box.setCurrentNode(volume)
    volume.SetName("renamed")
    box.currentNodeID = ""
    assert nodes == [volume, volume, None]  # the second one for the new name, as in Slicer
    assert ids == [volume.GetID(), volume.GetID(), ""] and flags == [True, True, False]


def testNodeAskedForBeforeThereIsAScene(scene):
    addVolume("first")
    second = addVolume("second")
    box = makeBox(None)
    box.setCurrentNode(second)
    box.setMRMLScene(scene)
    assert box.currentNode() is second and box.enabled


def testUnknownNodeSelectsNothing(scene):
    addVolume("volume")
    box, boxWithNone = makeBox(scene), makeBox(scene, noneEnabled=True)
    for each in (box, boxWithNone):
        each.setCurrentNodeID("vtkMRMLScalarVolumeNode77")
        assert each.currentNode() is None


def choose(box, text):
    """As a user does in the open list."""
    comboBox = box._comboBox
    row = comboBox.findText(text)
    assert row >= 0, [comboBox.itemText(each) for each in range(comboBox.count)]
    comboBox.setCurrentIndex(row)
    comboBox.activated.emit(row)


def testMenuCreatesAndDeletes(scene):
    box, added = makeBox(scene, baseName="Target"), []
    box.nodeAddedByUser.connect(added.append)
    choose(box, "Create new Volume")
    assert box.currentNode() is added[0] and added[0].GetName() == "Target"
    choose(box, "Create new Volume")
    assert box.currentNode().GetName() == "Target_1"
    choose(box, "Delete current Volume")
    assert names(box) == ["Target"] and box.currentNode() is added[0]


def testDestroyedBoxObservesNothing(scene, errorTrap):
    import shiboken6

    volume = addVolume("volume")
    box = makeBox(scene)
    shiboken6.delete(box)
    addVolume("another")
    volume.SetName("renamed")
    scene.RemoveNode(volume)
    assert errorTrap.errors == []


def testEditingNeedsTheDesktop(scene, errorTrap):
    addVolume("volume")
    box = makeBox(scene, editEnabled=True)
    choose(box, "Edit current Volume")
    assert "no other module" in errorTrap.errors.pop()
    with pytest.raises(NotImplementedError):
        slicer.qMRMLSliderWidget()
