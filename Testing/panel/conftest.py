"""Fixtures of the Slicer side's tests."""
import sys
import pytest, types
import slicer, slicer.util
import tempfile

@pytest.fixture(scope="session")
def runtime(tmp_path_factory):
    sys.path.insert(0, "/work/shared/examples/host")
    from headless import Runtime
    return Runtime(str(tmp_path_factory.mktemp("slicer"))).install()

@pytest.fixture
def scene(runtime):
    runtime.scene.Clear(True)
    yield runtime.scene
    runtime.scene.Clear(True)

from pathlib import Path

@pytest.fixture(scope="session")
def goodLogic():
    """A logic with one fake worker for all tests."""
    from RRLMedSAMLib.logic import OneShotLogic
    from RRLMedSAMLib.workerprocess import WorkerProcess
    logic = OneShotLogic(None, WorkerProcess([sys.executable, str(Path(__file__).with_name("fakeworker.py"))]))
    yield logic
    logic.cleanup()

@pytest.fixture
def fakeLogic():
    """Callable: a logic whose worker is the fake one with this behaviour."""
    from RRLMedSAMLib.logic import OneShotLogic
    from RRLMedSAMLib.workerprocess import WorkerProcess
    made = []
    def make(*behaviour, timer=None):
        command = [sys.executable, str(Path(__file__).with_name("fakeworker.py")), *map(str, behaviour)]
        made.append(OneShotLogic(timer, WorkerProcess(command)))
        return made[-1]
    yield make
    for logic in made:
        logic.cleanup()
