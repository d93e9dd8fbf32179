"""'Set-up': what the probe finds, packages that are installed, removed and bundled in processes of their own."""

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import phantom
import pytest
import slicer
import slicer.util
from driver import Driver
from host.events import Heartbeat, pump, screenshot
from RRLMedSAMLib import bundle, installation, setupview
from RRLMedSAMLib.installation import Installation, installed
from RRLMedSAMLib.pipfailures import explained

SHAPE = (20, 24, 28)


@pytest.fixture
def user(openModule, monkeypatch):
    monkeypatch.setattr(slicer.app, "_isTesting", False)
    user = Driver(openModule())
    user.worker("probed")
    return user


@pytest.fixture
def answers(monkeypatch):
    """The questions asked; ``answers.value`` is the answer to all."""

    class Answers(list):
        value = True

    asked = Answers()
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text, *_: asked.append(text) or asked.value)
    return asked


@pytest.fixture
def record(tmp_path, monkeypatch):
    """The file with what was installed."""
    path = tmp_path / "record.json"
    monkeypatch.setattr(installation, "_recordPath", lambda: str(path))
    return path


START = Installation._start


def fakePip(monkeypatch, *programs):
    """The installation's commands are these Python programs, in place of pip's; returns how pip was asked."""
    asked = []

    def start(self, commands, onEnded):
        asked.extend(commands)
        START(self, [[sys.executable, "-c", program] for program in programs], onEnded)

    monkeypatch.setattr(Installation, "_start", start)
    return asked


def rows(user):
    table = user.ui.setupTable
    return {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount)}


def openSection(user):
    user.ui.setupCollapsibleButton.collapsed = False
    user.wait(lambda: not user.logic.isBusy)


# ---------------------------------------------------------------- what is there


def test_nothing_is_asked_before_the_section_is_opened(user):
    assert not user.logic.worker.isRunning and rows(user) == {}


def test_it_tells_what_is_there_and_what_is_missing(user, record):
    openSection(user)
    found = rows(user)
    assert found["torch"] == "\u2717 missing" and found["numpy"] == "\u2713 2.0"
    assert found["Device"] == "\u2713 Fake card" and found["GPU memory"] == "\u2713 7.5 GB free"
    assert user.ui.setupStatusLabel.text == "Missing: torch." and user.ui.setupInstallButton.enabled
    assert not user.ui.setupRemoveButton.enabled and not user.isShown("setupCancelButton")


def test_a_worker_that_cannot_start_is_told(user):
    user.worker("mute")
    openSection(user)
    assert "could not be started" in user.ui.setupStatusLabel.text and user.ui.setupCheckButton.enabled


# ---------------------------------------------------------------- installing


def test_installing_asks_first_and_does_nothing_after_a_no(user, answers, record, monkeypatch):
    asked = fakePip(monkeypatch, "")
    openSection(user)
    answers.value = False
    user.ui.setupInstallButton.click()
    assert "200 MB" in answers[0] and "3 GB" in answers[0] and not asked
    assert user.ui.setupStatusLabel.text.startswith("Cancelled")


def test_it_installs_without_blocking_and_looks_again(user, answers, record, monkeypatch):
    asked = fakePip(monkeypatch, "import time; print('Collecting torch', flush=True); time.sleep(0.6)", "print('two')")
    openSection(user)
    with Heartbeat() as heart:
        user.ui.setupInstallButton.click()
        user.wait(lambda: "Collecting torch" in user.log)
        assert user.isShown("setupCancelButton") and not user.ui.setupInstallButton.enabled
        user.wait(lambda: not user.panel.setup.isBusy)
    assert heart.longestGap < 0.5  # on a busy machine; 0.1 alone
    assert user.ui.setupStatusLabel.text == "Done." and "two" in user.log
    commands = [" ".join(command) for command in asked]
    assert "-r" in commands[0] and "requirements.txt" in commands[0]
    assert "light-the-torch" in commands[1] and "light_the_torch install torch>=2.2" in commands[2]


def test_a_run_without_torch_goes_on_after_the_installation(user, answers, record, monkeypatch, scene):
    fakePip(monkeypatch, "print('ok')")
    atlas = phantom.volume(scene, "atlas", SHAPE)
    segments = phantom.segmentation(scene, "segments", {"liver": phantom.boxes(SHAPE) == 1}, atlas)
    user.choose(atlas, segments, phantom.volume(scene, "target", SHAPE, seed=1))
    user.worker("notorch")
    monkeypatch.setattr(user.logic, "restartWorker", lambda: user.worker("good"))
    user.ui.applyButton.click()
    user.wait(lambda: user.status.startswith("Finished"))
    assert len(answers) == 1 and not user.ui.setupCollapsibleButton.collapsed


def test_a_cancelled_installation_ends_its_processes(user, answers, record, monkeypatch):
    child = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    fakePip(monkeypatch, f"{child}; print(p.pid, flush=True); time.sleep(60)")
    openSection(user)
    user.ui.setupInstallButton.click()
    user.wait(lambda: user.log.strip().splitlines()[-1:] and user.log.strip().splitlines()[-1].isdigit())
    pid = int(user.log.strip().splitlines()[-1])
    started = time.monotonic()
    user.ui.setupCancelButton.click()
    assert time.monotonic() - started < 2 and not user.panel.setup.isBusy
    assert user.ui.setupStatusLabel.text == "Cancelled."
    pump(lambda: not _lives(pid), 5)


def test_a_failure_is_explained(user, answers, record, monkeypatch):
    fakePip(monkeypatch, "import sys; print('OSError: [Errno 28] No space left on device'); sys.exit(1)", "print('no')")
    openSection(user)
    user.ui.setupInstallButton.click()
    user.wait(lambda: not user.panel.setup.isBusy)
    assert user.ui.setupStatusLabel.text.startswith("There is too little space on the disk")
    assert user.ui.setupInstallButton.enabled and "No space" in user.log


def test_tests_of_the_application_install_nothing(user, answers, record, monkeypatch):
    asked = fakePip(monkeypatch, "")
    monkeypatch.setattr(slicer.app, "_isTesting", True)
    openSection(user)
    user.ui.setupInstallButton.click()
    assert not asked and "tests change no installation" in user.ui.setupStatusLabel.text


def _lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


# ---------------------------------------------------------------- what was installed


def wheel(folder, name, version="1.0", requires=()):
    """A package with one empty module, as a wheel."""
    path = Path(folder) / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {each}\n" for each in requires)
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{each},,\n" for each in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(each, text)
    return path


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on Python's path, where "pip" installs a distribution."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_what_was_installed_is_listed_and_removed_again(user, answers, record, site, monkeypatch):
    made = site / "tinytorch-3.1.dist-info"
    code = f"import os; os.mkdir({str(made)!r}); open(os.path.join({str(made)!r}, 'METADATA'), 'w')"
    fakePip(monkeypatch, code + ".write('Name: tinytorch\\nVersion: 3.1\\n')")
    openSection(user)
    user.ui.setupInstallButton.click()
    user.wait(lambda: not user.panel.setup.isBusy)
    assert installed() == {"tinytorch": "3.1"} and json.loads(record.read_text()) == ["tinytorch"]
    assert rows(user)["Added: tinytorch"] == "\u2713 3.1"
    asked = fakePip(monkeypatch, f"import shutil; shutil.rmtree({str(made)!r})")
    user.ui.setupRemoveButton.click()
    user.wait(lambda: not user.panel.setup.isBusy)
    assert "tinytorch" in answers[-1] and asked[0][3:6] == ["uninstall", "-y", "tinytorch"]
    assert installed() == {} and not user.ui.setupRemoveButton.enabled


def test_what_was_there_before_is_never_listed(record):
    assert "numpy" not in installed()
    record.write_text('["numpy", "gone"]')  # a record of an earlier version of Slicer
    assert list(installed()) == ["numpy"]


# ---------------------------------------------------------------- bundles


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
def test_a_bundle_is_made_from_a_folder_of_packages(tmp_path):
    source, folder = tmp_path / "source", tmp_path / "bundle"
    source.mkdir()
    wheel(source, "tinyone", requires=["tinytwo"])
    wheel(source, "tinytwo")
    environment = {**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(source)}
    command = [sys.executable, bundle.__file__, "download", folder, "tinyone"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads((folder / bundle.INDEX).read_text())
    assert sorted(content["files"]) == ["tinyone-1.0-py3-none-any.whl", "tinytwo-1.0-py3-none-any.whl"]
    bundle.check(folder)


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


def test_the_panel_installs_from_a_bundle_and_tells_what_is_wrong(user, answers, record, madeBundle, monkeypatch):
    openSection(user)
    monkeypatch.setattr(setupview, "chosenFolder", lambda *_: str(madeBundle))
    _damage(madeBundle)
    user.ui.bundleInstallButton.click()
    user.wait(lambda: not user.panel.setup.isBusy)
    assert user.ui.setupStatusLabel.text.startswith("The bundle's file tinyone") and "is damaged" in user.log
    user.ui.bundleMakeButton.click()
    assert "not empty" in user.ui.setupStatusLabel.text


# ---------------------------------------------------------------- pip's failures


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("urllib3.exceptions.SSLError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "inspects encrypted"),
        ("ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407 Proxy Auth'))", "asks for a password"),
        ("ProxyError('Cannot connect to proxy.', NewConnectionError('Connection refused'))", "proxy does not answer"),
        ("NewConnectionError('<...>: Failed to establish a new connection: [Errno 111] Connection refused')", "does not answer"),
        ("ERROR: No matching distribution found for torch>=2.2", "no build"),
        ("ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: 'x'", "cannot be written"),
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
        command = installation.pip("download", "nosuchpackage", "--retries", "1", "--timeout", "2", "--dest", os.devnull)
        environment = {**os.environ, "PIP_CONFIG_FILE": os.devnull, "NO_PROXY": "", **variables}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    alone = {"PIP_INDEX_URL": "https://127.0.0.1:9/simple", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    done = output(**alone)
    assert done.returncode and "does not answer" in explained(done.stdout + done.stderr).text
    done = output(**alone, HTTPS_PROXY="http://127.0.0.1:9")
    assert done.returncode and "proxy" in explained(done.stdout + done.stderr).text


def test_the_section_fits_a_narrow_panel(user, record, tmp_path):
    user.ui.inputsCollapsibleButton.collapsed = True
    openSection(user)
    screenshot(user.window, tmp_path / "setup.png")
    for name in ("bundleMakeButton", "bundleInstallButton", "setupRemoveButton"):
        widget = getattr(user.ui, name)
        assert widget.width > 60 and widget.x + widget.width <= 300
