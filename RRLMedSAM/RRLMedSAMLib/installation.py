"""Installs what the worker needs into Slicer's Python, or removes it: on a click, never at load time.

pip runs in processes of its own: Slicer stays usable, and a click ends them.
"""

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig

import qt
import slicer
from RRLMedSAMEngine import protocol

from . import bundle, installed
from .errors import RunError
from .messages import _, cancelled
from .pipfailures import explained
from .torchfinder import command
from .workerprocess import MODULE_FOLDER

OLDEST_TORCH = (2, 2)  # the last one for Slicer on macOS with Intel processors
LONGEST_TORCH_PATH = 185  # characters, below site-packages, from PyTorch 2.13 on
LONGEST_WINDOWS_PATH = 259  # unless Windows was told otherwise
REQUIREMENTS = os.path.join(MODULE_FOLDER, "Resources", "requirements.txt")
POLL_MS = 50
LONGEST_OUTPUT = 1 << 16  # characters of pip's output that are kept to explain a failure


def own(module, *arguments):
    """One of our own files as a process. No argument of it is a path: on Windows the launcher that is Slicer 5.10's
    Python spoils letters that are not ASCII. Folders are told by the current one, or by the environment."""
    return [sys.executable, "-m", f"{__package__}.{module}", *arguments]


def packages():
    """What the worker needs besides PyTorch."""
    with open(REQUIREMENTS, encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip() and not line.startswith("#")]


def torch(hasShortPaths):
    """PyTorch; ``hasShortPaths``: in a version without the long ones."""
    return "torch>={}.{}".format(*OLDEST_TORCH) + (",<2.13" if hasShortPaths else "")


def refusesLongPaths(folder):
    """Whether this Windows would not write the newest PyTorch's files into the folder; other systems do."""
    if os.name != "nt" or len(folder) + LONGEST_TORCH_PATH <= LONGEST_WINDOWS_PATH:
        return False
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
            return not winreg.QueryValueEx(key, "LongPathsEnabled")[0]
    except OSError:
        return True


class Installation:
    """One task at a time. ``log(line)``: called with what pip prints."""

    def __init__(self, log):
        self._log = log
        self._process = None
        self._commands, self._folder, self._output, self._before = [], None, "", set()
        self._onEnded = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.poll)

    @property
    def isBusy(self):
        return self._onEnded is not None

    def install(self, onEnded, isOtherBuild=False):
        """Downloads and installs what is missing. ``onEnded(error)``: called when it is over, with a `RunError` or
        None.

        ``isOtherBuild``: PyTorch is there, and the build that fits the graphics card is to take its place. Raises
        RunError where this is a test of the application: tests change no installation.
        """
        _refuseInTests()
        requirement = torch(hasShortPaths=refusesLongPaths(sysconfig.get_path("purelib")))
        find = own("torchfinder", "install", *(["--upgrade"] if isOtherBuild else []), requirement)
        self._start([command("install", *packages()), find, own("workernumpy")], onEnded)

    def installBundle(self, folder, onEnded):
        """Installs from a bundle, without a network. Raises RunError, as `install` does."""
        _refuseInTests()
        install = own("bundle", "install", os.curdir, *packages(), torch(hasShortPaths=False))
        self._start([install, own("workernumpy", *bundle.options(os.curdir))], onEnded, folder)

    def makeBundle(self, folder, onEnded):
        """Downloads what is to be installed on another computer into a folder. Raises RunError, as `install` does."""
        _refuseInTests()
        requirement = torch(hasShortPaths=os.name == "nt")  # as nobody knows into which folder it will go
        self._start([own("bundle", "download", os.curdir, *packages(), requirement)], onEnded, folder)

    def remove(self, onEnded):
        """Uninstalls what was `installed` from here. Raises RunError, as `install` does."""
        _refuseInTests()
        names = list(installed.listed())
        delete = own("workernumpy", "remove")
        self._start([delete, command("uninstall", "-y", *names)] if names else [delete], onEnded)

    def cancel(self):
        """Ends what goes on; what pip has installed by then stays, and is recorded."""
        if self.isBusy:
            self._end(cancelled())

    def poll(self):
        """Takes what was printed, and goes on to the next command when one has ended."""
        if self._process is None:
            return
        exitCode = self._process.poll()
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._process.stdout.fileno(), 1 << 16):
                self._take(chunk.decode("utf-8", "replace"))
        if exitCode is None:
            return
        self._close()
        if exitCode != 0:
            self._end(explained(self._output))
        else:
            self._next()

    # ------------------------------------------------------------ the processes

    def _start(self, commands, onEnded, folder=MODULE_FOLDER):
        """``folder``: the current one, as Slicer's own may be gone, or hold other modules."""
        if self.isBusy:
            raise RuntimeError("An installation is going on.")
        self._commands, self._onEnded = commands, onEnded
        self._folder, self._before = folder, installed.distributions()
        self._timer.start()
        self._next()

    def _next(self):
        if not self._commands:
            self._end(None)
            return
        self._output = ""
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "PIP_PROGRESS_BAR": "off"}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [MODULE_FOLDER, environment.get("PYTHONPATH")]))
        environment["PYTHONSAFEPATH"] = "1"  # a bundle's folder may hold anything: nothing is imported from there
        environment[protocol.OWN_PACKAGES] = installed.workersFolder()
        environment["PIP_NO_CACHE_DIR"] = "1"  # gigabytes that 'Remove what was installed' would leave behind
        group = (
            {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
            if os.name == "nt"
            else {"start_new_session": True}
        )
        try:
            self._process = subprocess.Popen(
                self._commands.pop(0), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env=environment, cwd=self._folder, **group,
            )  # fmt: skip
        except OSError as error:
            text = _("pip cannot be started: {reason}.").format(reason=error.strerror)
            self._end(RunError("not_installed", text, _("Reinstalling Slicer may help.")))
            return
        os.set_blocking(self._process.stdout.fileno(), False)

    def _take(self, text):
        self._output = (self._output + text)[-LONGEST_OUTPUT:]
        for line in text.splitlines():
            if line.strip():
                self._log(line.rstrip())

    def _close(self):
        self._process.stdout.close()
        self._process = None

    def _end(self, error):
        if self._process is not None:
            if os.name == "nt":
                command = ["taskkill", "/T", "/F", "/PID", str(self._process.pid)]
                subprocess.run(command, capture_output=True, check=False, creationflags=subprocess.CREATE_NO_WINDOW)
            else:
                with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: of a group that has ended
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._close()
        self._timer.stop()
        unrecorded = installed.record(self._before)
        if error is not None and unrecorded is not None:
            unrecorded = RunError(error.code, str(error), str(unrecorded))
        onEnded, self._onEnded = self._onEnded, None
        onEnded(unrecorded or error)


def _refuseInTests():
    if slicer.app.testingEnabled():
        raise RunError(
            "not_installed", _("Tests change no installation."), _("Install or remove packages before testing.")
        )
