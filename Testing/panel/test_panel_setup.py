"""'Set-up': what the probe finds, packages that are installed, removed and bundled in processes of their own."""

import dataclasses
import errno
import hashlib
import json
import os
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
from RRLMedSAMEngine.card import CARD, WEIGHTS, Card
from RRLMedSAMLib import bundle, installation, installed, models, setupview, workernumpy
from RRLMedSAMLib.errors import RunError
from RRLMedSAMLib.installation import Installation
from toywheels import toyIndex, wheel

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
    monkeypatch.setattr(installed, "_recordPath", lambda: str(path))
    return path


START = Installation._start
FINDER = "RRLMedSAMLib.torchfinder"


def fakePip(monkeypatch, *programs):
    """The installation's commands are these Python programs, in place of pip's; returns how pip was asked."""
    asked = []

    def start(self, commands, onEnded, *folder):
        asked.extend(commands)
        START(self, [[sys.executable, "-c", program] for program in programs], onEnded, *folder)

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
    assert user.ui.setupStatusLabel.text == "Missing: torch. Click 'Install what is missing'."
    assert user.ui.setupInstallButton.enabled
    assert not user.ui.setupRemoveButton.enabled and not user.isShown("setupCancelButton")


@pytest.mark.parametrize(
    ("facts", "part", "state"),
    [
        (["torch=2.1.0+cu118"], "torch", "2.1.0+cu118 is older than 2.2. 'Install"),
        (["torch=2.10.0+cpu", "graphics_card=RTX", "torch_cuda=none"], "Device", "Fake card: this PyTorch cannot use"),
    ],
)
def test_a_pytorch_that_does_not_fit_is_told_and_mended(user, answers, record, monkeypatch, facts, part, state):
    asked = fakePip(monkeypatch, "print('ok')")
    user.worker("probed", *facts)
    openSection(user)
    assert rows(user)[part].startswith(f"\u2717 {state}") and state in user.ui.setupStatusLabel.text
    user.ui.setupInstallButton.click()
    user.wait(lambda: not user.panel.setup.isBusy)
    assert asked[1][2:] == [FINDER, "install", *(["--upgrade"] if part == "Device" else []), "torch>=2.2"]


@pytest.mark.parametrize(
    "facts", [["torch=2.2.2"], ["torch=2.10.0+cu126", "graphics_card=RTX", "torch_cuda=12.6"], ["torch=2.2.0+cpu"]]
)
def test_a_pytorch_that_fits_is_right(user, record, facts):
    user.worker("probed", *facts)
    openSection(user)
    assert user.ui.setupStatusLabel.text == "Everything is there." and not user.ui.setupInstallButton.enabled


def test_a_pytorch_for_another_numpy_is_told_and_the_worker_gets_one_of_its_own(user, answers, record, monkeypatch):
    folder = Path(installed.workersFolder())
    user.worker("probed", "torch=2.2.2", "numpy=2.0.2", "arrays=missing")
    openSection(user)
    assert rows(user)["NumPy 2.0.2"].startswith("\u2717 does not work with this PyTorch")
    assert user.ui.setupInstallButton.enabled
    program = f"import os; os.mkdir({str(folder)!r})\n" + puts(folder, "numpy")
    asked = fakePip(monkeypatch, program)
    user.ui.setupInstallButton.click()
    user.wait(lambda: not user.panel.setup.isBusy)
    assert asked[2][1:] == ["-m", workernumpy.__name__] and user.logic.worker.packages == str(folder)
    assert rows(user)["Added: numpy, for the worker"] == f"\u2713 3.1, 3.5 MB in {folder}"
    assert installed.listed() == {}  # it is none of Slicer's, which 'pip uninstall numpy' would delete
    monkeypatch.setattr(Installation, "_start", START)
    user.ui.setupRemoveButton.click()
    user.wait(lambda: not user.panel.setup.isBusy)
    assert not folder.exists() and not user.ui.setupRemoveButton.enabled


def test_a_driver_that_is_too_old_is_told_but_no_installation_is_offered(user, record, monkeypatch):
    user.worker("probed", "torch=2.10.0+cu126", "graphics_card=RTX", "torch_cuda=12.6")
    monkeypatch.setattr(user.logic, "probe", withoutMemory(user.logic.probe))
    openSection(user)
    assert "Update the card's driver" in rows(user)["Device"] and "driver" in user.ui.setupStatusLabel.text
    assert not user.ui.setupInstallButton.enabled


def withoutMemory(probe):
    """The probe of a computer where PyTorch finds no graphics card."""

    def probed(onFinished, onFailed):
        return probe(onFinished=lambda task: onFinished(task.facts.pop("device_memory_gb") and task), onFailed=onFailed)

    return probed


def test_a_shipped_model_is_checked_and_a_damaged_one_offers_no_installation(user, record, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "FOLDER", str(tmp_path))
    weights = b"some weights"
    digest = hashlib.sha256(weights).hexdigest()
    card = Card("Brain", "For brains.", {}, "", [], "MR", 1.0, {}, 0, "", {}, [], "", weights_sha256=digest)
    for name, content in (("good", weights), ("changed", b"some weightz")):
        with zipfile.ZipFile(tmp_path / f"{name}.rrl", "w") as package:
            package.writestr(CARD, json.dumps(dataclasses.asdict(card)))
            package.writestr(WEIGHTS, content)
    user.worker("probed", "torch=2.2.2")
    openSection(user)
    assert rows(user)["good"] == "\u2713 model, checksum right"
    assert rows(user)["changed"].startswith("\u2717 The model's weights differ from what its card says")
    assert "get the file again" in user.ui.setupStatusLabel.text and not user.ui.setupInstallButton.enabled


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
    assert "install numpy safetensors scipy SimpleITK" in commands[0]
    assert commands[1].endswith(f"-m {FINDER} install torch>=2.2") and "workernumpy" in commands[2]


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


def test_nothing_else_begins_while_packages_are_installed(user, answers, record, monkeypatch, scene, tmp_path):
    fakePip(monkeypatch, "import time; time.sleep(60)")
    atlas = phantom.volume(scene, "atlas", SHAPE)
    segments = phantom.segmentation(scene, "segments", {"liver": phantom.boxes(SHAPE) == 1}, atlas)
    user.choose(atlas, segments, phantom.volume(scene, "target", SHAPE, seed=1))
    user.panel.worklist.worklist.entries[0].isChecked = True
    chosen = user.logic.getParameterNode()
    chosen.adaptFolder, chosen.adaptOutput = str(tmp_path), str(tmp_path / "mine.rrl")
    user.ui.adaptCollapsibleButton.collapsed = False
    buttons = [getattr(user.ui, name) for name in ("applyButton", "worklistButton", "adaptButton")]
    assert all(button.enabled for button in buttons)
    openSection(user)
    user.ui.setupInstallButton.click()
    assert [(button.enabled, button.toolTip) for button in buttons] == [(False, "Packages are being installed.")] * 3
    user.ui.setupCancelButton.click()
    assert all(button.enabled for button in buttons)


def test_a_failure_is_explained(user, answers, record, monkeypatch):
    fakePip(monkeypatch, "import sys; print('OSError: [Errno 28] No space left on device'); sys.exit(1)", "print('no')")
    openSection(user)
    user.ui.setupInstallButton.click()
    user.wait(lambda: not user.panel.setup.isBusy)
    assert user.ui.setupStatusLabel.text.startswith("There is too little space on the disk")
    assert user.ui.setupInstallButton.enabled and "No space" in user.log


def test_pytorch_has_short_paths_where_windows_takes_no_long_ones():
    assert not installation.refusesLongPaths("x" * 300)  # not here
    assert installation.torch(hasShortPaths=False) == "torch>=2.2"
    assert installation.torch(hasShortPaths=True) == "torch>=2.2,<2.13"


def test_tests_of_the_application_install_nothing(user, answers, record, monkeypatch):
    asked = fakePip(monkeypatch, "")
    monkeypatch.setattr(slicer.app, "_isTesting", True)
    openSection(user)
    user.ui.setupInstallButton.click()
    assert not asked and "Tests change no installation" in user.ui.setupStatusLabel.text
    installation = user.panel.setup.installation
    for act in (installation.remove, lambda _: installation.makeBundle("folder", None), installation.install):
        with pytest.raises(RunError, match="Tests change no installation"):
            act(None)


def _lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


# ---------------------------------------------------------------- what was installed


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on Python's path, where "pip" installs a distribution."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def puts(site, name="tinytorch"):
    """A program that installs what has this name and 3.5 MB into the site."""
    info = str(site / f"{name}-3.1.dist-info")
    return f"""
import os
os.mkdir({info!r})
open(os.path.join({info!r}, 'METADATA'), 'w').write('Name: {name}\\nVersion: 3.1\\n')
open(os.path.join({info!r}, 'RECORD'), 'w').write('{name}/a.so,,3000000\\n{name}/b.so,,500000\\n{name}/c.pyc,,\\n')
"""


def install(user):
    openSection(user)
    user.ui.setupInstallButton.click()
    user.wait(lambda: not user.panel.setup.isBusy)


def test_what_was_installed_is_listed_and_removed_again(user, answers, record, site, monkeypatch):
    fakePip(monkeypatch, puts(site))
    install(user)
    assert list(installed.listed()) == ["tinytorch"] and json.loads(record.read_text()) == ["tinytorch"]
    assert rows(user)["Added: tinytorch"] == f"\u2713 3.1, 3.5 MB in {site}"
    asked = fakePip(monkeypatch, f"import shutil; shutil.rmtree({str(site / 'tinytorch-3.1.dist-info')!r})")
    user.ui.setupRemoveButton.click()
    user.wait(lambda: not user.panel.setup.isBusy)
    assert "tinytorch" in answers[-1] and "4 MB" in answers[-1]
    assert asked[1][3:6] == ["uninstall", "-y", "tinytorch"]
    assert installed.listed() == {} and not user.ui.setupRemoveButton.enabled


def test_what_was_there_before_is_never_listed(record):
    assert "numpy" not in installed.listed()
    record.write_text('["numpy", "gone"]')  # a record of an earlier version of Slicer
    assert list(installed.listed()) == ["numpy"]


def test_pip_keeps_no_copies_of_what_it_downloads(user, answers, record, monkeypatch):
    fakePip(monkeypatch, "import os; print('no cache', os.environ['PIP_NO_CACHE_DIR'])")
    install(user)
    assert "no cache 1" in user.log


def test_a_record_that_cannot_be_written_is_told_and_nothing_hangs(user, answers, record, site, monkeypatch):
    monkeypatch.setattr(installed, "_recordPath", lambda: str(record.parent / "gone" / "record.json"))
    fakePip(monkeypatch, puts(site))
    install(user)
    assert "could not be written down: No such file" in user.ui.setupStatusLabel.text
    assert "tinytorch" in user.ui.setupStatusLabel.text and not user.isShown("setupCancelButton")


def test_a_failed_installation_tells_what_failed_and_what_is_not_recorded(user, answers, record, site, monkeypatch):
    monkeypatch.setattr(installed, "_recordPath", lambda: str(record.parent / "gone" / "record.json"))
    fakePip(monkeypatch, puts(site) + "raise SystemExit('[Errno 28]')")
    install(user)
    text = user.ui.setupStatusLabel.text
    assert text.startswith("There is too little space") and "does not know of tinytorch" in text


def test_an_interrupted_writing_leaves_the_old_record(record, site, monkeypatch):
    record.write_text('["numpy"]')
    before = installed.distributions()
    exec(puts(site))

    def full(_content, file):
        file.write("[")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(json, "dump", full)
    assert "No space left" in installed.record(before).text and record.read_text() == '["numpy"]'


def test_what_an_ended_pip_leaves_behind_does_no_harm(user, answers, record, site, monkeypatch):
    fakePip(monkeypatch, puts(site), f"import os; os.mkdir({str(site / '~half-1.0.dist-info')!r})")
    install(user)
    assert user.ui.setupStatusLabel.text == "Done." and json.loads(record.read_text()) == ["tinytorch"]


def test_a_python_that_is_gone_is_told(user, answers, record, monkeypatch):
    monkeypatch.setattr(Installation, "_start", lambda self, _, onEnded: START(self, [["/not/there"]], onEnded))
    install(user)
    text = "pip cannot be started: No such file or directory. Reinstalling Slicer may help."
    assert user.ui.setupStatusLabel.text == text


# ---------------------------------------------------------------- bundles


@pytest.mark.slow
def test_a_bundle_is_made_by_a_click_and_installed_by_another(user, answers, record, site, tmp_path, monkeypatch):
    toyIndex(tmp_path / "index", monkeypatch)
    (tmp_path / "requirements.txt").write_text("tinyone\n")
    monkeypatch.setattr(installation, "REQUIREMENTS", str(tmp_path / "requirements.txt"))
    folder = tmp_path / "my bundle"
    folder.mkdir()
    monkeypatch.setattr(setupview, "chosenFolder", lambda *_: str(folder))
    openSection(user)
    answers.value = False
    user.ui.bundleMakeButton.click()
    assert "300 MB" in answers[0] and str(folder) in answers[0] and "build for the processor" in answers[0]
    assert list(folder.iterdir()) == [] and user.ui.setupStatusLabel.text == "Cancelled."
    answers.value = True
    user.ui.bundleMakeButton.click()
    user.wait(lambda: not user.panel.setup.isBusy, 60)
    assert user.ui.setupStatusLabel.text == "Done.", user.log
    assert "found by light_the_torch._cli" in user.log and sorted(os.listdir(folder)) == [bundle.INDEX, bundle.WHEELS]
    names = ["tinyone-1.0-py3-none-any.whl", "tinytwo-1.0-py3-none-any.whl", "torch-2.5-py3-none-any.whl"]
    assert sorted(json.loads((folder / bundle.INDEX).read_text())["files"]) == names
    bundle.check(folder)

    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("PIP_TARGET", str(site))  # not into the Python that runs this test
    user.ui.bundleInstallButton.click()
    user.wait(lambda: not user.panel.setup.isBusy, 60)
    assert user.ui.setupStatusLabel.text == "Done.", user.log
    assert set(installed.listed()) >= {"tinyone", "tinytwo"} and (site / "torch.py").exists()


def test_a_damaged_bundle_is_told_and_its_folder_is_no_place_for_another(user, record, tmp_path, monkeypatch):
    (tmp_path / bundle.WHEELS).mkdir()
    wheel(bundle.wheels(tmp_path), "tinyone")
    bundle.seal(tmp_path)
    wheel(bundle.wheels(tmp_path), "tinyone", requires=["tinytwo"])
    openSection(user)
    monkeypatch.setattr(setupview, "chosenFolder", lambda *_: str(tmp_path))
    user.ui.bundleInstallButton.click()
    user.wait(lambda: not user.panel.setup.isBusy)
    assert user.ui.setupStatusLabel.text.startswith("The bundle's file tinyone") and "is damaged" in user.log
    user.ui.bundleMakeButton.click()
    assert "not empty" in user.ui.setupStatusLabel.text


def test_the_section_fits_a_narrow_panel(user, record, tmp_path):
    user.ui.inputsCollapsibleButton.collapsed = True
    openSection(user)
    screenshot(user.window, tmp_path / "setup.png")
    for name in ("bundleMakeButton", "bundleInstallButton", "setupRemoveButton"):
        widget = getattr(user.ui, name)
        assert widget.width > 60 and widget.x + widget.width <= 300
