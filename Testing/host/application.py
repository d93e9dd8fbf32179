"""slicer.app and the module manager, as far as a panel uses them."""

import importlib.metadata
import os

import slicer
from PySide6 import QtCore, QtWidgets

from . import style


class ModuleManager(QtCore.QObject):
    moduleLoaded = QtCore.Signal(str)
    moduleAboutToBeUnloaded = QtCore.Signal(str)

    def module(self, name):
        """None where there is none of this name."""
        return getattr(slicer.modules, name.lower(), None)


class Application(QtWidgets.QApplication):
    """``mrml``: the `Mrml`; ``isTesting``: message boxes answer themselves instead of waiting for a click."""

    startupCompleted = QtCore.Signal()

    def __init__(self, mrml, temporaryFolder, isTesting):
        super().__init__(["RRLMedSAM"])
        self.applicationName = "Slicer"
        self.revision = "1"
        self.applicationVersion = importlib.metadata.version("slicer-core")
        self.temporaryPath = temporaryFolder
        self.mrml, self._isTesting = mrml, isTesting
        self._moduleManager = ModuleManager()
        self._settings = QtCore.QSettings(f"{temporaryFolder}/Slicer.ini", QtCore.QSettings.IniFormat)
        style.apply(self)

    def mrmlScene(self):
        return self.mrml.scene

    def applicationLogic(self):
        return self.mrml.applicationLogic

    def moduleManager(self):
        return self._moduleManager

    def layoutManager(self):
        """None, as in Slicer without a main window."""
        return None

    def testingEnabled(self):
        return self._isTesting

    def translate(self, _context, text):
        return text

    @property
    def slicerUserSettingsFilePath(self):
        return self._settings.fileName()

    def userSettings(self):
        return self._settings

    def settings(self):
        return self._settings

    def startupEnvironment(self):
        return dict(os.environ)
