"""One picture of the scene: slices and surfaces beside each other, as Slicer shows them. Needs no Qt."""

import numpy as np
import vtk
from vtkmodules.util.numpy_support import numpy_to_vtk

from .views import SliceView, ThreeDView

# Slicer's colours of the views' title bars.
BAR_COLOURS = {"Red": (243, 74, 51), "3D": (116, 144, 187), "Green": (110, 176, 75), "Yellow": (237, 213, 76)}
BAR_HEIGHT, GAP = 16, 2


def fourUp(mrml, volume, segmentation=None, size=(400, 400), positionRas=None):
    """Slicer's four-up layout: uint8 (row, column, 3), the first row on top.

    ``size``: pixels of one view. ``positionRas``: where the slices meet, in mm; the middle of the segments, or of the
    volume, if None. The segmentation gets a surface representation where it has none.
    """
    if segmentation is not None:
        segmentation.CreateClosedSurfaceRepresentation()
    if positionRas is None:
        positionRas = _centre(segmentation if segmentation is not None else volume)
    images = {}
    for name in ("Red", "Yellow", "Green"):
        view = SliceView(mrml, name, size)
        view.show(volume, positionRas)
        images[name] = view.image()
        view.close()
    view = ThreeDView(mrml, size)
    view.show()
    images["3D"] = view.image()
    return _compose(images)


def _compose(images):
    panes = {}
    for name, image in images.items():
        bar = np.empty((BAR_HEIGHT, image.shape[1], 3), np.uint8)
        bar[:] = BAR_COLOURS[name]
        panes[name] = np.pad(np.concatenate([bar, image]), ((0, GAP), (0, GAP), (0, 0)), constant_values=240)
    rows = (("Red", "3D"), ("Green", "Yellow"))
    return np.concatenate([np.concatenate([panes[name] for name in row], axis=1) for row in rows])


def _centre(node):
    bounds = np.zeros(6)
    node.GetRASBounds(bounds)
    return bounds.reshape(3, 2).mean(axis=1)


def writePng(image, path):
    """``image``: uint8 (row, column, 3)."""
    data = vtk.vtkImageData()
    data.SetDimensions(image.shape[1], image.shape[0], 1)
    scalars = numpy_to_vtk(np.ascontiguousarray(image[::-1]).reshape(-1, 3), deep=True)
    data.GetPointData().SetScalars(scalars)
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(data)
    writer.Write()
