"""Stand-in for slicer.parameterNodeWrapper: typed access to a parameter node, and its connection to widgets."""

from .annotations import Choice, Decimals, Default, Exclude, Maximum, Minimum, SingleStep, WithinRange
from .wrapper import parameterNodeWrapper

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Exclude",
    "Maximum",
    "Minimum",
    "SingleStep",
    "WithinRange",
    "parameterNodeWrapper",
]
