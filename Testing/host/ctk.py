"""What module code gets from `import ctk`."""

from .absent import absentClass
from .widgets.collapsiblebutton import ctkCollapsibleButton
from .widgets.combobox import ctkComboBox
from .widgets.simple import ctkCheckBox, ctkMessageBox, ctkPushButton

__all__ = ["ctkCheckBox", "ctkCollapsibleButton", "ctkComboBox", "ctkMessageBox", "ctkPushButton"]


def __getattr__(name):
    if not name.startswith("ctk"):
        raise AttributeError(f"module 'ctk' has no attribute '{name}'")
    globals()[name] = absentClass(name)
    return globals()[name]
