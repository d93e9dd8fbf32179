"""The folder .venv: whether it is ready, and how it is made anew where it is not."""

import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

from .installer import TORCH_VERSION, InstallFailed, get_torch, pip
from .lock import locked
from .problem import NEEDED_BYTES, NEEDED_TEMPORARY_BYTES, NO_TORCH, USAGE, Problem, disk_full, say

IS_WINDOWS = os.name == "nt"
WHEELS = "wheels"  # the part of a bundle that pip is shown
MARKER = "rrlmedsam.txt"  # there from the start: the folder is ours and may be deleted
UNCHECKED = ("__pycache__", "~", "pip", "setuptools")  # in site-packages: comes and goes, or the user may update it


class Environment:
    """The Python environment of the project in ``root``. ``python``: its interpreter."""

    torch_version = TORCH_VERSION

    def __init__(self, root):
        self.folder = os.path.abspath(os.environ.get("RRLMEDSAM_VENV") or os.path.join(root, ".venv"))
        self.python = self._inside(*(("Scripts", "python.exe") if IS_WINDOWS else ("bin", "python")))
        self._stamp = self._inside("rrlmedsam-ready.json")  # there when the set-up is complete
        self._log = self._inside("install.log")
        self._requirements = [
            os.path.join(root, "RRLMedSAM", "Resources", "requirements.txt"),
            os.path.join(root, "Testing", "requirements.txt"),
        ]
        self._alone = os.path.join(root, "Testing", "requirements-alone.txt")
        self._bundle = os.path.join(root, "RRLMedSAM", "RRLMedSAMLib", "bundle.py")
        self._offline = []  # pip's options to install from a bundle

    def set_up(self, python=None, bundle=None):
        """Makes the environment with this interpreter where it is not ready; without one, any is good enough.

        ``bundle``: a folder that `make_bundle` filled; nothing is downloaded then. Another process that does the same
        is waited for. Raises `Problem` and OSError.
        """
        if bundle is not None:
            self._offline = ["--no-index", "--find-links", os.path.join(os.path.abspath(bundle), WHEELS)]
        if python is not None:
            python = shutil.which(python) or os.path.abspath(python)
        if self._is_ready(python):
            return
        with self._locked():
            if not self._is_ready(python):
                self._make(python or getattr(sys, "_base_executable", None) or sys.executable)

    def make_bundle(self, folder):
        """Downloads all that the environment consists of into an empty folder. Raises `Problem` and OSError."""
        folder = os.path.abspath(folder)
        wheels = os.path.join(folder, WHEELS)
        os.makedirs(wheels, exist_ok=True)
        if os.listdir(folder) != [WHEELS] or os.listdir(wheels):
            raise Problem(f"The folder {folder} is not empty.", "Choose another one.", USAGE)
        into, variables = ["--dest", wheels], self.variables()
        pip(self.python, self._log, [*into, *self._lists()], variables=variables, verb="download")
        alone = [*into, "--no-deps", "--requirement", self._alone]
        pip(self.python, self._log, alone, variables=variables, verb="download")
        get_torch(self.python, self._log, variables, into, "download")
        if not glob.glob(os.path.join(glob.escape(wheels), "torch-*")):
            raise Problem(
                "PyTorch could not be downloaded: no build for the CPU was found for this Python.",
                f"See {self._log}; try again later into another folder, or with another Python (--python PATH).",
                NO_TORCH,
            )
        self._with_bundle("seal", folder)

    def has(self, pattern):
        """Whether site-packages holds such a name."""
        return bool(glob.glob(os.path.join(glob.escape(self._site_packages()), pattern)))

    def has_torch(self):
        return self.has("torch-*.dist-info/RECORD")  # written last

    def add_torch(self):
        """Tries to install PyTorch; returns whether it is there then."""
        with self._locked():
            if not self.has_torch():
                get_torch(self.python, self._log, self.variables(), self._offline)
        return self.has_torch()

    def variables(self, **values):
        """The process's environment variables, less what would send Python to other packages, and ``values``."""
        kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
        return {**kept, **values}

    def become(self, arguments, variables):
        """The interpreter takes this process's place; Windows has no such thing, so its exit code is returned."""
        command = [self.python, *arguments]
        if not IS_WINDOWS:
            os.execve(self.python, command, variables)  # signals and the exit code are the command's own
        process = subprocess.Popen(command, env=variables)
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the command got it too, and ends as it sees fit

    # ------------------------------------------------------------ checks

    def _inside(self, *parts):
        return os.path.join(self.folder, *parts)

    def _locked(self):
        return locked(self.folder + ".lock", f"Another start is setting {self.folder} up; waiting for it.")

    def _site_packages(self):
        parts = ("Lib",) if IS_WINDOWS else ("lib", "python3*")
        found = glob.glob(os.path.join(glob.escape(self.folder), *parts, "site-packages"))
        return found[0] if found else self.folder

    def _contents(self):
        return sorted(name for name in os.listdir(self._site_packages()) if not name.startswith(UNCHECKED))

    def _fingerprint(self):
        """Of what is installed: a change of the requirements makes the environment anew."""
        digest = hashlib.sha256(TORCH_VERSION.encode())
        for path in [*self._requirements, self._alone]:
            with open(path, "rb") as file:
                digest.update(file.read())
        return digest.hexdigest()

    def _is_ready(self, python):
        """Whether it is complete, up to date and undamaged, and made with the interpreter (None: with any)."""
        try:
            with open(self._stamp, encoding="utf-8") as file:
                stamp = json.load(file)
            return (
                stamp["fingerprint"] == self._fingerprint()
                and (python is None or stamp["python"] == os.path.realpath(python))
                and set(stamp["contents"]) <= set(self._contents())
                and subprocess.run([self.python, "-I", "-S", "-c", ""], stderr=subprocess.DEVNULL).returncode == 0
            )
        except (OSError, ValueError, KeyError, TypeError):  # no stamp, a damaged one, an interpreter that is gone
            return False

    # ------------------------------------------------------------ making it

    def _make(self, python):
        _check_python(python)
        self._remove()
        places = {os.path.dirname(self.folder): NEEDED_BYTES, tempfile.gettempdir(): NEEDED_TEMPORARY_BYTES}
        if any(shutil.disk_usage(place).free < needed for place, needed in places.items()):
            raise disk_full()
        say(f"Setting up {self.folder} with {python}. This happens once and takes some minutes.")
        os.makedirs(self.folder, exist_ok=True)
        with open(self._inside(MARKER), "w", encoding="utf-8") as file:
            file.write("Made by run.py, which may delete this folder and make it anew.\n")
        made = subprocess.run([python, "-m", "venv", self.folder], capture_output=True, text=True)
        if made.returncode:
            raise InstallFailed(made.stdout + made.stderr, self._log)
        if self._offline:
            self._with_bundle("check", os.path.dirname(self._offline[-1]))
        variables, offline = self.variables(), self._offline
        pip(self.python, self._log, [*offline, *self._lists()], variables=variables)
        pip(self.python, self._log, [*offline, "--no-deps", "--requirement", self._alone], variables=variables)
        get_torch(self.python, self._log, variables, offline)
        stamp = {"fingerprint": self._fingerprint(), "python": os.path.realpath(python), "contents": self._contents()}
        with open(self._stamp + ".part", "w", encoding="utf-8") as file:
            json.dump(stamp, file)
        os.replace(self._stamp + ".part", self._stamp)

    def _lists(self):
        return [part for path in self._requirements for part in ("--requirement", path)]

    def _with_bundle(self, task, folder):
        """Runs bundle.py with the environment's interpreter, whose packages they are. Raises `Problem`."""
        done = subprocess.run([self.python, self._bundle, task, folder], capture_output=True, text=True)
        if done.returncode:
            lines = (done.stdout + done.stderr).strip().splitlines() or ["The bundle cannot be used."]
            text, _separator, action = lines[-1].partition(". ")
            raise Problem(text.rstrip(".") + ".", action)

    def _remove(self):
        """What is left of an interrupted, damaged or outdated set-up; never a folder that is not ours."""
        if not os.path.lexists(self.folder):
            return
        marker = self._inside(MARKER)
        if not os.path.exists(marker) and (not os.path.isdir(self.folder) or os.listdir(self.folder)):
            raise Problem(
                f"{self.folder} is there already, but was not made by run.py.",
                "Move it away, or set RRLMEDSAM_VENV to another folder.",
            )
        if os.path.exists(self._stamp):
            say(f"{self.folder} is out of date, damaged or for another Python; it is made anew.")
        # The stamp goes first and the marker stays, so that an interruption does no harm.
        names = sorted(set(os.listdir(self.folder)) - {MARKER}, key=lambda name: self._inside(name) != self._stamp)
        for name in names:
            path = self._inside(name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.remove(path)


def _check_python(python):
    code = "import sys; sys.version_info >= (3, 10) or sys.exit(3); import venv, ensurepip"
    other = "Choose another one with --python PATH."
    try:
        check = subprocess.run([python, "-c", code], capture_output=True, text=True)
    except OSError as error:
        raise Problem(f"There is no Python at {python}.", "Check what follows --python.", USAGE) from error
    if check.returncode == 3:
        raise Problem(f"{python} is older than Python 3.10.", other)
    if "ModuleNotFoundError" in check.stderr:
        raise Problem(
            f"{python} lacks the module venv or ensurepip.",
            f"On Debian and Ubuntu install the package python3-venv. {other}",
        )
    if check.returncode:
        raise Problem(f"{python} does not work as a Python.", other)
