"""Runs the module's own files on slicer-core and PySide6, without the Slicer desktop. See docs/host.md."""

import ctypes
import sys

# Enumerations derive from int, as in PythonQt. PySide6 reads this when first imported.
sys.pyside6_option_python_enum = 3

if sys.version_info < (3, 12):
    # PySide6 6.12 gives None, True and False away without counting the reference, as is right from Python 3.12 on,
    # where they are immortal. Before, each call of a Qt method takes one away (measured: 100 setText, None -100) and
    # the process aborts when none is left. More than can be used up makes them immortal here too.
    for _constant in (None, True, False):
        ctypes.c_ssize_t.from_address(id(_constant)).value += 1 << 40
