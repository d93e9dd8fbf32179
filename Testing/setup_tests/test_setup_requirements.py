"""What run.py installs, and how large the repository is."""

import hashlib
import os
import re
from pathlib import Path

import pytest
from environment import installer

ROOT = Path(__file__).resolve().parents[2]
UNTRACKED = (".git", ".venv", "demo-output", ".pytest_cache", ".ruff_cache", "__pycache__")  # beginnings of names


@pytest.mark.parametrize("name", ["Testing/requirements.txt", "Testing/requirements-alone.txt"])
def test_everything_installed_has_a_version(name):
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"[\w-]+==[\d.]+(\s*;|$)", line), line
    assert all("==" in requirement for requirement in installer.FINDER)


def test_the_workers_packages_are_pinned_here_but_not_in_slicer():
    """Slicer's own numpy or SimpleITK must not be replaced; run.py's environment must be the same everywhere."""
    asked = (ROOT / "RRLMedSAM" / "Resources" / "requirements.txt").read_text()
    names = [line for line in asked.splitlines() if line and not line.startswith("#")]
    pinned = (ROOT / "Testing" / "requirements.txt").read_text()
    assert names and all(re.fullmatch(r"[\w-]+", name) for name in names)
    assert all(re.search(rf"^{name}==", pinned, re.MULTILINE) for name in names)


def test_linux_without_an_nvidia_driver_never_gets_the_cuda_build(monkeypatch, tmp_path):
    tried = []

    def failing(python, log, arguments, module="pip", variables=None, verb="install"):
        tried.append((module, arguments))
        raise installer.InstallFailed("ERROR: No matching distribution found", log)

    monkeypatch.setattr(installer, "pip", failing)
    monkeypatch.setattr(installer.sys, "platform", "linux")
    monkeypatch.setattr(installer, "has_nvidia_driver", lambda: False)
    installer.get_torch("python", str(tmp_path / "log"), {})
    assert len(tried) == 2
    for module, arguments in tried:
        plain = module == "pip" and any(re.fullmatch(r"torch==[\d.]+", argument) for argument in arguments)
        assert not plain


def test_with_an_nvidia_driver_it_is_the_ordinary_build(monkeypatch, tmp_path):
    tried = []
    monkeypatch.setattr(installer, "pip", lambda python, log, arguments, **_: tried.append(arguments))
    monkeypatch.setattr(installer, "has_nvidia_driver", lambda: True)
    installer.get_torch("python", str(tmp_path / "log"), {})
    assert tried == [[f"torch=={installer.TORCH_VERSION}"]]


def test_the_licence_is_apache_2_word_for_word():
    words = (ROOT / "LICENSE").read_text(encoding="utf-8").split()
    digest = hashlib.sha256(" ".join(words).encode()).hexdigest()
    assert digest == "0ffddef9e48f8a09aed5caf2d44f7ba1c1be2d9b8e0a6f693b1635b2d5566645"


def test_the_repository_stays_small():
    """The extension index takes 100 MB with the history: a volume or a model committed by mistake is seen here."""
    size = 0
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith(UNTRACKED)]
        size += sum(os.path.getsize(os.path.join(folder, name)) for name in files)
    assert size < 30e6
