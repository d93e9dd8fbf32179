"""Files and folders that belong to a living process: the system's file locks, which end with it even when it is killed.

Standard library only, so that Slicer's process can import it.
"""

import contextlib
import errno
import os
import re
import shutil
import time

LOCK = "owner.lock"  # in a folder that somebody owns
PART = re.compile(r"\..+\.\d+\.part")  # a folder that shall become a result's, see `part_of`
TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)  # another process has the lock; any other error: no locks here


def lock(file) -> None:
    """Locks the open file until it is closed or its process ends; OSError where another process has it."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def claim(folder):
    """Makes the folder this process's until the returned file is closed. Raises OSError."""
    file = open(os.path.join(folder, LOCK), "w")
    with contextlib.suppress(OSError):  # a file system without locks: `is_abandoned` cannot lock there either
        lock(file)
    return file


def is_abandoned(folder) -> bool:
    """Whether the process that claimed the folder is gone. Raises FileNotFoundError where nobody has claimed it."""
    try:
        with open(os.path.join(folder, LOCK), "r+") as file:
            lock(file)
    except FileNotFoundError:
        raise
    except OSError:
        return False
    return True


def part_of(path: str) -> str:
    """The hidden file or folder beside ``path`` in which this process collects what shall appear there."""
    place, name = os.path.split(path)
    return os.path.join(place, f".{name}.{os.getpid()}.part")


def remove_abandoned_parts(place) -> None:
    """Removes from a folder what killed processes have left of `part_of`; never what nobody has claimed."""
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for path in [entry.path for entry in entries if PART.fullmatch(entry.name)]:
            with contextlib.suppress(OSError):
                if is_abandoned(path):
                    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def alone(path, patience=10.0):
    """The block runs in one process at a time of those that give the same ``path``, of a file that exists meanwhile.

    Where the file system has no locks, or after ``patience`` seconds, it runs nevertheless. Raises OSError.
    """
    end = time.monotonic() + patience
    while True:
        file = open(path, "w")
        try:
            lock(file)
            if os.name == "nt" or os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                break
        except FileNotFoundError:  # its last owner has removed it just now
            pass
        except OSError as error:
            if error.errno not in TAKEN or time.monotonic() > end:
                break
            time.sleep(0.02)
        file.close()
    try:
        yield
    finally:
        # Removed while it is locked, so that nobody else's is; Windows removes no open file, but refuses others' then.
        if os.name == "nt":
            file.close()
        with contextlib.suppress(OSError):
            os.unlink(path)
        file.close()
