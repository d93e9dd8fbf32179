"""Bundles, made and used by bundle.py as a process, and what pip's failures are called."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from RRLMedSAMEngine import protocol
from RRLMedSAMLib import bundle, torchfinder, workernumpy, workerprocess
from RRLMedSAMLib.pipfailures import explained
from toywheels import toyIndex, wheel


@pytest.fixture
def madeBundle(tmp_path):
    folder = tmp_path / "bundle here"
    (folder / bundle.WHEELS).mkdir(parents=True)
    wheel(bundle.wheels(folder), "tinyone", requires=["tinytwo"])
    wheel(bundle.wheels(folder), "tinytwo")
    bundle.seal(folder)
    return folder


@pytest.mark.slow
def test_a_bundle_is_installed_without_an_index(madeBundle, tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python = venv / ("Scripts" if os.name == "nt" else "bin") / "python"
    environment = {**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/"}
    command = [python, bundle.__file__, "install", madeBundle, "tinyone"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    subprocess.run([python, "-c", "import tinyone, tinytwo"], check=True)


@pytest.mark.slow
def test_a_bundle_without_pytorch_is_not_sealed(tmp_path, monkeypatch):
    toyIndex(tmp_path / "index", monkeypatch)
    (tmp_path / "index" / "torch-2.5-py3-none-any.whl").unlink()
    command = [sys.executable, bundle.__file__, "download", tmp_path / "bundle", "tinyone", "torch>=2.2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode and "no build" in explained(done.stdout + done.stderr).text
    assert os.listdir(tmp_path / "bundle") == [bundle.WHEELS]


@pytest.mark.slow
def test_a_pytorch_that_was_built_for_numpy_1_brings_it_along_for_the_worker_alone(tmp_path, monkeypatch):
    index, made, folder = tmp_path / "index", tmp_path / "bundle", tmp_path / "for the worker"
    toyIndex(index, monkeypatch)
    (index / "torch-2.5-py3-none-any.whl").unlink()
    tensor = "class Tensor:\n    def numpy(self):\n        {}\n\n\ndef zeros(_size):\n    return Tensor()\n"
    wheel(index, "torch", "2.2.2", modules={"torch": tensor.format("raise RuntimeError('Numpy is not available')")})
    wheel(index, "numpy", "1.26.4")
    wheel(index, "numpy", "2.4.6")
    subprocess.run([sys.executable, bundle.__file__, "download", made, "tinyone", "torch>=2.2"], check=True)
    assert "numpy-1.26.4-py3-none-any.whl" in os.listdir(bundle.wheels(made))

    torch = tmp_path / "site"
    command = [sys.executable, "-m", workernumpy.__name__, *bundle.options(made)]
    environment = {**os.environ, protocol.OWN_PACKAGES: str(folder)}
    environment["PYTHONPATH"] = os.pathsep.join([str(torch), workerprocess.MODULE_FOLDER])
    torch.mkdir()
    fails, works = tensor.format("raise RuntimeError('Numpy is not available')"), tensor.format("return ()")
    for state, isNeeded in ((works, False), (fails, True), (fails, True), (works, False), ("raise ImportError", False)):
        (torch / "torch.py").write_text(state)
        subprocess.run(command, env=environment, check=True)
        assert (folder / "numpy.py").exists() == folder.exists() == isNeeded
    assert not list(tmp_path.glob("*.part"))


def test_a_place_that_cannot_hold_a_bundle_is_told(tmp_path):
    (tmp_path / "file").touch()
    command = [sys.executable, bundle.__file__, "download", tmp_path / "file", "tinyone"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == bundle.UNUSABLE
    assert explained(done.stdout).text.startswith("The bundle's folder cannot be used")


def _damage(folder):
    (Path(bundle.wheels(folder)) / "tinyone-1.0-py3-none-any.whl").write_bytes(b"other")


def _lose(folder):
    (Path(bundle.wheels(folder)) / "tinytwo-1.0-py3-none-any.whl").unlink()


def _unlist(folder):
    (folder / bundle.INDEX).unlink()


def _spoil(folder):
    (folder / bundle.INDEX).write_text("{")


def _foreign(folder):
    bundle.seal(folder, {"python": "3.7", "platform": "amiga"})


@pytest.mark.parametrize(
    ("harm", "text"),
    [
        (_damage, "is damaged"), (_lose, "lacks the file"), (_unlist, "is no bundle"), (_spoil, "damaged"),
        (_foreign, "Python 3.7 on amiga"),
    ],
)  # fmt: skip
def test_a_bundle_that_cannot_be_used_is_refused_with_a_sentence(madeBundle, harm, text):
    harm(madeBundle)
    with pytest.raises(bundle.BundleError) as caught:
        bundle.check(madeBundle)
    assert text in caught.value.text and caught.value.text.endswith(".") and caught.value.action.endswith(".")
    done = subprocess.run(
        [sys.executable, bundle.__file__, "install", madeBundle, "tinyone"], capture_output=True, text=True
    )
    assert done.returncode == bundle.UNUSABLE and str(caught.value) in done.stdout


# ---------------------------------------------------------------- pip's failures


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (
            "urllib3.exceptions.SSLError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed",
            "inspects encrypted",
        ),
        (
            "ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407 Proxy Auth'))",
            "asks for a password",
        ),
        ("ProxyError('Cannot connect to proxy.', NewConnectionError('Connection refused'))", "proxy does not answer"),
        (
            "NewConnectionError('<...>: Failed to establish a new connection: [Errno 111] Connection refused')",
            "does not answer",
        ),
        ("ERROR: No matching distribution found for torch>=2.2", "no build"),
        ("ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: 'x'", "cannot be written"),
        ("OSError: [WinError 206] The filename or extension is too long", "path of Slicer's folder is too long"),
        ("PermissionError: [WinError 32] The process cannot access the file", "Another program"),
        (
            r"OSError: [WinError 5] Zugriff verweigert: 'C:\\Slicer\\site-packages\\~orch\\lib\\asmjit.dll'",
            "Another program",
        ),
        (r"OSError: [WinError 5] Zugriff verweigert: 'C:\\Slicer\\site-packages\\six.py'", "cannot be written"),
        ("OSError: [Errno 30] Read-only file system: 'x'", "cannot be written"),
        ("ERROR: something else.\nmore", "something else"),
        ("", "no reason given"),
    ],
)
def test_each_failure_has_a_sentence_and_an_action(output, text):
    error = explained(output)
    assert text in error.text and error.text.endswith(".") and error.action.endswith(".")


@pytest.mark.slow
def test_what_pip_really_prints_without_a_network_and_with_a_dead_proxy_is_known():
    def output(**variables):
        command = torchfinder.command(
            "download", "nosuchpackage", "--retries", "1", "--timeout", "2", "--dest", os.devnull
        )
        environment = {**os.environ, "PIP_CONFIG_FILE": os.devnull, "NO_PROXY": "", **variables}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    alone = {"PIP_INDEX_URL": "https://127.0.0.1:9/simple", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    done = output(**alone)
    assert done.returncode and "does not answer" in explained(done.stdout + done.stderr).text
    done = output(**alone, HTTPS_PROXY="http://127.0.0.1:9")
    assert done.returncode and "proxy" in explained(done.stdout + done.stderr).text
