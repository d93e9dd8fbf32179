"""Fixtures of the Slicer side's tests, which run in the host."""

import importlib.util
from pathlib import Path

import pytest
from driver import Driver, fakeCommand
from host.fixtures import *  # noqa: F403
from RRLMedSAMLib.logic import OneShotLogic
from RRLMedSAMLib.workerprocess import WorkerProcess

MODULE_FILE = Path(__file__).resolve().parents[2] / "RRLMedSAM" / "RRLMedSAM.py"


def pytest_runtest_setup(item):
    if item.get_closest_marker("needs_torch") and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed for this Python")


@pytest.fixture
def fakeLogic():
    """Callable: a logic, driven by `wait` or `tick`, whose worker is the fake one with this behaviour."""
    made = []

    def make(*behaviour):
        made.append(OneShotLogic(None, WorkerProcess(fakeCommand(*behaviour))))
        return made[-1]

    yield make
    for logic in made:
        logic.cleanup()


@pytest.fixture(scope="session")
def goodLogic():
    """A logic with one well-behaved fake worker for all tests."""
    logic = OneShotLogic(None, WorkerProcess(fakeCommand("good")))
    yield logic
    logic.cleanup()


@pytest.fixture
def openModule(moduleLoader):
    """Callable: opens the module's panel at a narrow width; returns what `host.load.loadModule` does."""

    def open_():
        loaded = moduleLoader(str(MODULE_FILE))
        loaded.panel.resize(320, 700)
        loaded.panel.show()
        return loaded

    return open_


@pytest.fixture
def driver(openModule):
    """The user of an open panel whose worker is a well-behaved fake."""
    user = Driver(openModule())
    user.worker("good")
    return user
