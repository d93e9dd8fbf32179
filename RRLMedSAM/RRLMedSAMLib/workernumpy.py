"""An older NumPy for the worker alone, where PyTorch was built for NumPy 1 and Slicer brings NumPy 2.

So it is on Macs: Slicer for macOS is built for Intel processors, whose last PyTorch is 2.2. Slicer keeps its
own NumPy; the SciPy and SimpleITK that it brings work with both. A process of its own:

  python -m RRLMedSAMLib.workernumpy [OPTION ...]     the options are pip's

puts it into the folder that RRLMEDSAM_PACKAGES names, or deletes the folder where it is not needed, or where the only
option is `remove`.
"""

import os
import shutil
import sys

from RRLMedSAMEngine import probe, protocol

from .bundle import NUMPY_1
from .torchfinder import pip

PART = ".part"  # of the folder's name while pip works
REMOVE = "remove"


def main(folder, *options):
    """Returns pip's exit code; 0 where PyTorch and Slicer's NumPy work together."""
    part = folder + PART
    shutil.rmtree(part, ignore_errors=True)
    if options == (REMOVE,) or not _is_needed():
        shutil.rmtree(folder, ignore_errors=True)  # of an older PyTorch; where it stays, it does as well
        return 0
    code = pip("install", "--target", part, "--no-deps", NUMPY_1, *options)
    if code == 0:
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)
    return code


def _is_needed():
    try:
        return not probe.exchanges_arrays()
    except Exception:  # PyTorch does not load at all, in whichever way: 'Set-up' tells
        return False


if __name__ == "__main__":
    sys.exit(main(os.environ[protocol.OWN_PACKAGES], *sys.argv[1:]))
