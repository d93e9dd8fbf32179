"""qMRMLWidget: a widget that knows the scene."""

from PySide6 import QtCore, QtWidgets

from ..uiloader import standIn


@standIn
class qMRMLWidget(QtWidgets.QWidget):
    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None

    def setMRMLScene(self, scene):
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self):
        return self._scene


@standIn
class qSlicerWidget(qMRMLWidget):
    pass
