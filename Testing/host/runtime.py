"""Starts the host: from then on a module finds `slicer`, `qt` and `ctk` as in Slicer, as far as the host goes."""

import atexit
import os
import shutil
import sys
import tempfile

OWN_SLICER_FILES = os.path.join(os.path.dirname(__file__), "slicerfiles")
# Known by name to Slicer's own parameterNodeWrapper.
ABSENT_WIDGETS = (
    "qMRMLCheckableNodeComboBox",
    "qMRMLRangeWidget",
    "qMRMLSegmentSelectorWidget",
    "qMRMLSliderWidget",
    "qMRMLSpinBox",
    "qMRMLSubjectHierarchyComboBox",
    "qMRMLSubjectHierarchyTreeView",
)


def hasDisplay():
    """Whether windows can be shown."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def boot(isTesting=True):
    """Starts the host, once in a process. Returns the `Mrml`.

    ``isTesting``: slicer.app.testingEnabled(), where message boxes answer themselves.
    """
    import slicer

    if not hasattr(slicer, "app"):
        _start(isTesting)
    return slicer.app.mrml


def _start(isTesting):
    import slicer

    if not hasDisplay():
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        # Without this VTK looks for a display first, for seconds.
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    from . import ctk, qt, sampledata
    from .application import Application
    from .mrml import Mrml

    sys.modules["qt"], sys.modules["ctk"], sys.modules["SampleData"] = qt, ctk, sampledata
    # Slicer's own files of these names, where asked for, else the host's.
    slicer.__path__.append(os.environ.get("SLICER_PYTHON_FILES") or OWN_SLICER_FILES)
    temporaryFolder = tempfile.mkdtemp(prefix="slicer_host_")
    atexit.register(shutil.rmtree, temporaryFolder, ignore_errors=True)
    mrml = Mrml(temporaryFolder)
    mrml.install()
    slicer.app = Application(mrml, temporaryFolder, isTesting)
    _installWidgets(slicer)


def _installWidgets(slicer):
    from .absent import absentClass
    from .module import qSlicerScriptedLoadableModule, qSlicerScriptedLoadableModuleWidget
    from .widgets.mrmlwidget import qMRMLWidget, qSlicerWidget
    from .widgets.nodecombobox import qMRMLNodeComboBox
    from .widgets.segmentstable import qMRMLSegmentsTableView
    from .widgets.show3dbutton import qMRMLSegmentationShow3DButton

    for cls in (
        qMRMLNodeComboBox,
        qMRMLSegmentationShow3DButton,
        qMRMLSegmentsTableView,
        qMRMLWidget,
        qSlicerScriptedLoadableModule,
        qSlicerScriptedLoadableModuleWidget,
        qSlicerWidget,
    ):
        setattr(slicer, cls.__name__, cls)
    for name in ABSENT_WIDGETS:
        setattr(slicer, name, absentClass(name))
