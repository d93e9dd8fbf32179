"""Installs or downloads the build of PyTorch that fits this computer.

light-the-torch knows which one that is, and needs an older pip than some versions of Slicer bring: both lie in a folder
that is deleted afterwards, so that Slicer keeps its own. Standard library only; a process of its own:

  python -m RRLMedSAMLib.torchfinder install|download [OPTION ...] REQUIREMENT     the options are pip's
"""

import subprocess
import sys
import tempfile

FINDER = ["light-the-torch==0.8.1", "pip==25.0.1"]
FIND = "import sys; sys.path.insert(0, {folder!r}); from light_the_torch._cli import main; sys.exit(main())"


def find(task, *arguments, near=None):
    """Returns pip's exit code. ``near``: a folder in which there is space for the finder."""
    with tempfile.TemporaryDirectory(prefix="finder-", dir=near) as folder:
        finder = [sys.executable, "-c", FIND.format(folder=folder), task, *arguments]
        return pip("install", "--target", folder, *FINDER) or subprocess.run(finder, check=False).returncode


def command(*arguments):
    """pip's command line."""
    return [sys.executable, "-m", "pip", *arguments, "--no-input", "--disable-pip-version-check"]


def pip(*arguments):
    """Runs it and returns its exit code."""
    return subprocess.run(command(*arguments), check=False).returncode


if __name__ == "__main__":
    sys.exit(find(*sys.argv[1:]))
