"""What helps to judge a result, laid over its target: confidence in colours, the deformation as a grid, the atlas."""

import numpy as np
import qt
import slicer
import slicer.util

from .deformationnodes import fieldOf
from .messages import _
from .resultnodes import confidenceOf, sourcesOf, targetOf, transformOf

CONFIDENCE, DEFORMATION, ATLAS = "confidence", "deformation", "atlas"
COLOURS = np.array([[1.0, 0.95, 0.3], [0.95, 0.5, 0.1], [0.35, 0.1, 0.45]])  # of 0, 50 and 100 %; light is doubtful
SURE = 90  # percent; what is surer is not covered (in MRML a colour's own opacity is all or nothing)
OPACITY = 0.7  # of what covers the image
GRID_SPACING = 8.0  # mm
FLICKER_MS = 600
COLOUR_NODE = "RRLMedSAM confidence colours"


class Overlays:
    """One overlay at a time; `back` shows the slices as they were before the first one.

    Nodes that it adds are hidden and not saved with the scene, and go with it.
    """

    def __init__(self):
        self.kind = None
        self._before = {}  # of each slice composite node, by ID
        self._made = []
        self._flicker = qt.QTimer()
        self._flicker.setInterval(FLICKER_MS)
        self._flicker.timeout.connect(self.flick)

    def isPossible(self, kind, segmentation):
        """Whether the nodes that the overlay is made of are still in the scene."""
        if kind == CONFIDENCE:
            return confidenceOf(segmentation) is not None
        transform = transformOf(segmentation)
        if kind == DEFORMATION:
            return transform is not None and fieldOf(transform) is not None
        return transform is not None and sourcesOf(segmentation).get("atlasVolume") is not None

    def show(self, kind, segmentation):
        """Lays ``kind`` over the target of a result."""
        self._remember()
        self._takeAway()
        self.kind = kind
        target = targetOf(segmentation)
        if kind == DEFORMATION:
            self._showGrid(transformOf(segmentation), target)
            return
        foreground = self._confidence(segmentation) if kind == CONFIDENCE else self._warpedAtlas(segmentation)
        for composite in _composites():
            if target is not None:
                composite.SetBackgroundVolumeID(target.GetID())
            composite.SetForegroundVolumeID(foreground.GetID())
            composite.SetForegroundOpacity(OPACITY if kind == CONFIDENCE else 1.0)
        if kind == ATLAS:
            self._flicker.start()

    def back(self):
        """Takes the overlay away, if there is one."""
        if self.kind is None:
            return
        self._takeAway()
        for composite in _composites():
            for set_, value in self._before.get(composite.GetID(), []):
                set_(value)
        self._before = {}

    def forget(self):
        """For a scene that is closed: there is nothing to go back to."""
        self._flicker.stop()
        self.kind, self._before, self._made = None, {}, []

    def flick(self):
        """Hides the atlas where it is shown, and the other way round."""
        for composite in _composites():
            composite.SetForegroundOpacity(1.0 - round(composite.GetForegroundOpacity()))

    # ------------------------------------------------------------ the kinds

    def _confidence(self, segmentation):
        """The confidence in colours of its own: those of the node stay, and are saved with it."""
        confidence = confidenceOf(segmentation)
        node = self._copyOf(confidence, _("Confidence on the target"), confidence.GetTransformNodeID())
        display = node.GetDisplayNode()
        colours = _colours()
        display.SetAndObserveColorNodeID(colours.GetID())
        legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(display)
        legend.SetSaveWithScene(False)
        legend.SetTitleText(_("Confidence, %"))
        legend.SetVisibility(True)
        self._made += [colours, legend]
        return node

    def _showGrid(self, transform, target):
        """Of the deformation alone: with the affine part, which may be far, the grid would lie elsewhere."""
        node = _addHidden(slicer.vtkMRMLTransformNode(), _("Deformation of the atlas"))
        node.SetAndObserveTransformFromParent(fieldOf(transform))
        node.SetAndObserveTransformNodeID(target.GetTransformNodeID() if target is not None else None)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetVisualizationMode(display.VIS_MODE_GRID)
        display.SetGridSpacingMm(GRID_SPACING)
        display.SetVisibility2D(True)
        display.SetVisibility(True)
        self._made += [display, node]

    def _warpedAtlas(self, segmentation):
        """The atlas under the transform to the target: the slices show it where that brings it."""
        atlas = sourcesOf(segmentation)["atlasVolume"]
        return self._copyOf(atlas, _("Atlas on the target"), transformOf(segmentation).GetID())

    def _copyOf(self, volume, name, transformId):
        """A hidden volume that shares the voxels of another one, and looks like it."""
        node = _addHidden(slicer.vtkMRMLScalarVolumeNode(), name)
        node.SetAndObserveImageData(volume.GetImageData())
        node.CopyOrientation(volume)
        node.CreateDefaultDisplayNodes()
        if volume.GetDisplayNode() is not None:
            node.GetDisplayNode().Copy(volume.GetDisplayNode())
        node.SetAndObserveTransformNodeID(transformId)
        node.GetDisplayNode().SetSaveWithScene(False)
        self._made += [node.GetDisplayNode(), node]
        return node

    # ------------------------------------------------------------ before and after

    def _remember(self):
        """The slices' state before the first overlay; what the user changes meanwhile is changed for good elsewhere."""
        if self._before:
            return
        for composite in _composites():
            self._before[composite.GetID()] = [
                (composite.SetBackgroundVolumeID, composite.GetBackgroundVolumeID()),
                (composite.SetForegroundVolumeID, composite.GetForegroundVolumeID()),
                (composite.SetForegroundOpacity, composite.GetForegroundOpacity()),
            ]

    def _takeAway(self):
        self._flicker.stop()
        for composite in _composites():
            composite.SetForegroundVolumeID(None)
        for node in self._made:
            if slicer.mrmlScene.IsNodePresent(node):
                slicer.mrmlScene.RemoveNode(node)
        self.kind, self._made = None, []


def _composites():
    return slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")


def _addHidden(node, name):
    """Hidden before the scene tells of it: selectors and the subject hierarchy look at that once."""
    node.SetName(slicer.mrmlScene.GenerateUniqueName(name))
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    return slicer.mrmlScene.AddNode(node)


def _colours():
    """A table of 101 colours, one for each percent."""
    node = _addHidden(slicer.vtkMRMLColorTableNode(), COLOUR_NODE)
    node.SetTypeToUser()
    node.SetNumberOfColors(101)
    for percent in range(101):
        colour = [np.interp(percent, (0, 50, 100), COLOURS[:, part]) for part in range(3)]
        node.SetColor(percent, f"{percent} %", *colour, 1.0 if percent <= SURE else 0.0)
    return node
