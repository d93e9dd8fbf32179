"""'Copy report': what a maintainer needs, and nothing that tells whose images they are or where they lie."""

import getpass
import platform
import tempfile

import numpy as np
import phantom
import pytest
import qt
import slicer
from driver import Driver
from RRLMedSAMEngine import __version__
from RRLMedSAMLib.report import anonymous

SHAPE = (20, 24, 28)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder that tells who the user is."""
    folder = tmp_path / "Anna Zwiebelmann"
    folder.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    return folder


@pytest.fixture
def user(scene, openModule, home):
    """A user of a panel whose nodes, patient and study are named after a patient."""
    atlas = phantom.volume(scene, "Quastenflosser^Jürgen", SHAPE)
    mask = phantom.boxes(SHAPE) == 1
    segmentation = phantom.segmentation(scene, "Quastenflosser segments", {"left": mask}, atlas)
    target = phantom.volume(scene, "1961-04-01_XAVERINE", (18, 26, 30), seed=1)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    subject = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Vogelsang, Xaverine")
    hierarchy.CreateItem(hierarchy.CreateStudyItem(subject, "Klinikum Musterhausen"), target)
    user = Driver(openModule())
    user.worker("good")
    user.choose(atlas, segmentation, target)
    return user


def copied(user):
    user.ui.copyReportButton.click()
    return qt.QApplication.clipboard().text()


def test_the_report_has_versions_choices_stages_figures_and_the_log(user):
    user.ui.effortComboBox.setCurrentIndex(0)
    user.click()
    report = copied(user)
    assert f"RRLMedSAM {__version__}, Slicer {slicer.app.applicationVersion}, Python" in report
    assert f"numpy {np.__version__}" in report and "torch" in report
    assert "Effort fast, device auto, model auto" in report
    assert "atlas volume: ScalarVolume, 28 x 24 x 20 voxels of 1 x 1 x 1 mm, short" in report
    assert "atlas segmentation: Segmentation, 1 segments" in report
    assert "Seconds: read 0.1, align 0.2, deform 0.5, transfer 0.1, write 0.1" in report
    assert "Structures: 1, folded voxels 0.00 %" in report
    assert "Warning: This is a warning." in report and "Adding the result to the scene" in report
    assert user.status.startswith("The report is on the clipboard")


def test_an_untouched_panel_has_a_report_too(openModule):
    user = Driver(openModule())
    report = copied(user)
    assert "target volume: none" in report and "Log:\n(empty)" in report
    assert not user.logic.worker.isRunning


def test_a_failed_run_is_told_in_the_workers_own_words(user):
    user.worker("dying")
    user.click()
    report = copied(user)
    assert "the last words" in report and "Result that is shown" not in report


def test_nobodys_name_and_no_place_is_in_the_report(user, home):
    user.click()
    where = home / "Scans of Vogelsang" / "case.rrl"
    user.loaded.widget.logic.getParameterNode().model = str(where)
    code = home / "site-packages" / "torch" / "nn" / "functional.py"
    user.panel.log.line(f'  File "{code}", line 12, in relu')
    user.panel.log.line(f"Cannot read {where}: no such file")
    user.panel.log.line("Cannot read D:\\Patienten\\Vogelsang Xaverine\\scan.nii of XAVERINE, Quastenflosser")
    user.panel.log.line(f"{tempfile.gettempdir()}/rrlmedsam-x on {platform.node()} by {getpass.getuser()}")
    report = copied(user)
    telling = ("Quastenfl", "Jürgen", "XAVER", "1961", "Vogelsang", "Musterhausen", "Zwiebel", "Anna", "Patienten")
    for name in (*telling, str(home), tempfile.gettempdir(), "case.rrl", "site-packages"):
        assert name.lower() not in report.lower(), name
    assert "File functional.py, line 12, in relu" in report.replace('"', "")
    assert "model own package" in report


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5 mm/s, 1/2 and 3.5 %", "5 mm/s, 1/2 and 3.5 %"),
        ("align: 0.97 (step 3/10)", "align: 0.97 (step 3/10)"),
        ("read /data/x/scan.nii", "read <path>"),
        ("read ~/scan.nii now", "read <path> now"),
        ("read C:\\a b\\c d\\scan.nii now", "read <path> now"),
        ("in patients/anna/scan.nii", "in <path>"),
        ("/usr/lib/torch/serialization.py:81: UserWarning: old", "serialization.py:81: UserWarning: old"),
        ("atlas and target", "atlas and target"),
        ("MEIER_t1 and Meierei", "<name>_t1 and Meierei"),
    ],
)
def test_what_is_taken_for_a_path_or_a_name(text, expected):
    assert anonymous(text, ["Meier^Anna", "target"]) == expected
