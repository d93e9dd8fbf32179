"""qMRMLSegmentationShow3DButton: makes or removes the surfaces of a segmentation."""

from PySide6 import QtWidgets

from ..uiloader import standIn


@standIn
class qMRMLSegmentationShow3DButton(QtWidgets.QPushButton):
    def __init__(self, parent=None):
        super().__init__("Show 3D", parent)
        self._node = None
        self.setCheckable(True)
        self.setEnabled(False)
        self.clicked.connect(self._onClicked)

    def segmentationNode(self):
        return self._node

    def setSegmentationNode(self, node):
        self._node = node
        self.setEnabled(node is not None)
        self.setChecked(node is not None and node.GetSegmentation().ContainsRepresentation("Closed surface"))

    def _onClicked(self, isShown):
        if isShown:
            self._node.CreateClosedSurfaceRepresentation()
        else:
            self._node.RemoveClosedSurfaceRepresentation()
