"""What module code gets from `import qt`: PySide6 behaving as PythonQt, with Slicer's widgets in .ui files."""

from PySide6.QtCore import Property, Qt, Signal, Slot

from . import pythonqt

for _module in pythonqt.patch():
    globals().update({name: getattr(_module, name) for name in dir(_module) if name[0].isupper()})

from .uiloader import QUiLoader  # noqa: E402

__all__ = ["Property", "QUiLoader", "Qt", "Signal", "Slot"]
