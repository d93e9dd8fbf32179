"""qMRMLNodeComboBox: selects a node of the scene."""

import slicer.util
from PySide6 import QtCore, QtWidgets

from ..uiloader import standIn
from .combobox import ctkComboBox
from .nodeactions import NodeActions, menuOption
from .nodefilter import NodeFilter
from .nodemenu import ACTION_ROLE, ID_ROLE
from .nodewatcher import NodeWatcher


def _filterOption(name, kind):
    """A Qt property that decides which nodes are listed."""

    def read(self):
        return getattr(self._filter, name)

    def write(self, value):
        setattr(self._filter, name, value if kind is bool else tuple(filter(None, value)))
        self._updateNodes()
        self._updateMenu()

    return QtCore.Property(kind, read, write)


@standIn
class qMRMLNodeComboBox(NodeActions, QtWidgets.QWidget):
    """Lists nodes between "None" and the menu's actions.

    What is selected when nodes come and go is left to the combo box, as in Slicer: a node that comes into a list
    without any other row is selected, a later one is not; when the selected node goes, the row above is selected.
    ``nodeActivated`` tells of a node that a program selects, too.
    """

    currentNodeChanged = QtCore.Signal((object,), (bool,))
    currentNodeIDChanged = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAdded = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = self._requestedID = None
        self._currentID = ""
        self._filter = NodeFilter()
        self._watcher = NodeWatcher(self, self._onNodeAdded, self._updateNode, self._onNodeRemoved, self._onSceneClosed)
        self._comboBox = ctkComboBox(self)
        self._comboBox.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Preferred)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._comboBox)
        self._comboBox.currentIndexChanged.connect(self._onIndexChanged)
        self._initMenu()
        self.setEnabled(False)

    noneEnabled = menuOption("noneEnabled")
    noneDisplay = menuOption("noneDisplay", str)
    addEnabled = menuOption("addEnabled")
    removeEnabled = menuOption("removeEnabled")
    renameEnabled = menuOption("renameEnabled")
    editEnabled = menuOption("editEnabled")
    selectNodeUponCreation = menuOption("selectNodeUponCreation")
    baseName = menuOption("baseName", str)
    nodeTypes = _filterOption("nodeTypes", "QStringList")
    hideChildNodeTypes = _filterOption("hideChildNodeTypes", "QStringList")
    showHidden = _filterOption("showHidden", bool)
    showChildNodeTypes = _filterOption("showChildNodeTypes", bool)

    def addAttribute(self, nodeType, name, value=None):
        self._filter.attributes[nodeType, name] = value
        self._updateNodes()

    def removeAttribute(self, nodeType, name):
        self._filter.attributes.pop((nodeType, name), None)
        self._updateNodes()

    # ------------------------------------------------------------ scene

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene):
        """Selects the node that was asked for before there was a scene, else "None" where offered, else the first."""
        if scene is self._scene:
            return
        self._scene = scene
        self._fill()
        requestedID, self._requestedID = self._requestedID, None
        if requestedID is None and not self.noneEnabled and self.nodeCount():
            requestedID = self.nodeFromIndex(0).GetID()
        self.setCurrentNodeID(requestedID)
        self.setEnabled(scene is not None)

    def _fill(self):
        """Lists the scene anew; nothing is selected then."""
        self._comboBox.blockSignals(True)
        self._comboBox.clear()
        self._currentID = ""
        self._watcher.watch(self._scene)
        self._updateNodes()
        self._updateMenu()
        self._comboBox.setCurrentIndex(-1)
        self._comboBox.blockSignals(False)

    def _onSceneClosed(self):
        self._fill()
        self._comboBox.setCurrentIndex(0 if self.noneEnabled else -1)
        self._emitCurrentNode()

    def _onNodeAdded(self, node):
        self._updateNode(node)
        if self._row(node.GetID()) >= 0:
            self.nodeAdded.emit(node)

    def _onNodeRemoved(self, node):
        row = self._row(node.GetID())
        if row >= 0:
            self.nodeAboutToBeRemoved.emit(node)
            self._removeRow(row)

    def _removeRow(self, row):
        """Qt 5's rule, as in released Slicer versions; with Qt 6 the row below would be selected."""
        isCurrent = row == self._comboBox.currentIndex
        self._comboBox.blockSignals(True)
        self._comboBox.removeItem(row)
        if isCurrent:
            self._comboBox.setCurrentIndex(row - 1)
        self._comboBox.blockSignals(False)
        if isCurrent:
            self._onIndexChanged(row - 1)

    def _updateNodes(self):
        if self._scene is not None:
            for node in slicer.util.getNodesByClass("vtkMRMLNode", self._scene):
                self._updateNode(node)

    def _updateNode(self, node):
        """Brings the node's row in line with the node."""
        row, isAccepted = self._row(node.GetID()), self._filter.accepts(node)
        if any(node.IsA(nodeType) for nodeType in self.nodeTypes):
            self._watcher.watchNode(node)
        if isAccepted and row < 0:
            self._comboBox.insertItem(self._firstNodeRow() + self.nodeCount(), node.GetName(), node.GetID())
        elif isAccepted and self._comboBox.itemText(row) != node.GetName():
            self._comboBox.setItemText(row, node.GetName())
            if row == self._comboBox.currentIndex:
                self._onIndexChanged(row)
        elif row >= 0 and not isAccepted:
            self._removeRow(row)

    # ------------------------------------------------------------ selection

    def currentNode(self):
        return self._scene.GetNodeByID(self._currentID) if self._currentID else None

    def setCurrentNode(self, node):
        self.setCurrentNodeID(node.GetID() if node is not None else None)

    def setCurrentNodeID(self, nodeID):
        if self._scene is None:
            self._requestedID = nodeID
            return
        row = self._row(nodeID)
        isOther = row >= 0 and row != self._comboBox.currentIndex
        self._comboBox.setCurrentIndex(0 if row < 0 and self.noneEnabled else row)
        if isOther:  # as in Slicer, where a key is sent to the list
            self.nodeActivated.emit(self.currentNode())

    currentNodeID = QtCore.Property(str, lambda self: self._currentID, setCurrentNodeID)

    def setCurrentNodeIndex(self, index):
        self._comboBox.setCurrentIndex(self._firstNodeRow() + index if index < self.nodeCount() else -1)

    def nodeCount(self):
        return sum(bool(self._comboBox.itemData(row, ID_ROLE)) for row in range(self._comboBox.count))

    def nodeFromIndex(self, index):
        nodeID = self._comboBox.itemData(self._firstNodeRow() + index, ID_ROLE)
        return self._scene.GetNodeByID(nodeID) if nodeID else None

    def _firstNodeRow(self):
        return int(self._comboBox.itemData(0, ACTION_ROLE) == "none")

    def _row(self, nodeID):
        return self._comboBox.findData(nodeID, ID_ROLE) if nodeID else -1

    def _onIndexChanged(self, row):
        if self._comboBox.itemData(row, ACTION_ROLE) not in (None, "none"):
            return  # an action was clicked: the node stays, see _onActivated
        self._currentID = self._comboBox.itemData(row, ID_ROLE) or ""
        self._emitCurrentNode()

    def _emitCurrentNode(self):
        node = self.currentNode()
        self.currentNodeChanged[object].emit(node)
        self.currentNodeChanged[bool].emit(node is not None)
        self.currentNodeIDChanged.emit(self._currentID)
