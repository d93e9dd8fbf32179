"""`python -m host`: a window where there is a display, a picture or a sentence where there is none."""

import os
import pathlib
import subprocess
import sys

import host
import qt
from host.__main__ import NO_DISPLAY


def run(*arguments):
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment["PYTHONPATH"] = str(pathlib.Path(host.__file__).parents[1])
    command = [sys.executable, "-m", "host", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def testWithoutDisplay():
    result = run()
    if sys.platform == "linux":
        assert result.returncode == 2 and result.stderr.strip() == NO_DISPLAY


def testScreenshot(tmp_path):
    result = run("--screenshot", tmp_path / "panel.png")
    assert result.returncode == 0, result.stderr
    image = qt.QImage(str(tmp_path / "panel.png"))
    assert image.width() > 1000 and image.height() > 700
