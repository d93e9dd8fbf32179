"""The status line and the log of the panel."""

from .enginetexts import translated
from .messages import _, stageText, timeText

LONG_SILENCE = 15  # seconds of the worker, after which the user is told of it


class LogView:
    """``ui``: the panel's widgets; ``worker``: a `WorkerProcess`, whose log is shown too."""

    def __init__(self, ui, worker):
        self._ui, self._worker = ui, worker
        self._status = self._logged = ""
        self._warningsShown = 0

    def clear(self):
        self._ui.logTextEdit.clear()
        self._logged, self._warningsShown = "", 0

    def say(self, text, log=None):
        """Shows the text as status; the log gets a line where it, or ``log`` in its place, is new."""
        self._status, line = text, log or text
        self._ui.statusLabel.setText(text)
        if line != self._logged:
            self.line(line)
            self._logged = line

    def line(self, text):
        self._ui.logTextEdit.appendPlainText(text)

    def showProgress(self, task):
        """Stage, time left and new warnings of a task, and what its worker has printed."""
        text = stageText(task.stage)
        if task.secondsLeft is not None:
            text = _("{stage}, about {time} left").format(stage=text, time=timeText(task.secondsLeft))
        elif self._worker.silence > LONG_SILENCE:
            text = _("{stage}, no answer for {time}").format(stage=text, time=timeText(self._worker.silence))
        if text != self._status:
            self.say(text, log=stageText(task.stage))
        for warning in task.warnings[self._warningsShown :]:
            self.line(_("Warning: {text}").format(text=translated(warning)))
        self._warningsShown = len(task.warnings)
        self.showWorkersLog()

    def showWorkersLog(self):
        while self._worker.log:
            self.line(self._worker.log.popleft())
