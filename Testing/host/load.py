"""Loads a scripted module as Slicer's module factory does."""

import dataclasses
import os

import slicer

from .events import pump
from .runtime import boot


@dataclasses.dataclass
class LoadedModule:
    """``source``: the Python module; ``instance``: the ScriptedLoadableModule; ``parent``: its C++ side's stand-in;

    ``widget``: the ScriptedLoadableModuleWidget; ``panel``: the QWidget that it made.
    """

    source: object
    instance: object
    parent: object
    widget: object
    panel: object

    def enter(self):
        """The user selects the module."""
        self.panel.enter()

    def exit(self):
        """The user selects another module."""
        self.panel.exit()

    @property
    def isLoaded(self):
        return getattr(slicer.modules, self.parent.name.lower(), None) is self.parent

    def unload(self):
        """The application ends: cleanup() is called and the panel destroyed."""
        if self.panel.isEntered:
            self.exit()
        slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(self.parent.name)
        for name in (self.parent.name.lower(), f"{self.parent.name}Instance", f"{self.parent.name}Widget"):
            delattr(slicer.modules, name)
        self.panel.deleteLater()
        pump()


def loadModule(path, isEntered=True):
    """Loads the file, makes its panel and enters it; starts the host where needed. Returns a `LoadedModule`."""
    boot()
    from .module import loadSource, qSlicerScriptedLoadableModule

    path = os.path.abspath(path)
    source = loadSource(path)
    parent = qSlicerScriptedLoadableModule(path)
    setattr(slicer.modules, parent.name.lower(), parent)
    instance = getattr(source, parent.name)(parent)
    setattr(slicer.modules, f"{parent.name}Instance", instance)
    panel = parent.widgetRepresentation()
    loaded = LoadedModule(source, instance, parent, panel.self(), panel)
    if isEntered:
        loaded.enter()
    return loaded
