"""Runs Qt's event loop from a test."""

import time

from PySide6 import QtCore, QtWidgets


def pump(until=None, timeout=10.0):
    """Handles events until ``until()`` is true, or once what is pending. Raises TimeoutError after timeout seconds."""
    application = QtWidgets.QApplication.instance()
    end = time.monotonic() + timeout
    while True:
        application.processEvents(QtCore.QEventLoop.AllEvents, 10)
        application.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
        if until is None or until():
            return
        if time.monotonic() > end:
            raise TimeoutError(f"Not reached within {timeout} s.")
        time.sleep(0.002)


def screenshot(widget, path):
    """Shows the widget, lets it lay itself out, and writes what it looks like as PNG."""
    widget.show()
    pump()
    pump()
    if not widget.grab().save(str(path), "PNG"):
        raise OSError(f"Cannot write {path}.")


class Heartbeat:
    """A context manager that measures how long the event loop was blocked. ``longestGap``: seconds."""

    def __init__(self):
        self.longestGap = 0.0
        self._timer = QtCore.QTimer()
        self._timer.setInterval(1)
        self._timer.timeout.connect(self._beat)

    def __enter__(self):
        self._last = time.monotonic()
        self._timer.start()
        return self

    def __exit__(self, *_error):
        self._timer.stop()

    def _beat(self):
        now = time.monotonic()
        self.longestGap = max(self.longestGap, now - self._last)
        self._last = now
