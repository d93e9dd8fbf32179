"""What a node selector offers besides nodes: "None" above them, actions below."""

import dataclasses

from PySide6 import QtCore

ID_ROLE, ACTION_ROLE = QtCore.Qt.UserRole, QtCore.Qt.UserRole + 1


@dataclasses.dataclass
class NodeMenu:
    """Slicer's defaults."""

    noneEnabled: bool = False
    noneDisplay: str = "None"
    addEnabled: bool = True
    removeEnabled: bool = True
    renameEnabled: bool = False
    editEnabled: bool = False
    selectNodeUponCreation: bool = True
    baseName: str = ""

    def fill(self, comboBox, nodeTypes):
        """Replaces the rows that are no nodes. ``nodeTypes``: [(class, label)]."""
        for row in reversed(range(comboBox.count)):
            if comboBox.itemData(row, ID_ROLE) is None:
                comboBox.removeItem(row)
        if self.noneEnabled:
            comboBox.insertItem(0, self.noneDisplay)
            comboBox.setItemData(0, "none", ACTION_ROLE)
        actions = self._actions(nodeTypes)
        if actions:
            comboBox.insertSeparator(comboBox.count)
        for text, action in actions:
            comboBox.addItem(text)
            comboBox.setItemData(comboBox.count - 1, action, ACTION_ROLE)

    def _actions(self, nodeTypes):
        """[(text, "rename", "edit", "delete" or the class to create)]"""
        label = nodeTypes[0][1] if len(nodeTypes) == 1 else "node"
        actions = []
        if self.renameEnabled:
            actions.append((f"Rename current {label}", "rename"))
        if self.editEnabled:
            actions.append((f"Edit current {label}", "edit"))
        if self.addEnabled:
            actions += [(f"Create new {typeLabel}", nodeType) for nodeType, typeLabel in nodeTypes]
        if self.removeEnabled:
            actions.append((f"Delete current {label}", "delete"))
        return actions
