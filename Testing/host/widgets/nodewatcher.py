"""Tells a widget when nodes of its scene come, change and go, as long as the widget lives."""

import vtk


class NodeWatcher:
    """Calls ``onAdded(node)``, ``onModified(node)``, ``onRemoved(node)`` before the node has gone, and ``onClosed()``.

    As Slicer's widgets, it tells nothing of the single nodes that go when the scene is closed. It is no part of the
    widget: when Qt destroys that, only an object outside it can still remove the observers.
    """

    def __init__(self, widget, onAdded, onModified, onRemoved, onClosed):
        self._onAdded, self._onModified, self._onRemoved, self._onClosed = onAdded, onModified, onRemoved, onClosed
        self._sceneTags, self._nodeTags = [], {}
        widget.destroyed.connect(self.stop)

    def watch(self, scene):
        """Stops watching another scene. ``scene``: None to watch nothing."""
        self.stop()
        self._scene = scene
        if scene is not None:
            for event, observer in (
                (scene.NodeAddedEvent, self._nodeAdded),
                (scene.NodeAboutToBeRemovedEvent, self._nodeRemoved),
                (scene.EndCloseEvent, lambda _scene, _event: self._onClosed()),
            ):
                self._sceneTags.append(scene.AddObserver(event, observer))

    def watchNode(self, node):
        if node.GetID() not in self._nodeTags:
            tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, _event: self._onModified(caller))
            self._nodeTags[node.GetID()] = node, tag

    def stop(self):
        for tag in self._sceneTags:
            self._scene.RemoveObserver(tag)
        for node, tag in self._nodeTags.values():
            node.RemoveObserver(tag)
        self._sceneTags, self._nodeTags = [], {}

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _nodeAdded(self, _scene, _event, node):
        self._onAdded(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _nodeRemoved(self, scene, _event, node):
        watched = self._nodeTags.pop(node.GetID(), None)
        if watched is not None:
            node.RemoveObserver(watched[1])
        if not scene.IsClosing():
            self._onRemoved(node)
