"""A main window around a module's panel: the panel on the left, a picture of the scene on the right."""

import numpy as np
import slicer
import slicer.util
from PySide6 import QtCore, QtGui, QtWidgets

from . import files
from .picture import fourUp
from .widgets.collapsiblebutton import ctkCollapsibleButton

PANEL_WIDTH = 400


class Window(QtWidgets.QMainWindow):
    """``loaded``: the `LoadedModule`; ``mrml``: the `Mrml`."""

    def __init__(self, loaded, mrml):
        super().__init__()
        self._mrml = mrml
        self.setWindowTitle(loaded.parent.title)
        self.setWindowIcon(loaded.parent.icon)
        toolBar = self.addToolBar("Data")
        toolBar.setMovable(False)
        for text, slot in (
            ("Add volume...", lambda: self._open(files.loadVolume, "Add volume")),
            ("Add segmentation...", lambda: self._open(files.loadSegmentation, "Add segmentation")),
            ("Add label map...", lambda: self._open(files.loadLabelMap, "Add label map")),
            ("Open scene...", lambda: self._open(files.loadScene, "Open scene")),
            ("Save scene...", self._save),
            ("Update views", self.updateViews),
        ):
            toolBar.addAction(text).triggered.connect(slot)
        self._views = QtWidgets.QLabel("Add data, then click 'Update views'.")
        self._views.setAlignment(QtCore.Qt.AlignCenter)
        self._views.setMinimumSize(200, 200)
        content = QtWidgets.QWidget()
        layout = QtWidgets.QHBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(_panel(loaded))
        layout.addWidget(self._views, 1)
        self.setCentralWidget(content)
        self.resize(1240, 860)

    def updateViews(self):
        """Draws the last visible segmentation on the volume it belongs to; without one, the last volume."""
        volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        images = [volume for volume in volumes if not volume.IsA("vtkMRMLLabelMapVolumeNode")]
        if not images:
            return
        segmentations = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        visible = [node for node in segmentations if node.GetDisplayVisibility()]
        segmentation = visible[-1] if visible else None
        reference = segmentation and segmentation.GetNodeReference(
            segmentation.GetReferenceImageGeometryReferenceRole()
        )
        side = max(100, min(self._views.width, self._views.height) // 2 - 24)
        picture = np.ascontiguousarray(fourUp(self._mrml, reference or images[-1], segmentation, (side, side)))
        height, width, _ = picture.shape
        image = QtGui.QImage(picture.data, width, height, 3 * width, QtGui.QImage.Format_RGB888)
        self._views.setPixmap(QtGui.QPixmap.fromImage(image))

    def _open(self, load, title):
        path, _ = QtWidgets.QFileDialog.getOpenFileName(self, title)
        if path:
            self._try(load, path)
            self.updateViews()

    def _save(self):
        path, _ = QtWidgets.QFileDialog.getSaveFileName(self, "Save scene", "scene.mrb", "*.mrb")
        if path:
            self._try(files.saveScene, path)

    def _try(self, action, path):
        try:
            action(path)
        except OSError as error:
            slicer.util.errorDisplay(str(error), parent=self)


def _panel(loaded):
    """As Slicer's module panel: help above, then the module, in a scroll area."""
    helpButton = ctkCollapsibleButton("Help && Acknowledgement")
    text = QtWidgets.QLabel(loaded.parent.helpText)
    text.setWordWrap(True)
    QtWidgets.QVBoxLayout(helpButton).addWidget(text)
    helpButton.collapsed = True
    content = QtWidgets.QWidget()
    layout = QtWidgets.QVBoxLayout(content)
    layout.addWidget(helpButton)
    layout.addWidget(loaded.panel, 1)
    scrollArea = QtWidgets.QScrollArea()
    scrollArea.setWidget(content)
    scrollArea.setWidgetResizable(True)
    scrollArea.setFixedWidth(PANEL_WIDTH)
    return scrollArea
