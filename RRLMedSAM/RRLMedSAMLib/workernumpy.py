"""An older NumPy for the worker alone, where PyTorch was built for NumPy 1 and Slicer brings NumPy 2.

So it is on Macs: Slicer for macOS is built for Intel processors, and the last PyTorch for these is 2.2. Slicer keeps its
own NumPy; the SciPy and SimpleITK that it brings work with both. A process of its own:

  python workernumpy.py FOLDER [OPTION ...]     puts it into the folder if it is needed; the options are pip's
"""

import os
import subprocess
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from RRLMedSAMEngine import probe  # noqa: E402

from RRLMedSAMLib.bundle import NUMPY_1  # noqa: E402


def main(folder, *options):
    """Returns pip's exit code; 0 where PyTorch and Slicer's NumPy work together."""
    if probe.exchanges_arrays():
        return 0
    command = [sys.executable, "-m", "pip", "install", "--target", folder, "--upgrade", "--no-deps", NUMPY_1, *options]
    return subprocess.run([*command, "--no-input", "--disable-pip-version-check"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
