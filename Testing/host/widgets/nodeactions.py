"""The actions at the end of a node selector's list."""

from PySide6 import QtCore, QtWidgets

from .nodemenu import ACTION_ROLE, NodeMenu


def menuOption(name, kind=bool):
    """A Qt property that decides what the menu offers besides nodes."""

    def read(self):
        return getattr(self._menu, name)

    def write(self, value):
        setattr(self._menu, name, value)
        self._updateMenu()

    return QtCore.Property(kind, read, write)


class NodeActions:
    """The part of qMRMLNodeComboBox that creates, renames and removes nodes, and puts these actions into the list."""

    def _initMenu(self):
        self._menu = NodeMenu()
        self._comboBox.activated.connect(self._onActivated)

    def _updateMenu(self):
        """Puts "None" and the actions around the nodes; what is selected stays."""
        if self._scene is None:
            return
        self._comboBox.blockSignals(True)
        row = self._row(self._currentID)
        isNone = row < 0 and self._comboBox.currentIndex >= 0
        nodeType = self.nodeTypes[0] if self.nodeTypes else ""
        self._menu.fill(self._comboBox, [(each, self._typeLabel(each)) for each in self.nodeTypes])
        self._comboBox.setDefaultText(f"Select a {self._typeLabel(nodeType)}")
        row = self._row(self._currentID)
        self._comboBox.setCurrentIndex(0 if isNone and self.noneEnabled else row)
        self._comboBox.blockSignals(False)

    def _typeLabel(self, nodeType):
        return self._scene.GetTypeDisplayNameByClassName(nodeType) or "node"

    def _onActivated(self, row):
        action = self._comboBox.itemData(row, ACTION_ROLE)
        if action in (None, "none"):
            self.nodeActivated.emit(self.currentNode())
            return
        self.setCurrentNodeID(self._currentID)
        if action == "rename":
            self.renameCurrentNode()
        elif action == "delete":
            self.removeCurrentNode()
        elif action == "edit":
            raise NotImplementedError("The host has no other module to edit the node in.")
        else:
            self.addNode(action)

    def addNode(self, nodeType=None):
        nodeType = nodeType or self.nodeTypes[0]
        name = self.baseName or self._scene.GetTagByClassName(nodeType)
        node = self._scene.AddNewNodeByClass(nodeType, self._scene.GenerateUniqueName(name))
        for (forType, attribute), value in self._filter.attributes.items():
            if forType == nodeType and value is not None:
                node.SetAttribute(attribute, str(value))
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self):
        self._scene.RemoveNode(self.currentNode())

    def renameCurrentNode(self):
        node = self.currentNode()
        if node is not None:
            name, isAccepted = QtWidgets.QInputDialog.getText(self, "Rename", "New name:", text=node.GetName())
            if isAccepted and name:
                node.SetName(name)
