"""The class decorator: members of the decorated class become parameters in a vtkMRMLScriptedModuleNode."""

import typing

import qt
import slicer.util
import vtk

from .annotations import Default, find, split
from .connectors import connectorFor
from .serializers import serializerOf

PROPERTY_NAME = "SlicerParameterName"  # dynamic property of a widget in the .ui file


class Parameter:
    """One typed member: a descriptor that reads and writes the node of the wrapper that it is used on."""

    def __init__(self, name, annotatedType, default):
        bareType, annotations = split(annotatedType)
        self.name, self.annotatedType = name, annotatedType
        self._serializer = serializerOf(bareType)
        self._validators = [annotation for annotation in annotations if hasattr(annotation, "validate")]
        self._default = default or find(annotations, Default) or Default(self._serializer.default)

    def __get__(self, wrapper, owner=None):
        return self if wrapper is None else self._serializer.read(wrapper.parameterNode, self.name)

    def __set__(self, wrapper, value):
        isNumber = isinstance(value, bool) and bool not in self._serializer.types  # a bool is an int to Python
        if isNumber or not isinstance(value, self._serializer.types):
            raise TypeError(f"{self.name} must be of type {self.annotatedType}, is {value!r}")
        for validator in self._validators:
            validator.validate(value)
        with slicer.util.NodeModify(wrapper.parameterNode):
            self._serializer.write(wrapper.parameterNode, self.name, value)

    def ensure(self, wrapper):
        """Writes the default where the node has no value yet."""
        if not wrapper.parameterNode.HasParameter(self.name):
            self.__set__(wrapper, self._default.make())


class ParameterNodeWrapper:
    """What every decorated class can do besides."""

    def __init__(self, parameterNode):
        self.parameterNode = parameterNode
        self._guis = {}
        self._isUpdatingGui = False
        for parameter in self.allParameters.values():
            parameter.ensure(self)

    def getValue(self, name):
        return self._parameter(name).__get__(self)

    def setValue(self, name, value):
        self._parameter(name).__set__(self, value)

    @classmethod
    def dataType(cls, name):
        return cls._parameter(name).annotatedType

    @classmethod
    def _parameter(cls, name):
        if name not in cls.allParameters:
            raise ValueError(f"There is no parameter {name}, only {', '.join(cls.allParameters)}.")
        return cls.allParameters[name]

    # ------------------------------------------------------------ the node

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        self.parameterNode.RemoveObserver(tag)

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified):
        return self.parameterNode.EndModify(wasModified)

    def Modified(self):
        self.parameterNode.Modified()

    # ------------------------------------------------------------ widgets

    def connectGui(self, gui):
        """``gui``: a widget, or an object whose attributes are widgets. Returns a tag for `disconnectGui`."""
        widgets = gui.findChildren(qt.QWidget) if hasattr(gui, "isWidgetType") else vars(gui).values()
        named = {widget.property(PROPERTY_NAME): widget for widget in widgets}
        named.pop(None, None)
        return self.connectParametersToGui(named)

    def connectParametersToGui(self, widgets):
        """``widgets``: {parameter: widget}. The widgets get the node's values."""
        connectors = {name: connectorFor(widget, self.dataType(name)) for name, widget in widgets.items()}
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.connect(lambda name=name, connector=connector: self._onWidgetChanged(name, connector))
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda _caller, _event: self._updateGui())
        self._guis[observer] = connectors
        return observer

    def disconnectGui(self, tag):
        for connector in self._guis.pop(tag, {}).values():
            connector.disconnect()
        self.RemoveObserver(tag)

    def _onWidgetChanged(self, name, connector):
        if not self._isUpdatingGui:
            self.setValue(name, connector.read())

    def _updateGui(self):
        if self._isUpdatingGui:
            return
        self._isUpdatingGui = True
        try:
            for connectors in self._guis.values():
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self._isUpdatingGui = False


def parameterNodeWrapper(cls):
    """Raises ValueError where a member's name is one that the wrapper needs itself."""
    parameters = {}
    for name, annotatedType in typing.get_type_hints(cls, include_extras=True).items():
        if hasattr(ParameterNodeWrapper, name):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        default = Default(getattr(cls, name)) if hasattr(cls, name) else None
        parameters[name] = Parameter(name, annotatedType, default)
    members = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    members.update(parameters, allParameters=parameters)
    return type(cls.__name__, (ParameterNodeWrapper, *cls.__bases__), members)
