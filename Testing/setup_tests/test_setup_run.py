"""run.py in real processes, with an interpreter that only pretends to make environments and to install."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "run.py"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the pretended interpreter is a script")


class Fresh:
    """A place for an environment. ``behaviour``: see fakepython.py."""

    def __init__(self, folder):
        self.folder, self.behaviour = folder / "the venv", folder / "behaviour"
        self.behaviour.mkdir()
        self.python = folder / "fakepython"
        source = (ROOT / "Testing" / "setup_tests" / "fakepython.py").read_text()
        self.python.write_text(f"#!{sys.executable}\n{source}")
        self.python.chmod(0o755)

    def _options(self, cwd):
        cwd = cwd or self.behaviour
        variables = {**os.environ, "RRLMEDSAM_VENV": str(self.folder), "FAKE_PIP": str(self.behaviour)}
        return {"env": variables, "cwd": cwd, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

    def start(self, *arguments, cwd=None):
        return subprocess.Popen([sys.executable, RUN, *arguments], **self._options(cwd))

    def run(self, *arguments, cwd=None):
        return subprocess.run([sys.executable, RUN, *arguments], **self._options(cwd))

    def set_up(self):
        done = self.run("segment", "--python", self.python)
        assert done.returncode == 5, done.stderr
        return done

    def pip_calls(self):
        calls = self.behaviour / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def fresh(tmp_path):
    return Fresh(tmp_path)


def is_one_sentence_and_an_action(text):
    lines = text.strip().splitlines()
    return lines[-1].startswith("run.py: ") and lines[-1].count(". ") == 1 and "Traceback" not in text


# ------------------------------------------------------------ old Pythons


def test_the_file_has_no_syntax_that_old_pythons_do_not_know():
    tree = ast.parse(RUN.read_text(), feature_version=(3, 4))
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr))]


def old_pythons():
    names = [f"python{version}" for version in ("2", "2.7", "3.6", "3.7", "3.8", "3.9")]
    found = [shutil.which(name) for name in names]
    installed = sorted(Path.home().glob(".pyenv/versions/[23].[6789]*/bin/python"))
    candidates = dict.fromkeys([*filter(None, found), *map(str, installed)])
    return [path for path in candidates if subprocess.run([path, "-c", ""], capture_output=True).returncode == 0]


def test_old_pythons_say_so():
    pythons = old_pythons()
    if not pythons:
        pytest.skip("no Python older than 3.10 on this computer")
    for python in pythons:
        done = subprocess.run([python, "-B", RUN, "demo"], capture_output=True, text=True)
        assert done.returncode == 9 and done.stdout == ""
        assert done.stderr.startswith("run.py: RRLMedSAM needs Python 3.10 or newer")
        assert len(done.stderr.splitlines()) == 1


def test_an_old_interpreter_is_refused(fresh):
    fresh.python.write_text("#!/bin/sh\nexit 3\n")
    done = fresh.run("test", "--python", fresh.python)
    assert done.returncode == 9 and "older than Python 3.10" in done.stderr
    assert is_one_sentence_and_an_action(done.stderr)


@pytest.mark.parametrize(
    "script, text",
    [
        ("echo \"ModuleNotFoundError: No module named 'ensurepip'\" >&2; exit 1", "lacks the module venv"),
        ("exit 4", "does not work as a Python"),
    ],
)
def test_an_unfit_interpreter_is_refused(fresh, script, text):
    fresh.python.write_text(f"#!/bin/sh\n{script}\n")
    done = fresh.run("test", f"--python={fresh.python}")
    assert done.returncode == 9 and text in done.stderr
    assert not fresh.folder.exists()


def test_an_interpreter_that_is_not_there_is_a_usage_error(fresh):
    done = fresh.run("--python", "/not/there", "demo")
    assert done.returncode == 2 and is_one_sentence_and_an_action(done.stderr)


# ------------------------------------------------------------ starts


def test_the_first_start_installs_and_hands_over(fresh, tmp_path):
    done = fresh.run("segment", "--python", fresh.python, "--target", "a b", cwd=tmp_path)
    assert done.returncode == 5  # the command's own
    assert done.stdout.splitlines() == ["RRLMedSAMEngine.cli --target a b", str(tmp_path), str(ROOT / "RRLMedSAM")]
    assert "Setting up" in done.stderr
    lists, samples, torch = fresh.pip_calls()
    assert "Resources/requirements.txt" in lists and "Testing/requirements.txt" in lists
    assert "--no-deps" in samples and "torch==" in torch


def test_the_second_start_is_quick_and_silent(fresh):
    fresh.set_up()
    calls = fresh.pip_calls()
    started = time.monotonic()
    done = fresh.run("test", "-k", "x")
    assert time.monotonic() - started < 2
    assert done.returncode == 5 and done.stderr == ""
    assert done.stdout.splitlines() == ["pytest -k x", str(ROOT), f"{ROOT / 'RRLMedSAM'}:{ROOT / 'Testing'}"]
    assert fresh.pip_calls() == calls


@pytest.mark.parametrize("damage", ["bin/python", "lib/python3.11/site-packages/numpy", "rrlmedsam-ready.json"])
def test_a_broken_environment_is_made_anew(fresh, damage):
    fresh.set_up()
    path = fresh.folder / damage
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    fresh.set_up()
    assert len(fresh.pip_calls()) == 6
    assert path.exists()


def test_a_truncated_stamp_is_repaired(fresh):
    fresh.set_up()
    (fresh.folder / "rrlmedsam-ready.json").write_text("{")
    fresh.set_up()
    assert len(fresh.pip_calls()) == 6


def test_an_interpreter_that_cannot_start_is_repaired(fresh):
    fresh.set_up()
    (fresh.folder / "bin" / "python").write_text("#!/not/there\n")
    fresh.set_up()
    assert len(fresh.pip_calls()) == 6


def test_another_interpreter_makes_it_anew_but_none_keeps_it(fresh):
    fresh.set_up()
    assert fresh.run("test").returncode == 5
    assert len(fresh.pip_calls()) == 3
    other = fresh.python.with_name("other")
    shutil.copy(fresh.python, other)
    assert fresh.run("test", "--python", other).returncode == 5
    assert len(fresh.pip_calls()) == 6


def test_somebody_elses_folder_is_left_alone(fresh):
    fresh.folder.mkdir()
    (fresh.folder / "precious").touch()
    done = fresh.run("test", "--python", fresh.python)
    assert done.returncode == 9 and is_one_sentence_and_an_action(done.stderr)
    assert [path.name for path in fresh.folder.iterdir()] == ["precious"]


def test_an_interrupted_set_up_is_repaired(fresh):
    (fresh.behaviour / "slow").touch()
    # A shell that runs the tests in its background has them ignore the signal, and their processes with them.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = fresh.start("segment", "--python", fresh.python)
    signal.signal(signal.SIGINT, before)
    while not fresh.pip_calls():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _stdout, stderr = process.communicate(timeout=10)
    assert process.returncode == 130 and "Traceback" not in stderr
    (fresh.behaviour / "slow").unlink()
    fresh.set_up()


def test_concurrent_starts_install_once(fresh):
    (fresh.behaviour / "slow").touch()
    processes = [fresh.start("segment", "--python", fresh.python) for _ in range(3)]
    assert [(process.communicate(timeout=30), process.returncode)[1] for process in processes] == [5, 5, 5]
    assert len(fresh.pip_calls()) == 3


# ------------------------------------------------------------ bundles


@pytest.fixture
def bundle(fresh, tmp_path):
    """A bundle that run.py has made; the environment is gone again."""
    folder = tmp_path / "a bundle"
    done = fresh.run("bundle", "--python", fresh.python, folder)
    assert done.returncode == 0 and "complete" in done.stderr, done.stderr
    shutil.rmtree(fresh.folder)
    (fresh.behaviour / "calls").unlink()
    return folder


def test_a_bundle_has_what_the_set_up_installs(fresh, bundle):
    names = ["0.whl", "1.whl", "torch-1.whl"]
    assert sorted(json.loads((bundle / "bundle.json").read_text())["files"]) == names
    asked = [(bundle / "wheels" / name).read_text() for name in names]
    assert "Testing/requirements.txt" in asked[0] and "--no-deps" in asked[1] and "torch==" in asked[2]


def test_a_bundle_without_pytorch_is_not_called_complete(fresh, tmp_path):
    fresh.set_up()
    (fresh.behaviour / "no_torch").touch()
    done = fresh.run("bundle", tmp_path / "a bundle")
    assert done.returncode == 7 and "PyTorch could not be downloaded" in done.stderr
    assert is_one_sentence_and_an_action(done.stderr) and not (tmp_path / "a bundle" / "bundle.json").exists()


def test_an_environment_is_made_from_a_bundle_alone(fresh, bundle):
    done = fresh.run("segment", "--python", fresh.python, "--bundle", bundle)
    assert done.returncode == 5, done.stderr
    calls = fresh.pip_calls()
    assert len(calls) == 3 and all(f"--no-index --find-links {bundle / 'wheels'}" in call for call in calls)


def test_a_damaged_bundle_is_refused(fresh, bundle):
    (bundle / "wheels" / "1.whl").write_text("other")
    done = fresh.run("segment", "--python", fresh.python, f"--bundle={bundle}")
    assert done.returncode == 9 and "1.whl is damaged" in done.stderr and is_one_sentence_and_an_action(done.stderr)
    assert fresh.pip_calls() == []


@pytest.mark.parametrize("folders", [[], ["a", "b"]])
def test_a_bundle_goes_into_one_folder(fresh, folders):
    done = fresh.run("bundle", *folders)
    assert done.returncode == 2 and is_one_sentence_and_an_action(done.stderr)


def test_a_folder_with_something_in_it_is_no_place_for_a_bundle(fresh, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    done = fresh.run("bundle", "--python", fresh.python, tmp_path / "full")
    assert done.returncode == 2 and "not empty" in done.stderr


# ------------------------------------------------------------ failures


@pytest.mark.parametrize(
    "output, text",
    [
        ("NewConnectionError: Failed to establish\nERROR: No matching distribution found for numpy", "the network"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))", "inspects encrypted connections"),
        ("ProxyError('...', OSError('Tunnel connection failed: 407 Proxy'))", "asks for a password"),
        ("ProxyError('Cannot connect to proxy.', NewConnectionError('Connection refused'))", "proxy does not answer"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "space on the disk"),
        ("ERROR: No matching distribution found for numpy==9", "No matching distribution found for numpy==9"),
    ],
)
def test_pips_failures_are_told_in_a_sentence(fresh, output, text):
    (fresh.behaviour / "fails").write_text(output)
    done = fresh.run("demo", "--python", fresh.python)
    assert done.returncode == 9 and text in done.stderr and done.stdout == ""
    assert is_one_sentence_and_an_action(done.stderr)
    (fresh.behaviour / "fails").unlink()
    fresh.set_up()  # the next start repairs it


@pytest.mark.parametrize("command", ["demo", "segment"])
def test_what_needs_torch_ends_without_it(fresh, command):
    (fresh.behaviour / "no_torch").touch()
    done = fresh.run(command, "--python", fresh.python)
    assert done.returncode == 7 and done.stdout == ""
    assert "PyTorch could not be installed" in done.stderr and "Traceback" not in done.stderr


def test_the_tests_go_on_without_torch(fresh):
    (fresh.behaviour / "no_torch").touch()
    done = fresh.run("test", "--python", fresh.python)
    assert done.returncode == 5 and "PyTorch is missing" in done.stderr


def test_an_unwritable_place_is_told(fresh, tmp_path):
    (tmp_path / "file").touch()
    fresh.folder = tmp_path / "file" / "venv"
    done = fresh.run("test", "--python", fresh.python)
    assert done.returncode == 9 and is_one_sentence_and_an_action(done.stderr)


@pytest.mark.parametrize("arguments, code", [([], 2), (["--help"], 0), (["nonsense"], 2)])
def test_the_command_line(fresh, arguments, code):
    done = fresh.run(*arguments)
    assert done.returncode == code
    assert not fresh.folder.exists()
