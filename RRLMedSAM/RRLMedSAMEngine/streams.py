"""The worker's and the command line's standard streams.

Libraries print to descriptor 1, from C too: the real output is moved away, so that nothing but messages reaches it.
"""

import contextlib
import os
import sys
import threading
import warnings

from .failures import trace


def claim_stdout():
    """The real standard output as a binary stream; what others print goes to standard error from now on."""
    sys.stdout.flush()
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return stream


def claim_stdin():
    """The real standard input as a binary stream; others find an empty one."""
    stream = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return stream


def note(text: str) -> None:
    """A line for the log, which holds no path and no patient's name."""
    with contextlib.suppress(OSError):  # nobody reads it any more
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def keep_log_private() -> None:
    """Python's own notes of warnings and of errors nobody caught name files by their full path: no longer."""
    warnings.showwarning = lambda message, category, *_: note(f"{category.__name__} of a library")
    sys.excepthook = lambda kind, error, _: note(trace(error))
    threading.excepthook = lambda arguments: note(trace(arguments.exc_value))
