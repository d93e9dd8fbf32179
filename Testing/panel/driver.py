"""A user of the panel, for tests."""

import sys
from pathlib import Path

from host.events import pump

FAKE_WORKER = Path(__file__).with_name("fakeworker.py")


def fakeCommand(*behaviour):
    """Command line of the fake worker; see fakeworker.py."""
    return [sys.executable, str(FAKE_WORKER), *map(str, behaviour)]


class Driver:
    """The user of an open panel."""

    def __init__(self, loaded):
        self.loaded, self.widget, self.window = loaded, loaded.widget, loaded.panel
        self.panel, self.logic, self.ui = self.widget.panel, self.widget.logic, self.widget.panel.ui

    def choose(self, atlasVolume=None, atlasSegmentation=None, target=None):
        self.ui.atlasVolumeSelector.setCurrentNode(atlasVolume)
        self.ui.atlasSegmentationSelector.setCurrentNode(atlasSegmentation)
        self.ui.targetSelector.setCurrentNode(target)

    def click(self, until=None):
        """Clicks the button and waits: for the end of the run, or until the condition holds."""
        self.ui.applyButton.click()
        self.wait(until or (lambda: not self.logic.isBusy))

    def wait(self, condition, seconds=20):
        pump(condition, seconds)
        pump()

    def worker(self, *behaviour):
        """From now on the panel uses the fake worker with this behaviour."""
        self.logic.worker.stop()
        self.logic.worker._command = fakeCommand(*behaviour)

    @property
    def status(self):
        return self.ui.statusLabel.text

    @property
    def log(self):
        return self.ui.logTextEdit.toPlainText()

    @property
    def table(self):
        table = self.ui.structuresTable
        return [tuple(table.item(row, column).text() for column in range(3)) for row in range(table.rowCount)]

    @property
    def nodeNames(self):
        names = self.ui.nodesList
        return [names.item(row).text() for row in range(names.count)]

    def isShown(self, name):
        return not getattr(self.ui, name).isHidden()
