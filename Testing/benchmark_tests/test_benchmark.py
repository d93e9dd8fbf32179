"""The benchmark command on a data set of phantoms, and its measures on maps whose figures are known."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing")

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "engine"))

from benchmarks import __main__ as benchmark  # noqa: E402
from benchmarks import ablation, guided, measures, report  # noqa: E402
from enginekit import phantom  # noqa: E402
from RRLMedSAMEngine import borders, features, nifti, package, plan  # noqa: E402
from RRLMedSAMEngine.atlas import Atlas  # noqa: E402
from RRLMedSAMEngine.geometry import Geometry  # noqa: E402
from RRLMedSAMEngine.networks.model import Model  # noqa: E402
from RRLMedSAMEngine.networks.sizes import Sizes  # noqa: E402
from RRLMedSAMEngine.training import modelcard  # noqa: E402

pytestmark = pytest.mark.needs_torch

SHAPE = (26, 24, 28)


def test_dice_and_distance_of_maps_that_are_known():
    truth, found = np.zeros((2, 12, 12, 12), np.uint8)
    truth[2:8, 2:8, 2:8] = 1
    found[2:8, 2:8, 4:10] = 1  # two voxels of 1.5 mm further along i
    figures = measures.overlap(truth, found, {"a": [1], "b": [2]}, (1.0, 1.0, 1.5))
    assert figures["dice"] == pytest.approx(2 / 3) and figures["groups"] == {"a": pytest.approx(2 / 3)}
    assert figures["hd95_mm"] == pytest.approx(3.0)


def test_a_group_in_one_map_alone_scores_nothing():
    truth = np.zeros((4, 4, 4), np.uint8)
    truth[1, 1, 1] = 1
    figures = measures.overlap(truth, np.zeros_like(truth), {"a": [1]}, (1.0, 1.0, 1.0))
    assert figures["dice"] == 0 and figures["hd95_mm"] is None


def write_set(folder, shape):
    """An atlas and two bent validation cases."""
    cases = {"atlas": [("one", 0.0)], "validation": [("two", 1.5), ("three", -1.5)]}
    for part, members in cases.items():
        (folder / part).mkdir(parents=True)
        for name, bend in members:
            image, labels, matrix = phantom(shape, bend)
            geometry = Geometry(matrix, shape)
            nifti.write(folder / part / f"{name}_mr.nii.gz", image, geometry, lambda: None)
            nifti.write(folder / part / f"{name}_labels.nii.gz", labels, geometry, lambda: None)
    (folder / "dataset.json").write_text(json.dumps({"groups": {"first": [4], "others": [9, 30]}}))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"), SHAPE)


def test_a_data_set_gives_a_table_plots_and_every_figure(data, tmp_path, capsys):
    arguments = ["--data", str(data), "--output", str(tmp_path), "--effort", "fast", "--device", "cpu"]
    assert benchmark.main(arguments) == 0
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["case"] for row in rows] == ["three", "two"]
    assert all(row["dice"] > 0.85 and row["warped_dice"] > 0.85 and row["folding_percent"] == 0 for row in rows)
    assert all(0.2 < row["local_correlation"] <= 1 and set(row["groups"]) == {"first", "others"} for row in rows)
    assert (tmp_path / "table.md").read_text() in capsys.readouterr().out
    assert (tmp_path / "dice.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_has_one_line_a_method():
    row = {"case": "a", "dice": 0.5, "groups": {}, "seconds": 2.0}
    lines = report.table(
        [{**row, "method": "instant"}, {**row, "method": "mine"}, {**row, "method": "mine"}]
    ).splitlines()
    assert len(lines) == 4 and lines[3].startswith("| mine | 2 | 0.500 |")


@pytest.fixture
def tiny(tmp_path):
    """A package of small networks that have learnt nothing."""
    torch.manual_seed(0)
    model = Model(Sizes(channels=(8, 12, 16, 16), token=16, embedding=8, heads=2, teacher=8))
    path = tmp_path / "tiny.rrl"
    package.write(path, model.state_dict(), modelcard.make("tiny", model, "", {"prompts": 2}, 0, sources=[], terms=""))
    return path


def test_the_registration_alone_is_measured_without_and_with_a_guide(tiny, tmp_path, monkeypatch):
    data = write_set(tmp_path / "set", (38, 36, 40))  # fewer voxels are registered on one level, without a guide
    monkeypatch.setattr(plan, "EFFORTS", dict(plan.EFFORTS))
    options = ["--data", str(data), "--model", str(tiny), "--output", str(tmp_path), "--effort", "fast"]
    monkeypatch.setattr(sys, "argv", ["guided", *options, "--steps", "2", "--steps", "4"])
    guided.main()
    rows = json.loads((tmp_path / "guided.json").read_text())["rows"]
    names = [guided.ALONE, guided.guided_by(2), guided.hurried(2), guided.guided_by(4), guided.hurried(4)]
    assert [row["registration"] for row in rows] == 2 * names
    assert all(row["dice"] > 0.5 and row["seconds"] > 0 for row in rows)
    assert len({row["dice"] for row in rows[:5]}) == 5
    assert len((tmp_path / "guided.md").read_text().splitlines()) == 2 + len(names)


def test_the_ablation_tells_the_structure_that_gains_least():
    def row(case, voters, **dice):
        return {"case": case, "voters": voters, "before": dice, "after": {n: d + 0.1 for n, d in dice.items()}}

    rows = [
        row("one", "m, coarse mask, 1.0", left=0.5, right=0.6),
        row("two", "m, coarse mask, 1.0", left=0.7),  # nothing is on the right
        row("one", "m, refined mask, 1.0", left=0.55, right=0.59),
        row("two", "m, refined mask, 1.0", left=0.75),
    ]
    told = ablation.gains(rows).splitlines()[-1]
    assert told == "| m, refined mask, 1.0 | +0.0200 | -0.0100 (right) | +0.0200 | -0.0100 (right) |"


@pytest.mark.parametrize("effort, own", [("fast", False), ("balanced", False), ("balanced", True)])
def test_the_ablation_takes_the_voters_apart_without_changing_them(data, tiny, tmp_path, monkeypatch, effort, own):
    monkeypatch.setattr(Atlas, "owns", lambda *_: own)
    monkeypatch.setattr(features, "FEWEST", 1)
    options = ["--data", str(data), "--effort", effort]
    monkeypatch.setattr(sys, "argv", ["ablation", *options, "--output", str(tmp_path), "--model", str(tiny)])
    ablation.main()
    rows = json.loads((tmp_path / "ablation.json").read_text())["rows"]
    voters = [row["voters"] for row in rows if row["case"] == "two"]
    assert voters[:2] == [ablation.REGISTERED, ablation.ALONE] and len(voters) == 2 + own + 2 * len(ablation.SHARES)
    methods = ["--device", "cpu", "--method", "instant", "--method", str(tiny)]
    assert benchmark.main([*options, *methods, "--output", str(tmp_path)]) == 0
    for row in json.loads((tmp_path / "results.json").read_text())["rows"]:
        name = {"instant": ablation.ALONE, "tiny": f"tiny, refined mask, {borders.MODEL_SHARE}"}[row["method"]]
        (taken_apart,) = (r["after"] for r in rows if r["voters"] == name and r["case"] == row["case"])
        assert taken_apart == pytest.approx(row["groups"])
