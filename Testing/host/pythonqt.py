"""Makes PySide6's classes behave as PythonQt's do, in place: type(w) == qt.QPushButton stays true.

Measured differences that this removes: in PythonQt a property is an attribute (`w.text`, `w.enabled = False`), a
signal is connected by its signature (`w.connect("clicked(bool)", f)`), QStringList is a tuple, and an attribute that
does not exist cannot be set on a C++ object. Stock PySide6 takes `w.enabled = False` without a word and leaves the
widget enabled.
"""

import contextlib
import inspect
import re
import sys

from PySide6 import QtCore, QtGui, QtWidgets

_readProperty = QtCore.QObject.property
_writeProperty = QtCore.QObject.setProperty
_getAttribute = QtCore.QObject.__getattribute__
_findChildren = QtCore.QObject.findChildren
_sealed = set()
_unsealed = []  # not empty while PySide6's own code needs to set attributes


class _QtProperty:
    """A Qt property as an attribute of instances; on the class, what PySide6 has by that name."""

    def __init__(self, name, classAttribute):
        self._name, self._classAttribute = name, classAttribute
        self._isReading = False
        self._setter = "set" + name[0].upper() + name[1:]

    def __get__(self, instance, owner=None):
        if instance is None:
            return self._classAttribute
        if self._isReading:
            # The getter is virtual, as sizeHint is, and Shiboken looks for a Python override of it.
            return self._classAttribute.__get__(instance)
        self._isReading = True
        try:
            value = _readProperty(instance, self._name)
        finally:
            self._isReading = False
        return tuple(value) if isinstance(value, list) else value

    def __set__(self, instance, value):
        setter = getattr(instance, self._setter, None)
        if setter is not None:
            setter(value)
        elif not _writeProperty(instance, self._name, value):
            raise AttributeError(f"Property '{self._name}' of {type(instance).__name__} object is not writable")


def patch():
    """Patches every QObject class of QtCore, QtGui and QtWidgets. Returns these modules."""
    modules = (QtCore, QtGui, QtWidgets)
    for module in modules:
        for name in dir(module):  # not vars(): members are loaded lazily
            cls = getattr(module, name)
            if isinstance(cls, type) and issubclass(cls, QtCore.QObject):
                _patchClass(cls)
    base = QtCore.QObject
    base.name = property(lambda self: self.objectName, lambda self, value: self.setObjectName(value))
    base.className = lambda self: self.metaObject().className()
    base.findChildren = _findChildrenByClassName
    # A replaced QObject.connect would not be found: Shiboken looks for static C++ methods first.
    base.__getattribute__ = _getAttributeOrConnect
    return modules


def seal(cls):
    """Refuses unknown attributes on the class's instances, as on C++ objects; underscored ones are the class's own."""
    cls.__setattr__ = _setAttribute
    _sealed.add(cls)
    return cls


@contextlib.contextmanager
def unsealed():
    _unsealed.append(True)
    try:
        yield
    finally:
        _unsealed.pop()


def _patchClass(cls):
    meta = cls.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        name = meta.property(index).name()
        setattr(cls, name, _QtProperty(name, getattr(cls, name, None)))
    if hasattr(cls, "exec") and not hasattr(cls, "exec_"):
        cls.exec_ = cls.exec
    seal(cls)


def _setAttribute(self, name, value):
    """What Shiboken's own does, which refuses to be called from here, and PythonQt's check."""
    cls = type(self)
    attribute = next((base.__dict__[name] for base in cls.__mro__ if name in base.__dict__), None)
    if isinstance(attribute, QtCore.Property):
        attribute.fset(self, value)
    elif hasattr(type(attribute), "__set__"):
        attribute.__set__(self, value)
    elif cls not in _sealed or _unsealed or name.startswith("_") or isinstance(value, QtCore.SignalInstance):
        self.__dict__[name] = value
    elif attribute is not None:
        raise AttributeError(f"'{name}' of {cls.__name__} object can not be overwritten")
    else:
        raise AttributeError(
            f"Attribute '{name}' of {cls.__name__} object does not exist, and creating new attributes on C++ objects "
            "is not allowed"
        )


def _getAttributeOrConnect(self, name):
    original = _getAttribute(self, name)
    if name not in ("connect", "disconnect"):
        return original
    ours = connect if name == "connect" else _disconnect

    def call(*arguments):
        isOurs = len(arguments) == 2 and isinstance(arguments[0], str)
        return ours(self, *arguments) if isOurs else original(*arguments)  # QTimer.singleShot calls it too

    return call


def connect(sender, signature, slot):
    """``signature``: of a signal, such as "clicked(bool)" or "currentNodeChanged(vtkMRMLNode*)". Returns True.

    Raises AttributeError where the sender has no such signal; PythonQt only returns False.
    """
    signal, count = _signal(sender, signature)
    accepted = min(count, _acceptedArguments(slot))

    def target(*values):
        slot(*values[:accepted])

    sender.__dict__.setdefault("_connections", []).append((signature, slot, target))
    return QtCore.QObject.connect(sender, signal, target)


def _disconnect(sender, signature, slot):
    connections = sender.__dict__.get("_connections", [])
    for connection in connections:
        if connection[:2] == (signature, slot):
            connections.remove(connection)
            return QtCore.QObject.disconnect(sender, _signal(sender, signature)[0], connection[2])
    return False


def _signal(sender, signature):
    """The signal in PySide6's notation, and how many arguments it has."""
    normalized = re.sub(r"\bvtk\w+\s*\*", "PyObject", signature).replace(" ", "")
    meta = sender.metaObject()
    index = meta.indexOfSignal(normalized)
    if index < 0:
        raise AttributeError(f"{type(sender).__name__} object has no signal '{signature}'")
    return QtCore.SIGNAL(normalized), meta.method(index).parameterCount()


def _acceptedArguments(slot):
    try:
        parameters = inspect.signature(slot).parameters.values()
    except ValueError:  # a function of C++
        return sys.maxsize
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return sys.maxsize
    return sum(parameter.kind <= parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)


def _findChildrenByClassName(self, cls=QtCore.QObject, *arguments, **options):
    """PythonQt takes the class's name too."""
    if isinstance(cls, str):
        children = _findChildren(self, QtCore.QObject, *arguments, **options)
        return [child for child in children if child.inherits(cls)]
    return list(_findChildren(self, cls, *arguments, **options))
