"""RRLMedSAM for 3D Slicer: segments a target volume from one annotated atlas."""

import qt
import slicer
import slicer.util
from RRLMedSAMLib import installed
from RRLMedSAMLib.logic import OneShotLogic
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)


class RRLMedSAM(ScriptedLoadableModule):
    """The module's entry in the application."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "RRLMedSAM"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations", "Transforms"]
        self.parent.contributors = ["The RRLMedSAM developers"]
        self.parent.helpText = _(
            "Choose an annotated atlas and a target volume, then click 'Segment with one shot': the module aligns and "
            "deforms the atlas and adds the target's segments, both transforms and a confidence volume. "
            "The inputs stay as they are."
        )
        self.parent.acknowledgementText = _(
            "Research software, not a medical device. It serves the one-shot setting of RRL-MedSAM (arXiv 2504.20501): "
            "please cite the paper."
        )
        slicer.app.connect("startupCompleted()", _registerSampleData)


def _registerSampleData():
    from RRLMedSAMLib import sampledata

    sampledata.register()


class RRLMedSAMWidget(ScriptedLoadableModuleWidget):
    """Builds the panel; see RRLMedSAMLib.panel for what it does."""

    panel = None  # where it could not be built, the module can be reloaded all the same

    def setup(self):
        from RRLMedSAMLib.panel import Panel

        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/RRLMedSAM.ui"))
        self.layout.addWidget(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = RRLMedSAMLogic()
        self.panel = Panel(slicer.util.childWidgetVariables(uiWidget), self.logic)

    def enter(self):
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        if self.panel is not None:
            self.panel.exit()

    def cleanup(self):
        if self.panel is not None:
            self.panel.cleanup()


class RRLMedSAMLogic(OneShotLogic, ScriptedLoadableModuleLogic):
    """For scripts too: see `OneShotLogic.segment` and `OneShotLogic.segmentAndWait`."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        OneShotLogic.__init__(self, qt.QTimer())
        self.worker.packages = installed.workersFolder()

    def getParameterNode(self):
        from RRLMedSAMLib.parameters import RRLMedSAMParameterNode

        return RRLMedSAMParameterNode(super().getParameterNode())


class RRLMedSAMTest(ScriptedLoadableModuleTest):
    """Runs the whole job on a phantom with the real worker; fails where that cannot run."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_phantom()

    def test_phantom(self):
        from RRLMedSAMLib.selftest import checkPhantom

        logic = RRLMedSAMLogic()
        try:
            checkPhantom(logic)
        finally:
            logic.cleanup()
        self.delayDisplay("Test passed")
