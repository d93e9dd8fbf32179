"""The panel's section 'Adapt to this atlas': unlabelled scans, time, start, pause, and how the training goes."""

import os

import qt
import slicer.util
from RRLMedSAMEngine import protocol

from . import models, pictures
from .adaptation import isUnfinished
from .dialogs import chosenFolder, chosenNewFile
from .enginetexts import translated
from .errors import RunError
from .messages import _, stageText, timeText
from .resultnodes import isExample, targetOf
from .sceneinput import images

CURVE_HEIGHT, NARROWEST = 120, 200  # pixels


class AdaptView:
    """``ui``: the panel's widgets; ``logic``: an `OneShotLogic`.

    ``inputs()``: the chosen atlas volume and segmentation. ``engagement()``: why nothing can be begun on the worker
    now, or None. ``onAdapted(path)``: called with a finished package. ``onChanged()``: called when a training starts or
    ends. ``install(then)``: asks to install what is missing, and calls ``then()`` when it is there.
    """

    def __init__(self, ui, logic, inputs, engagement, onAdapted, onChanged, install):
        self.ui, self.logic = ui, logic
        self._inputs, self._engagement, self._onAdapted = inputs, engagement, onAdapted
        self._onChanged, self._install = onChanged, install
        self._parameterNode = self._task = None
        self._items = []  # (item, volume node)
        self._shown = (0, None)
        ui.adaptButton.clicked.connect(self.onAdaptButton)
        ui.adaptFolderButton.clicked.connect(self.onFolderButton)
        ui.adaptOutputButton.clicked.connect(self.onOutputButton)
        ui.adaptScansList.itemChanged.connect(self.onItemChanged)
        # Hidden first: a section that opens shows all that was not hidden when it closed.
        for widget in (ui.adaptProgressBar, ui.adaptCurveLabel, ui.adaptPreviewLabel):
            widget.setVisible(False)
        ui.adaptCollapsibleButton.collapsed = True
        ui.adaptCollapsibleButton.contentsCollapsed.connect(lambda _collapsed: self.update())

    @property
    def isBusy(self):
        return self._task is not None

    def setParameterNode(self, parameterNode):
        self._parameterNode = parameterNode

    def forget(self):
        """The scene is closed."""
        self.ui.adaptScansList.clear()
        self._items = []

    # ------------------------------------------------------------ what is chosen

    def scans(self):
        """The volume nodes that are checked."""
        return [node for node in self._checked() if node.IsA("vtkMRMLVolumeNode")]

    def examples(self):
        """The checked results that are labelled examples: (volume, segmentation)."""
        return [(targetOf(node), node) for node in self._checked() if not node.IsA("vtkMRMLVolumeNode")]

    def _checked(self):
        return [node for item, node in self._items if item.checkState() == qt.Qt.Checked]

    def fillScans(self):
        """The list in line with the scene: volumes but the atlas, and labelled examples; checks are kept."""
        segmentations = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        examples = [node for node in segmentations if isExample(node) and targetOf(node) is not None]
        taken = [self._inputs()[0], *map(targetOf, examples)]
        nodes = [node for node in images() if node not in taken] + examples
        names = [node.GetName() for node in nodes]
        names[len(nodes) - len(examples) :] = [_("{name} (labelled)").format(name=node.GetName()) for node in examples]
        if names == [item.text() for item, _node in self._items] and nodes == [node for _item, node in self._items]:
            return
        checked, known = self._checked(), [node for _item, node in self._items]
        checked += [node for node in examples if node not in known]  # was chosen a moment ago
        scansList = self.ui.adaptScansList
        wasBlocked = scansList.blockSignals(True)
        scansList.clear()
        self._items = []
        for node, name in zip(nodes, names):
            item = qt.QListWidgetItem(name)
            item.setCheckState(qt.Qt.Checked if node in checked else qt.Qt.Unchecked)
            scansList.addItem(item)
            self._items.append((item, node))
        scansList.blockSignals(wasBlocked)

    def onItemChanged(self, _item):
        self.update()

    def onFolderButton(self, _checked=False):
        path = chosenFolder(self.ui.adaptFolderButton, _("Choose a folder of unlabelled scans"))
        if path is not None:
            self._parameterNode.adaptFolder = path

    def onOutputButton(self, _checked=False):
        path = chosenNewFile(self.ui.adaptOutputButton, _("Name of the new model"), _("Model packages"), models.ENDING)
        if path is not None:
            self._parameterNode.adaptOutput = path

    def _obstacle(self):
        """Why a training cannot start, or None."""
        if engagement := self._engagement():
            return engagement
        if None in self._inputs():
            return _("Choose an atlas volume and an atlas segmentation above.")
        chosen = self._parameterNode
        isResumed = bool(chosen.adaptOutput) and isUnfinished(chosen.adaptOutput)  # it has its scans
        if not isResumed and not self._checked() and not chosen.adaptFolder:
            return _("Check at least one unlabelled scan, or choose a folder of them.")
        if chosen.adaptFolder and not os.path.isdir(chosen.adaptFolder):
            return _("The folder of unlabelled scans does not exist.")
        output = chosen.adaptOutput
        if not output.endswith(models.ENDING) or not os.path.isabs(output):
            return _("Choose where the new model is saved: a file name that ends in {ending}.").format(
                ending=models.ENDING
            )
        if not os.path.isdir(os.path.dirname(output)):
            return _("The folder of the new model does not exist.")
        if os.path.exists(output):
            return _("A model of that name exists. Choose another name.")
        return None if isResumed else models.choice(self._base()).problem

    def _base(self):
        """The model that a training begins with."""
        model = self._parameterNode.model
        return model if model not in (models.AUTOMATIC, models.INSTANT) else protocol.BASE

    # ------------------------------------------------------------ the training

    def onAdaptButton(self, _checked=False):
        if self._task is not None:
            self.logic.cancel()
            self.update()
        else:
            self.start()

    def start(self):
        chosen = self._parameterNode
        try:
            self._task = self.logic.adapt(
                *self._inputs(),
                self.scans(),
                chosen.adaptOutput,
                scanFolder=chosen.adaptFolder,
                examples=self.examples(),
                minutes=chosen.adaptMinutes,
                device=chosen.device.value,
                base=self._base(),
                onProgress=self.onProgress,
                onFinished=self.onFinished,
                onFailed=self.onFailed,
            )
        except RunError as error:
            self.ui.adaptStatusLabel.setText(str(error))
        self._shown = (0, None)
        self._onChanged()

    def onProgress(self, task):
        text = _("Saving what is done") if task.isStopping else stageText(task.stage)
        if task.secondsLeft is not None:
            text = _("{stage}, about {time} left").format(stage=text, time=timeText(task.secondsLeft))
        if task.warnings:
            text = "\n".join([text, *map(translated, task.warnings)])
        if self.ui.adaptStatusLabel.text != text:
            self.ui.adaptStatusLabel.setText(text)
        self.ui.adaptProgressBar.setValue(round(100 * task.fraction))
        self._showPictures(task)

    def _showPictures(self, task):
        count, picture = self._shown
        if len(task.losses) > max(count, 1):
            label = self.ui.adaptCurveLabel
            dark = label.palette.color(qt.QPalette.Window).lightness() < 128
            width = self.ui.adaptStatusLabel.width
            _show(label, pictures.curve(task.losses, max(width, NARROWEST), CURVE_HEIGHT, dark))
        if task.picture is not None and task.picture is not picture:
            # As large as the place allows, and never so wide that the panel has to grow.
            shown = pictures.pixmap(task.picture).scaledToWidth(max(self.ui.adaptStatusLabel.width, NARROWEST))
            _show(self.ui.adaptPreviewLabel, shown)
        self._shown = (len(task.losses), task.picture)

    def onFinished(self, task):
        lines = [_("The model is done, and is now selected."), *map(translated, task.warnings)]
        self.ui.adaptStatusLabel.setText("\n".join(lines))
        self._end()
        self._onAdapted(task.output)

    def onFailed(self, task):
        error = task.error
        isPaused = error.code == "cancelled" and isUnfinished(task.output)
        self.ui.adaptStatusLabel.setText(_("Paused: nothing is lost.") if isPaused else str(error))
        self._end()
        if error.code == "no_torch" and self._parameterNode is not None:
            self._install(self.start)

    def _end(self):
        self._task = None
        self._onChanged()

    # ------------------------------------------------------------ what is shown

    def update(self):
        """Brings the section in line with the parameter node, the scene and the training."""
        chosen = self._parameterNode
        if chosen is None:
            return
        self.fillScans()
        if self.ui.adaptCollapsibleButton.collapsed:  # nobody sees it, and a folder on a lost network drive takes long
            return
        button, isBusy = self.ui.adaptButton, self.isBusy
        obstacle = None if isBusy else self._obstacle()
        button.setEnabled(not self._task.isStopping if isBusy else obstacle is None)
        if isBusy:
            button.setText(_("&Pause"))
        else:
            button.setText(_("Res&ume") if chosen.adaptOutput and isUnfinished(chosen.adaptOutput) else _("Sta&rt"))
        button.setToolTip(obstacle or _("Trains the networks on the unlabelled scans. Can be paused at any moment."))
        self.ui.adaptProgressBar.setVisible(isBusy)
        for widget in (
            self.ui.adaptScansList, self.ui.adaptFolderEdit, self.ui.adaptFolderButton, self.ui.adaptMinutesSpinBox,
            self.ui.adaptOutputEdit, self.ui.adaptOutputButton,
        ):  # fmt: skip
            widget.setEnabled(not isBusy)


def _show(label, pixmap):
    label.setMinimumHeight(pixmap.height())
    label.setPixmap(pixmap)
    label.setVisible(True)
