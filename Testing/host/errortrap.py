"""Collects the exceptions that Qt's slots, VTK's observers, threads and destructors print and swallow."""

import sys
import threading
import traceback

HOOKS = ((sys, "excepthook"), (threading, "excepthook"), (sys, "unraisablehook"))


class ErrorTrap:
    """A context manager. ``errors``: a traceback's text for each exception since it was entered."""

    def __init__(self):
        self.errors = []

    def __enter__(self):
        self._hooks = [getattr(module, name) for module, name in HOOKS]
        sys.excepthook = lambda kind, error, trace: self._add(error)
        threading.excepthook = lambda arguments: self._add(arguments.exc_value)
        sys.unraisablehook = lambda unraisable: self._add(unraisable.exc_value)
        return self

    def __exit__(self, *_error):
        for (module, name), hook in zip(HOOKS, self._hooks):
            setattr(module, name, hook)

    def check(self):
        """Raises AssertionError where anything was collected."""
        assert not self.errors, "Swallowed exceptions:\n" + "\n".join(self.errors)

    def _add(self, error):
        self.errors.append("".join(traceback.format_exception(type(error), error, error.__traceback__)))
