"""Loads .ui files with Slicer's custom widgets in them."""

import xml.etree.ElementTree as ElementTree

from PySide6 import QtCore, QtUiTools

from . import pythonqt

_standIns = {}


def standIn(cls):
    """Class decorator: the widget is used where a .ui file names it, and refuses unknown attributes as C++ does."""
    _standIns[cls.__name__] = pythonqt.seal(cls)
    return cls


class QUiLoader(QtUiTools.QUiLoader):
    """As Qt's, but stricter: raises RuntimeError for a widget class or a property that is not known here.

    Qt makes a plain QWidget of the one, and a dynamic property, which does nothing, of the other.
    """

    def load(self, device, parent=None):
        root = ElementTree.fromstring(device.readAll().data())
        missing = {element.get("class") for element in root.iter("widget")}
        missing -= {*_standIns, *self.availableWidgets()}
        if missing:
            raise RuntimeError(f"The host has no stand-in for {', '.join(sorted(missing))}.")
        connections = _takeConnections(root)
        self._made = []
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QtCore.QIODevice.ReadOnly)
        with pythonqt.unsealed():
            top = super().load(buffer, parent)
        if top is None:
            raise RuntimeError(self.errorString())
        objects = {child.objectName: child for child in (top, *top.findChildren(QtCore.QObject))}
        for element in root.iter("widget"):
            _checkProperties(element, objects[element.get("name")])
        for name in objects:  # PySide6 makes children attributes of the top widget, PythonQt does not
            vars(top).pop(name, None)
        # Qt owns the C++ objects; their Python halves would be lost with the loader.
        top._made = self._made
        for sender, signal, receiver, slot in connections:
            pythonqt.connect(objects[sender], signal, getattr(objects[receiver], slot.split("(")[0]))
        return top

    def createWidget(self, className, parent=None, name=""):
        if className in _standIns:
            widget = _standIns[className](parent)
            widget.setObjectName(name)
        else:
            widget = super().createWidget(className, parent, name)
        self._made.append(widget)
        return widget


def _checkProperties(element, widget):
    for item in element.findall("property"):
        # A label's buddy is no Qt property: the loader reads it as one and calls setBuddy().
        isOther = item.get("stdset") == "0" or (item.get("name") == "buddy" and hasattr(widget, "setBuddy"))
        if not isOther and widget.metaObject().indexOfProperty(item.get("name")) < 0:
            raise RuntimeError(f"The host knows no property {item.get('name')} of {element.get('class')}.")


def _takeConnections(root):
    """Removes and returns [(sender, signal, receiver, slot)]: Qt cannot connect signals with VTK's classes here."""
    element = root.find("connections")
    if element is None:
        return []
    root.remove(element)
    return [tuple(item.findtext(tag) for tag in ("sender", "signal", "receiver", "slot")) for item in element]
