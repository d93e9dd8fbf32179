"""The panel's section 'Set-up': what is there, what is missing, and a button for each that mends it."""

import os

import qt
import slicer.util
from RRLMedSAMEngine import __version__

from . import models
from .dialogs import chosenFolder
from .errors import RunError
from .installation import Installation, installed
from .messages import _

OK, WRONG = "\u2713", "\u2717"  # told without colours
MISSING = "missing"  # as the worker's probe says it
PACKAGES = ("torch", "numpy", "scipy", "SimpleITK", "safetensors")


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
        missing = [name for name in PACKAGES if task.facts.get(name) == MISSING]
        self._say(_("Missing: {names}.").format(names=", ".join(missing)) if missing else _("Everything is there."))
        self._showRows()
        self._onChanged()

    def _lookUp(self):
        """(part, whether it is in order, its state in words) of each part."""
        facts = self._facts or {}
        rows = [(_("Extension"), True, __version__)]
        if facts:
            rows.append((_("Python"), True, f"{facts['python']}, {facts['system']}"))
            rows += [(name, facts[name] != MISSING, facts[name]) for name in PACKAGES]
            if "device" in facts:
                rows.append((_("Device"), True, facts["device"]))
            if "device_memory_gb" in facts:
                rows.append((_("GPU memory"), True, _("{size} GB free").format(size=facts["device_memory_gb"])))
            rows.append((_("Memory"), True, _("{size} GB free").format(size=facts["memory_gb"])))
        for name in models.shipped():
            problem = models.choice(name).problem
            rows.append((name, problem is None, problem or _("model, checksum right")))
        if not models.shipped():
            rows.append((_("Models"), True, _("none come with this version")))
        self._installed = installed()
        rows += [(_("Added: {name}").format(name=name), True, version) for name, version in self._installed.items()]
        return rows

    # ------------------------------------------------------------ what is done

    def onInstallButton(self, _checked=False):
        self.offer(lambda: None)

    def offer(self, then):
        """Asks whether to install what is missing, and does; ``then()`` is called when it is there."""
        question = _(
            "RRLMedSAM needs PyTorch and small packages beside it. They will be downloaded (200 MB; up to 3 GB with an "
            "NVIDIA graphics card) and installed into Slicer's own Python. Slicer stays usable meanwhile. Install them?"
        )
        if not slicer.util.confirmOkCancelDisplay(question):
            self._say(_("Cancelled: PyTorch is needed to segment."))
            return
        self._start(self.installation.install, _("Installing"), then)

    def onBundleInstallButton(self, _checked=False):
        folder = chosenFolder(self.ui.bundleInstallButton, _("Choose the bundle's folder"))
        if folder is not None:
            self._start(lambda onEnded: self.installation.installBundle(folder, onEnded), _("Installing"))

    def onBundleMakeButton(self, _checked=False):
        folder = chosenFolder(self.ui.bundleMakeButton, _("Choose an empty folder for the bundle"))
        if folder is None:
            return
        if os.listdir(folder):
            self._say(_("The folder is not empty. Choose an empty one."))
            return
        self._start(lambda onEnded: self.installation.makeBundle(folder, onEnded), _("Downloading"))

    def onRemoveButton(self, _checked=False):
        names = ", ".join(self._installed)
        question = _("These packages were installed from here and will be deleted: {names}. Delete them?")
        if slicer.util.confirmOkCancelDisplay(question.format(names=names)):
            self.logic.restartWorker()  # files that are in use cannot be deleted
            self._start(self.installation.remove, _("Deleting"))

    def onCancelButton(self, _checked=False):
        self.installation.cancel()

    def _start(self, begin, what, then=lambda: None):
        def onEnded(error):
            if error is None:
                self.logic.restartWorker()
                self._facts = None
                self._say(_("Done."))
            else:
                self._say(str(error))
            self._showRows()
            self._onChanged()
            if error is None:
                then()

        self._say(_("{what} ...").format(what=what))
        try:
            begin(onEnded)
        except RunError as error:
            self._say(str(error))
        self._onChanged()

    # ------------------------------------------------------------ what is shown

    def _showRows(self):
        self._rows, table = self._lookUp(), self.ui.setupTable
        table.setRowCount(len(self._rows))
        for row, (part, isRight, state) in enumerate(self._rows):
            for column, text in enumerate((part, f"{OK if isRight else WRONG} {state}")):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                table.setItem(row, column, item)
        self.update()

    def update(self):
        isIdle = not self.isBusy and not self.logic.isBusy
        self.ui.setupCheckButton.setEnabled(isIdle)
        self.ui.setupInstallButton.setEnabled(isIdle and not all(isRight for _part, isRight, _state in self._rows))
        self.ui.setupRemoveButton.setEnabled(isIdle and bool(self._installed))
        for button in (self.ui.bundleMakeButton, self.ui.bundleInstallButton):
            button.setEnabled(isIdle)
        self.ui.setupCancelButton.setVisible(self.isBusy)

    def _say(self, text):
        self.ui.setupStatusLabel.setText(text)
