"""How a value is kept in a vtkMRMLScriptedModuleNode: the text format is Slicer's, so scenes can be exchanged."""

import enum
import types
import typing

import slicer

Serializer = typing.NamedTuple(
    "Serializer", [("types", tuple), ("default", object), ("write", typing.Callable), ("read", typing.Callable)]
)


def serializerOf(bareType):
    """Raises TypeError for a type that the stand-in does not know."""
    if bareType is bool:
        return _textSerializer((bool,), False, str, lambda text: text == "True")
    if bareType is int:
        return _textSerializer((int,), 0, str, int)
    if bareType is float:
        return _textSerializer((int, float), 0.0, str, float)
    if bareType is str:
        return _textSerializer((str,), "", str, str)
    if isinstance(bareType, type) and issubclass(bareType, enum.Enum):
        return _textSerializer((bareType,), next(iter(bareType)), lambda value: value.name, bareType.__getitem__)
    classes = nodeClasses(bareType)
    if classes:
        return Serializer((*classes, type(None)), None, _writeNode, lambda node, name: node.GetNodeReference(name))
    raise TypeError(f"The stand-in for parameterNodeWrapper knows no {bareType}.")


def nodeClasses(bareType):
    """The MRML classes of a node type or of a union of such and None; () for anything else."""
    isUnion = typing.get_origin(bareType) in (typing.Union, types.UnionType)
    classes = [each for each in (typing.get_args(bareType) if isUnion else (bareType,)) if each is not type(None)]
    isNodes = all(isinstance(each, type) and issubclass(each, slicer.vtkMRMLNode) for each in classes)
    return tuple(classes) if isNodes else ()


def _textSerializer(accepted, default, toText, fromText):
    return Serializer(
        accepted,
        default,
        lambda node, name, value: node.SetParameter(name, toText(value)),
        lambda node, name: fromText(node.GetParameter(name)),
    )


def _writeNode(node, name, value):
    node.SetParameter(name, "")  # tells "none was chosen" from "never written"
    node.SetNodeReferenceID(name, value.GetID() if value is not None else None)
