"""What the panel's widgets do. Everything that is shown comes from the parameter node, the run or the scene."""

import qt
import slicer
import slicer.util
import vtk
from slicer.util import VTKObservationMixin

from .adaptview import AdaptView
from .errors import RunError
from .logview import LogView
from .messages import _, timeText
from .modelview import ModelView
from .report import reportText
from .resultview import ResultView
from .reviewview import ReviewView
from .scene import hardenedCopy
from .sceneinput import roleNames
from .setupview import SetupView
from .tooltips import explainLabels
from .worklistview import WorklistView


class Panel(VTKObservationMixin):
    """``ui``: the widgets of RRLMedSAM.ui by name; ``logic``: an `OneShotLogic` with ``getParameterNode``."""

    def __init__(self, ui, logic):
        VTKObservationMixin.__init__(self)
        self.ui, self.logic = ui, logic
        self.log = LogView(ui, logic.worker)
        explainLabels(ui)
        self.models = ModelView(ui, self.onModelChosen)
        self.results = ResultView(ui)
        self.review = ReviewView(ui, self.results, self.onUseAsAtlas, self.onRefine, self.update, self.log.say)
        self.setup = SetupView(ui, logic, self.log.line, self.update)
        self.adapting = AdaptView(
            ui, logic, self._atlas, self._engagement, self.onModelChosen, self.update, self.install
        )
        self.worklist = WorklistView(
            ui, logic, self._atlas, self._engagement, self.showResult, self.update, self.install
        )
        self._parameterNode = self._guiTag = None
        self._isEntered = False
        self._run = self._begin = None  # the run that goes on, and how the last one was begun
        ui.applyButton.clicked.connect(self.onApplyButton)
        ui.cancelButton.clicked.connect(self.onCancelButton)
        ui.copyReportButton.clicked.connect(self.onCopyReportButton)
        scene = slicer.mrmlScene
        for event, handler in (
            (scene.StartCloseEvent, self.onSceneStartClose), (scene.EndCloseEvent, self.onSceneReplaced),
            (scene.EndImportEvent, self.onSceneReplaced), (scene.NodeAddedEvent, self.onNodeAdded),
            (scene.NodeRemovedEvent, self.onNodeRemoved),
        ):  # fmt: skip
            self.addObserver(scene, event, handler)
        self.enter()

    # ------------------------------------------------------------ module and scene events

    def enter(self):
        self._isEntered = True
        self.setParameterNode(self.logic.getParameterNode())

    def exit(self):
        """A run goes on while another module is shown; the parameter node stays observed for its result."""
        self._isEntered = False
        self.review.overlays.back()

    def cleanup(self):
        self.review.overlays.back()
        self.setParameterNode(None)
        self.removeObservers()
        self.setup.cleanup()
        self.logic.cleanup()

    def onSceneStartClose(self, _caller=None, _event=None):
        """Nothing of the scene is held from here on: its volumes may take gigabytes."""
        self.setParameterNode(None)
        self._begin = None
        for view in (self.models, self.adapting, self.worklist, self.review, self.results):
            view.forget()

    def onSceneReplaced(self, _caller=None, _event=None):
        if self._isEntered:
            self.setParameterNode(self.logic.getParameterNode())

    def onNodeAdded(self, _caller=None, _event=None):
        """For the lists of scans and targets. A node has no name yet when its event comes: it is told again then."""
        if self._isEntered and self._parameterNode is not None and not slicer.mrmlScene.IsBatchProcessing():
            self.adapting.update()
            self.worklist.update()

    def onNodeRemoved(self, _caller=None, _event=None):
        if self._isEntered:  # else `enter` does it
            self.update()

    def setParameterNode(self, parameterNode):
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.update)
        self._parameterNode = parameterNode
        self.adapting.setParameterNode(parameterNode)
        self.worklist.setParameterNode(parameterNode)
        if parameterNode is not None:
            self.results.expect(parameterNode.resultSegmentation)
            self._guiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.update)
            self.update()

    # ------------------------------------------------------------ choices and buttons

    def onModelChosen(self, value):
        (self._parameterNode or self.logic.getParameterNode()).model = value  # a training may outlive its scene

    def onApplyButton(self, _checked=False):
        self.log.clear()
        self._start(self._segment)

    def onRefine(self, segmentation):
        """Runs the last stages around what was corrected in a result."""
        self.log.clear()
        device = self._parameterNode.device.value
        self._start(lambda **callbacks: self.logic.refine(segmentation, device, **callbacks))

    def _start(self, begin):
        """Starts a run by ``begin(**callbacks)``, and says what is wrong where it cannot."""
        self._begin = begin
        try:
            self._run = begin(onProgress=self.onProgress, onFinished=self.onFinished, onFailed=self.onFailed)
        except RunError as error:
            self.log.say(str(error))
        self.update()

    def _segment(self, **callbacks):
        """Starts a run on the chosen nodes."""
        chosen = self._parameterNode
        options = {"effort": chosen.effort.value, "device": chosen.device.value, "model": chosen.model}
        try:
            return self.logic.segment(*self._inputs().values(), **options, **callbacks)
        except RunError as error:
            question = _("{text} Make a copy with the transform applied, and use that?").format(text=error.text)
            if error.code != "nonlinear_parent" or not slicer.util.confirmOkCancelDisplay(question):
                raise
            role = next(role for role, node in self._inputs().items() if node is error.node)
            setattr(chosen, role, hardenedCopy(error.node))
            return self._segment(**callbacks)

    def onCancelButton(self, _checked=False):
        self.logic.cancel()
        self.update()

    def onUseAsAtlas(self, volume, segmentation):
        chosen = self._parameterNode
        if chosen.target is volume:
            chosen.target = None
        chosen.atlasVolume, chosen.atlasSegmentation = volume, segmentation
        self.log.say(_("This case is now the atlas. Choose a target volume."))

    def onCopyReportButton(self, _checked=False):
        qt.QApplication.clipboard().setText(reportText(self._parameterNode, self.ui.logTextEdit.toPlainText()))
        self.log.say(_("The report is on the clipboard, without names and paths. Read it before you send it."))

    # ------------------------------------------------------------ the run

    def onProgress(self, run):
        self.log.showProgress(run)
        self.ui.progressBar.setValue(round(100 * run.fraction))

    def onFinished(self, run):
        self.log.say(_("Finished in {time}.").format(time=timeText(sum(run.report["seconds"].values()))))
        self._finish()
        self.showResult(run.nodes.segmentation)

    def showResult(self, segmentation):
        """Shows a result's figures, and its target in the slices, but not while the user works in another module."""
        self.results.expect(segmentation)
        (self._parameterNode or self.logic.getParameterNode()).resultSegmentation = segmentation
        if self._isEntered:
            self.results.showInViews(segmentation)

    def onFailed(self, run):
        self._finish()
        if run.error.code != "no_torch" or self._parameterNode is None:
            self.log.say(str(run.error))
        else:
            self.install(lambda: self._start(self._begin))

    def _finish(self):
        self._run = None
        self.log.showWorkersLog()
        self.update()

    def install(self, then):
        """Asks to install what is missing, and shows how that goes; ``then()`` is called when it is there."""
        self.log.say(_("What the computation needs is missing: see the section Set-up below."))
        self.setup.offer(lambda: then() if self._parameterNode is not None else None)  # the scene may be closed by then
        if self.setup.isBusy:
            self.ui.setupCollapsibleButton.collapsed = False

    # ------------------------------------------------------------ what is shown

    def update(self, _caller=None, _event=None):
        """Brings everything but the progress in line with the parameter node and the run."""
        if self._parameterNode is None:
            return
        self.models.show(self._parameterNode.model)
        obstacle = self._obstacle()
        self.ui.applyButton.setEnabled(obstacle is None)
        self.ui.applyButton.setToolTip(obstacle or _("Transfers the atlas's segments to the target volume."))
        isBusy = self._run is not None
        self.ui.progressBar.setVisible(isBusy)
        self.ui.cancelButton.setVisible(isBusy)
        self.ui.cancelButton.setEnabled(isBusy and not self._run.isStopping)
        self.ui.effortHintLabel.setText(self._parameterNode.effort.hint())
        self.adapting.update()
        self.worklist.update()
        self.setup.update()
        result = self._parameterNode.resultSegmentation
        self.results.show(result if result is not None and slicer.mrmlScene.IsNodePresent(result) else None)
        self.review.show(self.results.segmentation)
        self.ui.refineButton.setEnabled(self.results.segmentation is not None and self._engagement() is None)

    def _inputs(self):
        """The chosen nodes by role."""
        return {role: getattr(self._parameterNode, role) for role in roleNames()}

    def _atlas(self):
        """The chosen atlas volume and segmentation."""
        return self._parameterNode.atlasVolume, self._parameterNode.atlasSegmentation

    def _engagement(self):
        """Why nothing can be begun on the worker now, or None."""
        if self.setup.isBusy:
            return _("Packages are being installed.")
        if self.adapting.isBusy:
            return _("A model is being adapted. Pause that first.")
        if self.worklist.isBusy:
            return _("Many targets are being segmented. Cancel that first.")
        return _("A run is going on.") if self.logic.isBusy else None  # the set-up's look at the worker counts, too

    def _obstacle(self):
        """Why the button cannot be clicked, or None."""
        if engagement := self._engagement():
            return engagement
        inputs, names = self._inputs(), roleNames()
        missing = [names[role] for role, node in inputs.items() if node is None]
        if missing:
            return _("Choose: {roles}.").format(roles=", ".join(missing))
        if inputs["atlasVolume"] is inputs["target"]:
            return _("The atlas volume and the target volume are the same node. Choose another target volume.")
        return self.models.problem
