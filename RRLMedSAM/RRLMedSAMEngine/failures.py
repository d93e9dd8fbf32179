"""Any exception as an error for the user, and as a line for the log that holds no path and no patient's name."""

import errno
import os
import traceback

from .errors import EngineError
from .memory import is_out_of_memory

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def as_engine_error(error: BaseException) -> EngineError:
    """The error to show. An unforeseen one gives its type only: its message may hold a path."""
    if isinstance(error, EngineError):
        return error
    if is_out_of_memory(error):
        return EngineError("out_of_memory", "The memory does not suffice.", "Close other programs or crop the volumes.")
    if isinstance(error, OSError) and error.errno in FULL:
        return EngineError("disk_full", "The disk is full.", "Free some space, then run again.")
    return EngineError(
        "internal",
        f"The computation stopped unexpectedly ({type(error).__name__}).",
        "Run again; if it stays so, report it with the log.",
    )


def trace(error: BaseException) -> str:
    """One line: the error's type and where it was raised, by file names without folders and without its message."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
    line = f"{type(error).__name__} at {' > '.join(places)}"
    cause = error.__cause__ or error.__context__
    return f"{line}, from {trace(cause)}" if cause else line


def read_named(read, path, what: str):
    """``read(path)``, with an error that says which file it is about."""
    try:
        return read(path)
    except EngineError as error:
        raise EngineError(error.code, f"{what}: {error.text}", error.action) from error
