"""Which nodes of a scene a node selector offers."""

import dataclasses


@dataclasses.dataclass
class NodeFilter:
    """Slicer's rules. Without a node type nothing is accepted."""

    nodeTypes: tuple = ()
    showHidden: bool = False
    showChildNodeTypes: bool = True
    hideChildNodeTypes: tuple = ()
    attributes: dict = dataclasses.field(default_factory=dict)  # (node type, attribute's name): value, None for any

    def accepts(self, node):
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        return any(self._acceptsAs(nodeType, node) for nodeType in self.nodeTypes)

    def _acceptsAs(self, nodeType, node):
        if node.GetClassName() != nodeType:
            if not self.showChildNodeTypes or not node.IsA(nodeType):
                return False
            if any(node.IsA(hidden) for hidden in self.hideChildNodeTypes):
                return False
        wanted = {name: value for (forType, name), value in self.attributes.items() if forType == nodeType}
        return all(_matches(node.GetAttribute(name), value) for name, value in wanted.items())


def _matches(found, wanted):
    return found is not None and (wanted is None or found == str(wanted))
