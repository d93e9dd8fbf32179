"""The panel's section 'Set-up': what is there, what is missing, and a button for each that mends it."""

import os

import qt
import slicer.util

from . import installed, setuprows
from .dialogs import chosenFolder
from .errors import RunError
from .installation import Installation
from .messages import _

OK, WRONG = "\u2713", "\u2717"  # told without colours


class SetupView:
    """``ui``: the panel's widgets; ``logic``: an `OneShotLogic`; ``log(line)``: for what pip prints.

    ``onChanged()``: called when something is installed or removed, begins or ends.
    """

    def __init__(self, ui, logic, log, onChanged):
        self.ui, self.logic, self._onChanged = ui, logic, onChanged
        self.installation = Installation(log)
        self._facts = None
        # Looked up when the section opens or something changes: it takes a moment.
        self._rows, self._installed = [], {}
        ui.setupTable.setColumnCount(2)
        ui.setupTable.setHorizontalHeaderLabels([_("Part"), _("State")])
        header = ui.setupTable.horizontalHeader()
        header.setSectionResizeMode(0, qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(1, qt.QHeaderView.Stretch)
        ui.setupCollapsibleButton.collapsed = True
        ui.setupCollapsibleButton.contentsCollapsed.connect(self.onFolded)
        ui.setupCheckButton.clicked.connect(self.onCheckButton)
        ui.setupInstallButton.clicked.connect(self.onInstallButton)
        ui.setupRemoveButton.clicked.connect(self.onRemoveButton)
        ui.setupCancelButton.clicked.connect(self.onCancelButton)
        ui.bundleMakeButton.clicked.connect(self.onBundleMakeButton)
        ui.bundleInstallButton.clicked.connect(self.onBundleInstallButton)

    @property
    def isBusy(self):
        return self.installation.isBusy

    def cleanup(self):
        self.installation.cancel()

    # ------------------------------------------------------------ what is there

    def onFolded(self, isFolded):
        if isFolded:
            return
        self._showRows()
        if self._facts is None and not self.isBusy and not self.logic.isBusy:
            self.onCheckButton()

    def onCheckButton(self, _checked=False):
        """Asks the worker; it is started where it does not run."""
        self._say(_("Looking ..."))
        self.logic.probe(onFinished=self._onProbed, onFailed=self._onProbeFailed)
        self._onChanged()

    def _onProbeFailed(self, task):
        self._say(str(task.error))
        self._onChanged()

    def _onProbed(self, task):
        self._facts = task.facts
        self._showRows()
        self._say(setuprows.verdict(self._rows))
        self._onChanged()

    # ------------------------------------------------------------ what is done

    def onInstallButton(self, _checked=False):
        self.offer(lambda: None)

    def offer(self, then):
        """Asks whether to install what is missing, and does; ``then()`` is called when it is there."""
        question = _(
            "RRLMedSAM needs PyTorch and small packages beside it. What is missing will be downloaded (200 MB; up to "
            "3 GB with an NVIDIA graphics card) and installed into Slicer's own Python. Slicer stays usable meanwhile. "
            "Install it?"
        )
        if not slicer.util.confirmOkCancelDisplay(question):
            self._say(_("Cancelled: PyTorch is needed to segment."))
            return
        isOtherBuild = setuprows.needsOtherBuild(self._facts)
        self._start(lambda onEnded: self.installation.install(onEnded, isOtherBuild), _("Installing"), then)

    def onBundleInstallButton(self, _checked=False):
        folder = chosenFolder(self.ui.bundleInstallButton, _("Choose the bundle's folder"))
        if folder is not None:
            self._start(lambda onEnded: self.installation.installBundle(folder, onEnded), _("Installing"))

    def onBundleMakeButton(self, _checked=False):
        folder = chosenFolder(self.ui.bundleMakeButton, _("Choose an empty folder for the bundle"))
        if folder is None:
            return
        try:
            isEmpty = not os.listdir(folder)
        except OSError as error:
            self._say(_("The folder cannot be read: {reason}. Choose another one.").format(reason=error.strerror))
            return
        if not isEmpty:
            self._say(_("The folder is not empty. Choose an empty one."))
            return
        question = _(
            "PyTorch and the packages beside it will be downloaded (300 MB) into the folder {folder}. Of PyTorch it is "
            "the build for the processor, which every computer like this one can use. Slicer stays usable meanwhile, "
            "and nothing is installed. Download them?"
        )
        if not slicer.util.confirmOkCancelDisplay(question.format(folder=folder)):
            self._say(_("Cancelled."))
            return
        self._start(lambda onEnded: self.installation.makeBundle(folder, onEnded), _("Downloading"))

    def onRemoveButton(self, _checked=False):
        names, size = ", ".join(self._installed), sum(each.size for each in self._installed.values()) / 1e6
        question = _(
            "These packages were installed from here and will be deleted ({size:.0f} MB): {names}. Delete them?"
        )
        if slicer.util.confirmOkCancelDisplay(question.format(names=names, size=size)):
            self._start(self.installation.remove, _("Deleting"))

    def onCancelButton(self, _checked=False):
        self.installation.cancel()

    def _start(self, begin, what, then=lambda: None):
        def onEnded(error):
            if not self.logic.isBusy:
                self.logic.restartWorker()  # it sees newly installed packages
            if error is None:
                self._facts = None
                self._say(_("Done."))
            else:
                self._say(str(error))
            self._showRows()
            self._onChanged()
            if error is None:
                then()

        self._say(_("{what} ...").format(what=what))
        self.logic.restartWorker()  # files that it uses cannot be replaced or deleted
        try:
            begin(onEnded)
        except RunError as error:
            self._say(str(error))
        self._onChanged()

    # ------------------------------------------------------------ what is shown

    def _showRows(self):
        forWorker = {_("{name}, for the worker").format(name=name): each for name, each in installed.workers().items()}
        self._installed = {**installed.listed(), **forWorker}
        self._rows, table = setuprows.rows(self._facts, self._installed), self.ui.setupTable
        table.setRowCount(len(self._rows))
        for row, each in enumerate(self._rows):
            for column, text in enumerate((each.part, f"{OK if each.isRight else WRONG} {each.state}")):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                table.setItem(row, column, item)
        self.update()

    def update(self):
        isIdle = not self.isBusy and not self.logic.isBusy
        self.ui.setupCheckButton.setEnabled(isIdle)
        self.ui.setupInstallButton.setEnabled(isIdle and any(row.isMended for row in self._rows))
        self.ui.setupRemoveButton.setEnabled(isIdle and bool(self._installed))
        for button in (self.ui.bundleMakeButton, self.ui.bundleInstallButton):
            button.setEnabled(isIdle)
        self.ui.setupCancelButton.setVisible(self.isBusy)

    def _say(self, text):
        self.ui.setupStatusLabel.setText(text)
