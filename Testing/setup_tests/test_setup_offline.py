"""run.py bundle and run.py --bundle with the real pip: tiny packages with the real ones' names, and no network."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from environment.installer import IS_INTEL_MAC, TORCH_VERSION
from toywheels import wheel

ROOT = Path(__file__).resolve().parents[2]
OFFLINE = {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0"}


@pytest.fixture
def index(tmp_path):
    """A folder with a tiny package for each one that run.py installs."""
    folder = tmp_path / "index"
    folder.mkdir()
    lists = [ROOT / "Testing" / "requirements.txt", ROOT / "Testing" / "requirements-alone.txt"]
    pinned = re.findall(r"^([\w-]+)==([\d.]+)", "\n".join(path.read_text() for path in lists), re.MULTILINE)
    for name, version in [*pinned, ("torch", f"{TORCH_VERSION}+cpu")]:
        module = name.replace("-", "_")
        wheel(folder, module, version, modules={f"{module}/__init__": "", f"{module}/__main__": ""})
    return folder


def run(venv, *arguments, **variables):
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, ROOT / "run.py", *arguments],
        env={**kept, **OFFLINE, "RRLMEDSAM_VENV": str(venv), **variables}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(IS_INTEL_MAC or platform.machine() == "aarch64", reason="slicer-core has no build here")
def test_what_one_computer_downloads_another_installs_without_a_network(index, tmp_path):
    folder, venv = tmp_path / "a bundle", tmp_path / "venv"
    made = run(venv, "bundle", folder, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index))
    assert made.returncode == 0 and "The bundle is complete" in made.stderr, made.stderr
    shutil.rmtree(venv)
    shutil.rmtree(index)
    # pytest is one of the tiny packages: it ends at once
    used = run(venv, "--bundle", folder, "test", PIP_INDEX_URL="http://127.0.0.1:9/")
    assert used.returncode == 0 and "PyTorch is missing" not in used.stderr, used.stderr
    packages = {path.name for path in venv.glob("**/site-packages/*.dist-info")}
    assert f"torch-{TORCH_VERSION}+cpu.dist-info" in packages
    assert any(name.startswith("slicer_core-") for name in packages)
