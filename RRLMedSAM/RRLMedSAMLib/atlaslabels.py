"""The atlas segmentation as label maps for the engine.

A label map holds one structure in each voxel, so segments that overlap need several, called layers. The
structure at index n of the atlas has the value n + 1 in its layer, whatever its value in the scene is.
"""

import colorsys
import dataclasses

import numpy as np
import slicer
import vtk

from .errors import RunError
from .exchange import pieces
from .messages import _
from .scene import LPS_FROM_RAS, ijkToRas, toArray
from .sceneinput import imageArray

BINARY_LABELMAP = "Binary labelmap"  # vtkSegmentationConverter::GetBinaryLabelmapRepresentationName()


@dataclasses.dataclass
class Structure:
    """A segment of the atlas without its voxels: ``segment`` carries name, colour and tags."""

    segmentId: str
    segment: object
    visible: bool
    layer: int = 0


@dataclasses.dataclass
class _Source:
    """Voxels of some structures in the scene: no two of them overlap.

    ``values[n]`` in ``voxels`` (k, j, i) is the structure at index ``structures[n]``; ``values`` is sorted.
    """

    voxels: np.ndarray
    values: np.ndarray
    structures: np.ndarray
    voxelToLocalRas: np.ndarray

    def labels(self, piece):
        """The engine's labels of a piece along k."""
        voxels = self.voxels[piece]
        index = np.minimum(np.searchsorted(self.values, voxels), len(self.values) - 1)
        return np.where(self.values[index] == voxels, self.structures[index] + 1, 0)


class AtlasLabels:
    """Reads a segmentation or a label map volume, in steps.

    After ``for _ in labels.steps()``: ``structures`` in the atlas's order, ``layers`` (each (k, j, i), uint8 or
    int16) and ``voxelToLps``, the place of all layers in the engine's frame. ``inputs``: `Inputs` or `AtlasInputs`.
    """

    def __init__(self, inputs):
        self._inputs, self._node = inputs, inputs.atlasSegmentation
        self.structures, self.layers, self.voxelToLps = [], [], None
        self._isEmpty = True

    def steps(self):
        """Generator; raises RunError bad_input where there is no voxel of any structure."""
        if self._node.IsA("vtkMRMLSegmentationNode"):
            sources = yield from self._readSegmentation()
        else:
            sources = yield from self._readLabelMap()
        offsets, shape = self._commonGrid(sources) if sources else ([], None)
        dtype = np.uint8 if len(self.structures) < 256 else np.int16
        for source, offset in zip(sources, offsets):
            yield from self._addSource(source, offset, shape, dtype)
        if self._isEmpty:
            raise RunError(
                "bad_input",
                _("The atlas segmentation is empty inside the atlas volume."),
                _("Draw its structures first, or choose the volume that they were drawn on."),
                self._node,
            )

    # ------------------------------------------------------------ the scene's two kinds

    def _readSegmentation(self):
        segmentation = yield from self._withBinaryLabelmaps(self._node.GetSegmentation())
        display = self._node.GetDisplayNode()
        ids = list(segmentation.GetSegmentIDs())
        for segmentId in ids:
            copy = slicer.vtkSegment()
            copy.DeepCopyMetadata(segmentation.GetSegment(segmentId))
            copy.RemoveTag("Segmentation.Status")  # how far the atlas was edited is not true of the result
            visible = display is None or bool(display.GetSegmentVisibility(segmentId))
            self.structures.append(Structure(segmentId, copy, visible))
        sources = []
        for layer in range(segmentation.GetNumberOfLayers(BINARY_LABELMAP)):
            image = segmentation.GetLayerDataObject(layer, BINARY_LABELMAP)
            if image is None or image.GetNumberOfPoints() == 0:
                continue
            members = segmentation.GetSegmentIDsForLayer(layer, BINARY_LABELMAP)
            pairs = sorted((segmentation.GetSegment(i).GetLabelValue(), ids.index(i)) for i in members)
            sources.append(_Source(imageArray(image), *np.array(pairs).T, _imageToRas(image)))
        return sources

    def _withBinaryLabelmaps(self, segmentation):
        """The segmentation, or, where it has only surfaces or contours, a copy of it with label maps."""
        if segmentation.ContainsRepresentation(BINARY_LABELMAP):
            return segmentation
        copy = slicer.vtkSegmentation()
        copy.DeepCopy(segmentation)
        yield
        if not copy.CreateRepresentation(BINARY_LABELMAP):
            raise RunError(
                "bad_input",
                _("The atlas segmentation cannot be turned into a label map."),
                _("Create its binary labelmap representation in the Segmentations module."),
                self._node,
            )
        return copy

    def _readLabelMap(self):
        array = imageArray(self._node.GetImageData())
        values = set()
        for piece in pieces(array.shape):
            values.update(np.unique(array[piece]).tolist())
            yield
        values = sorted(values - {0})
        if any(value != int(value) for value in values):
            raise RunError(
                "bad_input",
                _("The atlas label map has values that are not whole numbers."),
                _("Choose a label map, not an image."),
                self._node,
            )
        display = self._node.GetDisplayNode()
        colours = display.GetColorNode() if display else None
        for value in map(int, values):
            self.structures.append(Structure(f"Segment_{value}", _segmentOfValue(value, colours), True))
        if not values:
            return []
        return [_Source(array, np.array(values), np.arange(len(values)), ijkToRas(self._node))]

    # ------------------------------------------------------------ one grid for all layers

    def _commonGrid(self, sources):
        """The place (i, j, k) of each source's first voxel in the common grid, and its shape (k, j, i).

        It is the atlas's own grid where the segmentation was drawn on it. Elsewhere it is the first source's,
        grown to hold all; the engine resamples it then, with a warning.
        """
        localToLps = LPS_FROM_RAS @ self._inputs.segmentationToFrame
        placements = [localToLps @ source.voxelToLocalRas for source in sources]
        atlasToLps = self._inputs.atlasVoxelToLps
        offsets = [_voxelOffset(atlasToLps, placement) for placement in placements]
        if all(offset is not None for offset in offsets):
            self.voxelToLps = atlasToLps
            return offsets, self._inputs.atlasVolume.GetImageData().GetDimensions()[::-1]
        offsets = [_voxelOffset(placements[0], placement) for placement in placements]
        if any(offset is None for offset in offsets):
            raise RunError(
                "bad_input",
                _("The segments of the atlas lie on different voxel grids."),
                _("Export them to one label map volume with the Segmentations module and choose that."),
                self._node,
            )
        low = np.min(offsets, axis=0)
        high = np.max([offset + source.voxels.shape[::-1] for offset, source in zip(offsets, sources)], axis=0)
        shift = np.eye(4)
        shift[:3, 3] = low
        self.voxelToLps = placements[0] @ shift
        return [offset - low for offset in offsets], tuple(int(n) for n in (high - low)[::-1])

    def _addSource(self, source, offset, shape, dtype):
        """Puts the part of the source that lies in the grid into the first layer where it overlaps nothing."""
        size = np.array(source.voxels.shape[::-1])
        low, high = np.maximum(offset, 0), np.minimum(offset + size, shape[::-1])
        if (low >= high).any():
            return
        source = dataclasses.replace(source, voxels=source.voxels[_box(low - offset, high - offset)])
        region = _box(low, high)
        index = yield from self._freeLayer(source, region)
        if index == len(self.layers):
            self.layers.append(np.zeros(shape, dtype))
        layer = self.layers[index][region]
        for piece in pieces(layer.shape):
            labels = source.labels(piece)
            np.copyto(layer[piece], labels.astype(dtype), where=labels > 0)
            self._isEmpty = self._isEmpty and not labels.any()
            yield
        for structure in source.structures:
            self.structures[structure].layer = index

    def _freeLayer(self, source, region):
        for index, layer in enumerate(self.layers):
            for piece in pieces(source.voxels.shape):
                yield
                if ((source.labels(piece) > 0) & (layer[region][piece] > 0)).any():
                    break
            else:
                return index
        return len(self.layers)


def _box(low, high):
    """Index of an array (k, j, i) for a box between two corners (i, j, k)."""
    return tuple(slice(int(first), int(last)) for first, last in zip(low[::-1], high[::-1]))


def imageFrame(image):
    """(4, 4): index (i, j, k) of a vtkOrientedImageData, which begins at its extent -> local RAS mm."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return toArray(matrix)


def _imageToRas(image):
    """(4, 4): index of the first stored voxel and on -> local RAS of a vtkOrientedImageData."""
    shift = np.eye(4)
    shift[:3, 3] = image.GetExtent()[::2]
    return imageFrame(image) @ shift


def _voxelOffset(grid, other):
    """Where the other grid's first voxel lies in the grid, (i, j, k), or None unless they share their voxels."""
    relative = np.linalg.inv(grid) @ other
    offset = np.rint(relative[:3, 3])
    isSame = np.allclose(relative[:3, :3], np.eye(3), atol=1e-4) and np.allclose(relative[:3, 3], offset, atol=1e-2)
    return offset.astype(int) if isSame else None


def _segmentOfValue(value, colourNode):
    """A segment with the name and colour that a colour table (or None) gives to the value."""
    segment = slicer.vtkSegment()
    name = colourNode.GetColorName(value) if colourNode else ""
    segment.SetName(name or f"Label {value}")
    if name:
        rgba = [0.0] * 4
        colourNode.GetColor(value, rgba)
        segment.SetColor(rgba[:3])
    else:
        segment.SetColor(colorsys.hsv_to_rgb(value * 0.618034 % 1, 0.6, 0.9))  # golden ratio: neighbours differ
    return segment
