"""The scene's nodes as the engine's input: checks, frames, arrays."""

import numpy as np
import slicer
import slicer.util
from vtk.util.numpy_support import vtk_to_numpy

from .errors import RunError
from .messages import _
from .scene import LPS_FROM_RAS, betweenNodes, hasLinearParents, ijkToRas

IS_RESULT = "RRLMedSAM.isResult"  # attribute of the nodes that a run added
MINIMUM_SIZE = 2  # voxels along each axis; a thinner image has no volume to register


def roleNames():
    return {
        "atlasVolume": _("atlas volume"),
        "atlasSegmentation": _("atlas segmentation"),
        "target": _("target volume"),
    }


class AtlasInputs:
    """The atlas's nodes, placed in a frame that the engine computes in.

    ``atlasVoxelToLps``: (4, 4), the atlas's voxel (i, j, k) -> LPS mm in the frame. ``segmentationToFrame``: (4, 4),
    the segmentation's local RAS -> RAS mm in the frame. Raises RunError.
    """

    def __init__(self, atlasVolume, atlasSegmentation, frameNode=None):
        """``frameNode``: the node whose local frame it is; without one, the atlas volume."""
        names = roleNames()
        nodes = {"atlasVolume": atlasVolume, "atlasSegmentation": atlasSegmentation}
        for role, node in nodes.items():
            if node is None:
                raise RunError("bad_input", _("There is no {role}.").format(role=names[role]), _("Choose one."))
            checkParents(node, names[role])
        checkVolume(atlasVolume, names["atlasVolume"])
        checkAtlasSegmentation(atlasSegmentation)
        self.atlasVolume, self.atlasSegmentation = atlasVolume, atlasSegmentation
        frameNode = frameNode or atlasVolume
        self.atlasVoxelToLps = LPS_FROM_RAS @ betweenNodes(atlasVolume, frameNode) @ ijkToRas(atlasVolume)
        self.segmentationToFrame = betweenNodes(atlasSegmentation, frameNode)

    def byRole(self):
        return {"atlasVolume": self.atlasVolume, "atlasSegmentation": self.atlasSegmentation}

    def missing(self):
        """The role's name of an input that is no longer in the scene, or None."""
        for role, node in self.byRole().items():
            if node.GetScene() is None or not node.GetScene().IsNodePresent(node):
                return roleNames()[role]
        return None


class Inputs(AtlasInputs):
    """The three nodes of a run and what must not change while it goes on. The frame is the target's local one."""

    def __init__(self, atlasVolume, atlasSegmentation, target):
        role = roleNames()["target"]
        if target is None:
            raise RunError("bad_input", _("There is no {role}.").format(role=role), _("Choose one."))
        checkParents(target, role)
        super().__init__(atlasVolume, atlasSegmentation, target)
        checkVolume(target, role)
        self.target = target
        if atlasVolume is target:
            raise RunError(
                "bad_input",
                _("The atlas volume and the target volume are the same node."),
                _("Choose another target volume."),
            )
        # Kept for the result: it is made for the target as it is now.
        self.targetIjkToRas = ijkToRas(target)
        self.atlasToTarget = betweenNodes(atlasVolume, target)  # local RAS -> local RAS
        self._targetState = self._currentTargetState()

    @property
    def targetVoxelToLps(self):
        """(4, 4): the target's voxel (i, j, k) -> LPS mm in its local frame."""
        return LPS_FROM_RAS @ self.targetIjkToRas

    def byRole(self):
        return {**super().byRole(), "target": self.target}

    def targetHasChanged(self):
        """Whether the target's voxels or their place in its local frame differ from those of the run."""
        return self._currentTargetState() != self._targetState

    def _currentTargetState(self):
        image = self.target.GetImageData()
        return image, image.GetMTime() if image else 0, tuple(ijkToRas(self.target).ravel())


def images():
    """The scene's volumes that may be scans: no label maps, no vectors, nothing hidden, no result of ours."""
    return [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if node.GetClassName() == "vtkMRMLScalarVolumeNode"
        and not node.GetHideFromEditors()
        and not node.GetAttribute(IS_RESULT)
    ]


def checkParents(node, role):
    """Raises RunError nonlinear_parent."""
    if not hasLinearParents(node):
        raise RunError(
            "nonlinear_parent",
            _("The {role} is under a transform that is not linear, so its voxels are no regular grid.").format(
                role=role
            ),
            _("Use a hardened copy of it: right-click the copy in the Data module and choose 'Harden transform'."),
            node,
        )


def checkVolume(node, role):
    """Raises RunError bad_input for what is no 3D image of one component with a usable geometry."""

    def refuse(text, action):
        raise RunError("bad_input", text.format(role=role), action, node)

    if not node.IsA("vtkMRMLScalarVolumeNode"):
        refuse(_("The {role} is no volume."), _("Choose a scalar volume."))
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        refuse(_("The {role} has no voxels."), _("Load it again or choose another volume."))
    if image.GetNumberOfScalarComponents() != 1:
        refuse(
            _("The {role} has several values in each voxel (colour, vectors or time points)."),
            _("Extract one component with the Vector to Scalar Volume module, or one time point."),
        )
    if min(image.GetDimensions()) < MINIMUM_SIZE:
        refuse(_("The {role} is only one voxel thin."), _("Choose a 3D volume with several slices."))
    matrix = ijkToRas(node)[:3, :3]
    spacing = np.linalg.norm(matrix, axis=0)
    if not np.isfinite(matrix).all() or spacing.min() <= 0:
        refuse(_("The {role} has a voxel size of zero."), _("Correct the spacing in the Volumes module."))
    directions = matrix / spacing
    if not np.allclose(directions.T @ directions, np.eye(3), atol=1e-4):
        refuse(_("The axes of the {role} are not at right angles."), _("Resample it with Resample Scalar Volume."))


def checkAtlasSegmentation(node):
    """Raises RunError bad_input for what has no segments or no voxels at all."""
    role = roleNames()["atlasSegmentation"]
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        checkVolume(node, role)
    elif not node.IsA("vtkMRMLSegmentationNode"):
        raise RunError(
            "bad_input",
            _("The atlas segmentation is of another kind of node."),
            _("Choose a segmentation or a label map volume."),
            node,
        )
    elif node.GetSegmentation().GetNumberOfSegments() == 0:
        raise RunError(
            "bad_input",
            _("The atlas segmentation has no segments."),
            _("Choose a segmentation with structures."),
            node,
        )


def imageArray(image):
    """The scalars of a vtkImageData as a view (k, j, i), which lives as long as the image."""
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
