"""An older NumPy for the worker alone, where PyTorch was built for NumPy 1 and Slicer brings NumPy 2.

So it is on Macs: Slicer for macOS is built for Intel processors, whose last PyTorch is 2.2. Slicer keeps its
own NumPy; the SciPy and SimpleITK that it brings work with both. A process of its own:

  python workernumpy.py FOLDER [OPTION ...]     puts it into the folder, or deletes the folder where it is not needed;
                                                the options are pip's
"""

import os
import shutil
import subprocess
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from RRLMedSAMEngine import probe  # noqa: E402

from RRLMedSAMLib.bundle import NUMPY_1  # noqa: E402

PART = ".part"  # of the folder's name while pip works


def main(folder, *options):
    """Returns pip's exit code; 0 where PyTorch and Slicer's NumPy work together."""
    try:
        is_needed = not probe.exchanges_arrays()
    except (ImportError, OSError):  # PyTorch does not load at all, which 'Set-up' tells
        is_needed = False
    if not is_needed:
        shutil.rmtree(folder, ignore_errors=True)  # of an older PyTorch; where it stays, it does as well
        return 0
    part = folder + PART
    shutil.rmtree(part, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--target", part, "--no-deps", NUMPY_1, *options]
    code = subprocess.run([*command, "--no-input", "--disable-pip-version-check"], check=False).returncode
    if code == 0:
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
