"""Fixtures for tests on the host: a conftest.py imports them with `from host.fixtures import *`.

That starts the host, so that test files can import `slicer`, `qt` and the module's library at their top.
"""

import os

import pytest

from .errortrap import ErrorTrap
from .load import loadModule
from .runtime import boot

__all__ = ["errorTrap", "moduleLoader", "mrml", "scene", "workingFolder"]

_mrml = boot()


@pytest.fixture(scope="session")
def mrml():
    """The `Mrml`: scene, application logic and module logics."""
    return _mrml


@pytest.fixture(autouse=True)
def errorTrap():
    """Fails the test where an exception was swallowed. A test that expects one empties ``errorTrap.errors``."""
    with ErrorTrap() as trap:
        yield trap
    trap.check()


@pytest.fixture(autouse=True)
def workingFolder():
    """The one before the test: MRML leaves the process in a temporary folder after it wrote or read a bundle."""
    folder = os.getcwd()
    yield folder
    os.chdir(folder)


@pytest.fixture
def scene(errorTrap, mrml):
    """The scene of slicer.mrmlScene, empty."""
    mrml.clear()
    yield mrml.scene
    mrml.clear()


@pytest.fixture
def moduleLoader(scene):
    """`host.load.loadModule`; what it loaded is unloaded after the test."""
    loaded = []

    def load(path, **options):
        loaded.append(loadModule(path, **options))
        return loaded[-1]

    yield load
    for each in loaded:
        if each.isLoaded:
            each.unload()
