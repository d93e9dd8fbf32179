"""What reading and writing MRML share: frames, parent transforms, subject hierarchy.

MRML is RAS mm, the engine LPS mm: the only place where the two meet. "Local" is the frame of a node's own
coordinates, before its parent transforms.
"""

import numpy as np
import slicer
import slicer.util
import vtk

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # its own inverse


def toArray(matrix):
    """A vtkMatrix4x4 as (4, 4) float64."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def toMatrix(array):
    """(4, 4) as a vtkMatrix4x4."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(array, dtype=float).ravel().tolist())
    return matrix


def ijkToRas(volumeNode):
    """(4, 4): voxel (i, j, k) -> the node's local RAS mm."""
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return toArray(matrix)


def betweenNodes(node, targetNode):
    """(4, 4): the node's local RAS -> the target node's local RAS; both under linear parent transforms only."""
    matrix = vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(
        node.GetParentTransformNode(), targetNode.GetParentTransformNode(), matrix
    )
    return toArray(matrix)


def hasLinearParents(node):
    """Whether all transforms above the node are linear."""
    parent = node.GetParentTransformNode()
    return parent is None or bool(parent.IsTransformToWorldLinear())


def hardenedCopy(node):
    """Adds a copy of the node that needs no parent transform: the transform is applied to its voxels."""
    scene = node.GetScene()
    copy = scene.AddNewNodeByClass(node.GetClassName(), scene.GenerateUniqueName(f"{node.GetName()} hardened"))
    copy.CopyContent(node)
    copy.CreateDefaultDisplayNodes()
    if node.GetDisplayNode():
        copy.GetDisplayNode().Copy(node.GetDisplayNode())
    copy.SetAndObserveTransformNodeID(node.GetTransformNodeID())
    copy.HardenTransform()
    return copy


def removeWithDisplay(node):
    """Removes a displayable node with its display nodes, and what it was read with."""
    scene = node.GetScene()
    for other in [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]:
        scene.RemoveNode(other)
    if node.GetStorageNode() is not None:
        scene.RemoveNode(node.GetStorageNode())
    scene.RemoveNode(node)


def placeBeside(node, sibling):
    """Puts the node into the sibling's folder (study) of the subject hierarchy.

    The application makes the items; where there is none (no application), they are made here.
    """
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    siblingItem = hierarchy.GetItemByDataNode(sibling)
    parentItem = hierarchy.GetItemParent(siblingItem) if siblingItem else hierarchy.GetSceneItemID()
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, parentItem)
    else:
        hierarchy.CreateItem(parentItem, node)


def terminology(segment):
    """A segment's terminology as the tags of a ``.seg.nrrd``; "" where it has none."""
    entry = vtk.reference("")
    name = slicer.vtkSegment.GetTerminologyEntryTagName()
    return f"{name}:{entry.get()}|" if segment.GetTag(name, entry) and entry.get() else ""


def showInSlices(volume):
    """Makes the volume (or none) the background of all slice views, and fits those to it that showed another; the
    segmentation shows itself."""
    if volume is None:
        return
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    others = [each for each in composites if each.GetBackgroundVolumeID() != volume.GetID()]
    for composite in others:
        composite.SetBackgroundVolumeID(volume.GetID())
    logics = slicer.app.applicationLogic().GetSliceLogics() if others else []
    for logic in logics:
        if logic.GetSliceCompositeNode() in others:
            logic.FitSliceToBackground()
