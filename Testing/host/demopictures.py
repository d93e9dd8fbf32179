"""`python -m host.demopictures demo-output/scene.mrb FOLDER`: the documentation's pictures of the demo's brain."""

import argparse
import pathlib
import sys

import numpy as np
import vtk
from vtkmodules.util.numpy_support import vtk_to_numpy

from .events import pump, screenshot
from .files import loadScene
from .load import loadModule
from .picture import fourUp, writePng
from .pictures import MODULE, segmentations, thumbnail
from .runtime import boot
from .views import SliceView
from .window import Window

SIZE = (900, 860)  # pixels of the window
SLICE = (290, 290)


def makeDemoPictures(scenePath, folder):
    """Writes the panel after the demo's run, its result, the overlays and a thumbnail; returns their paths."""
    mrml = boot()
    loadScene(scenePath)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    loaded = loadModule(MODULE)
    try:
        paths = [folder / f"{name}.png" for name in ("panel", "result", "overlays")]
        result, target = _choose(loaded.widget.panel)
        window = Window(loaded, mrml)
        window.resize(*SIZE)
        window.show()
        window.updateViews()
        pump()
        screenshot(window, paths[0])
        writePng(fourUp(mrml, target, result, size=(390, 320)), paths[1])
        writePng(_overlays(mrml, result, target), paths[2])
        paths.append(thumbnail(mrml, segmentations()[0], folder / "brain-thumbnail.png"))
        window.takeCentralWidget().deleteLater()
        window.close()
    finally:
        loaded.unload()
        mrml.clear()
    for path in paths:
        _withFewColours(path)
    return paths


def _withFewColours(path):
    """Writes a PNG anew with the 256 colours that suit it best: a third of the size."""
    from PySide6.QtGui import QColor, QImage

    reader = vtk.vtkPNGReader()
    reader.SetFileName(str(path))
    quantized = vtk.vtkImageQuantizeRGBToIndex()
    quantized.SetInputConnection(reader.GetOutputPort())
    quantized.SetNumberOfColors(256)
    quantized.Update()
    width, height, _depth = quantized.GetOutput().GetDimensions()
    indices = vtk_to_numpy(quantized.GetOutput().GetPointData().GetScalars()).reshape(height, width)[::-1]
    indices = np.ascontiguousarray(indices, np.uint8)
    table = quantized.GetLookupTable()
    image = QImage(indices.data, width, height, width, QImage.Format_Indexed8)
    colours = [table.GetTableValue(index) for index in range(table.GetNumberOfTableValues())]
    image.setColorTable([QColor.fromRgbF(*colour).rgba() for colour in colours])
    image.save(str(path))


def _choose(panel):
    """(segmentation, target), chosen in the panel as after the run; only its segments are seen."""
    from RRLMedSAMLib.resultnodes import results, sourcesOf

    result = results()[-1]
    sources, ui = sourcesOf(result), panel.ui
    ui.atlasVolumeSelector.setCurrentNode(sources["atlasVolume"])
    ui.atlasSegmentationSelector.setCurrentNode(sources["atlasSegmentation"])
    ui.targetSelector.setCurrentNode(sources["target"])
    ui.resultSelector.setCurrentNode(result)
    for node in segmentations():
        node.GetDisplayNode().SetVisibility(node is result)
    result.GetDisplayNode().SetOpacity2DFill(0.4)
    return result, sources["target"]


def _overlays(mrml, result, target):
    """A slice with each of the three, side by side."""
    from RRLMedSAMLib.overlays import ATLAS, CONFIDENCE, DEFORMATION, Overlays

    result.GetDisplayNode().SetVisibility(False)
    view = SliceView(mrml, "Red", SLICE)
    bounds = np.zeros(6)
    result.GetRASBounds(bounds)
    view.show(target, bounds.reshape(3, 2).mean(axis=1))
    overlays, images = Overlays(), []
    for kind in (CONFIDENCE, DEFORMATION, ATLAS):
        overlays.show(kind, result)
        images.append(np.pad(view.image(), ((0, 0), (0, 4), (0, 0)), constant_values=255))
    overlays.back()
    view.close()
    return np.concatenate(images, axis=1)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m host.demopictures", description=__doc__)
    parser.add_argument("scene", help="the demo's scene.mrb")
    parser.add_argument("folder", help="where they are written")
    options = parser.parse_args(arguments)
    for path in makeDemoPictures(options.scene, options.folder):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
