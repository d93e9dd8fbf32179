"""Exceptions that Qt, VTK, threads and destructors swallow fail a test."""

import os
import pathlib
import subprocess
import sys
import threading

import host
import qt


def fail(*_arguments):
    raise ZeroDivisionError("swallowed")


def taken(errorTrap):
    errors = errorTrap.errors[:]
    errorTrap.errors.clear()
    return errors


def testSlot(errorTrap):
    button = qt.QPushButton()
    button.clicked.connect(fail)
    button.connect("clicked()", fail)
    button.click()
    errors = taken(errorTrap)
    assert len(errors) == 2 and all("ZeroDivisionError: swallowed" in error for error in errors)


def testObserver(errorTrap, scene):
    tag = scene.AddObserver(scene.NodeAddedEvent, fail)
    scene.AddNewNodeByClass("vtkMRMLTextNode")
    scene.RemoveObserver(tag)
    assert len(taken(errorTrap)) == 1


def testThread(errorTrap):
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert len(taken(errorTrap)) == 1


def testDestructor(errorTrap):
    class Falling:
        __del__ = fail

    Falling()
    assert len(taken(errorTrap)) == 1


def testTheFixtureFailsTheTest(tmp_path):
    (tmp_path / "conftest.py").write_text("from host.fixtures import *\n")
    (tmp_path / "test_swallowed.py").write_text(
        "import qt\n\ndef test():\n    button = qt.QPushButton()\n"
        "    button.clicked.connect(lambda: 1 / 0)\n    button.click()\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment())
    assert result.returncode == 1 and "ZeroDivisionError" in result.stdout


def environment():
    """This process's, with the host to be found."""
    return {**os.environ, "PYTHONPATH": str(pathlib.Path(host.__file__).parents[1])}
