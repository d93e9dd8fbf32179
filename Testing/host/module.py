"""What Slicer makes of a scripted module's file: the module and its widget, as the application sees them."""

import importlib.util
import os
import sys

import slicer
from PySide6 import QtGui, QtWidgets

from .widgets.mrmlwidget import qMRMLWidget


class qSlicerScriptedLoadableModule:
    """The ``parent`` of a ScriptedLoadableModule. Other attributes cannot be set, as on the C++ object."""

    __slots__ = (
        "path",
        "name",
        "title",
        "categories",
        "dependencies",
        "contributors",
        "helpText",
        "acknowledgementText",
        "icon",
        "index",
        "hidden",
        "associatedNodeTypes",
        "widgetRepresentationCreationEnabled",
        "_widget",
    )

    def __init__(self, path):
        self.path = path
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.icon = QtGui.QIcon()
        self._widget = None

    def widgetRepresentation(self):
        """The module's panel, made when first asked for."""
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self):
        return qSlicerScriptedLoadableModuleWidget(self)


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The ``parent`` of a ScriptedLoadableModuleWidget."""

    def __init__(self, module):
        super().__init__()
        self._module, self.isEntered = module, False
        self.setLayout(QtWidgets.QVBoxLayout())
        self.setMRMLScene(slicer.mrmlScene)
        self.windowTitle = module.title
        self.reload()

    def self(self):
        return self._self

    def reload(self):
        """Makes the Python widget anew, from the class as it is now."""
        className = f"{self._module.name}Widget"
        self._self = getattr(sys.modules[self._module.name], className)(self)
        setattr(slicer.modules, className, self._self)
        self._self.setup()

    def enter(self):
        self.isEntered = True
        self._callIfThere("enter")

    def exit(self):
        self.isEntered = False
        self._callIfThere("exit")

    def _callIfThere(self, name):
        getattr(self._self, name, lambda: None)()


def loadSource(path):
    """The file as a module of its own name, found by `import` from then on, with its folder on the path."""
    folder, name = os.path.dirname(path), os.path.splitext(os.path.basename(path))[0]
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
