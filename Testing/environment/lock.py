"""A lock file between processes."""

import contextlib
import errno
import os
import time

from .problem import say

if os.name == "nt":
    import msvcrt

    def _take(file):
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(file):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def locked(path, waiting):
    """Holds the lock in the block; says ``waiting`` once and waits where another process has it.

    The system frees it when the process ends, however that happens. The file stays.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a") as file:
        has_told = False
        while True:
            try:
                _take(file)
                break
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                    raise
            if not has_told:
                say(waiting)
                has_told = True
            time.sleep(0.2)
        yield
