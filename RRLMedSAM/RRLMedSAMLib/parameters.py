"""The user's choices, saved with the scene."""

import enum
import typing

from slicer import vtkMRMLLabelMapVolumeNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from .messages import _
from .models import AUTOMATIC


class Effort(enum.Enum):
    """Values are the protocol's."""

    FAST = "fast"
    BALANCED = "balanced"
    BEST = "best"

    def label(self):
        return {"fast": _("Fast"), "balanced": _("Balanced"), "best": _("Best")}[self.value]

    def hint(self):
        return {
            "fast": _("About 20 s for a 1 mm brain on two cores"),
            "balanced": _("About 1 min for a 1 mm brain on two cores"),
            "best": _("About 2.5 min for a 1 mm brain on two cores"),
        }[self.value]


class Device(enum.Enum):
    """Values are the protocol's."""

    AUTOMATIC = "auto"
    CPU = "cpu"
    GPU = "cuda"

    def label(self):
        return {"auto": _("Automatic"), "cpu": _("CPU"), "cuda": _("GPU (NVIDIA)")}[self.value]


@parameterNodeWrapper
class RRLMedSAMParameterNode:
    """``model``: auto, instant, a shipped model's name or a package's path, as the protocol has it.

    ``resultSegmentation`` is the segmentation whose results the panel shows. ``worklistOutput``: the folder of files'
    results. ``adapt...``: what a model is adapted with, paths and minutes.
    """

    atlasVolume: vtkMRMLScalarVolumeNode
    atlasSegmentation: typing.Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, None]
    target: vtkMRMLScalarVolumeNode
    effort: Effort = Effort.BALANCED
    model: str = AUTOMATIC
    device: Device = Device.AUTOMATIC
    resultSegmentation: vtkMRMLSegmentationNode
    worklistOutput: str = ""
    adaptFolder: str = ""
    adaptMinutes: typing.Annotated[int, WithinRange(1, 10000)] = 30
    adaptOutput: str = ""
