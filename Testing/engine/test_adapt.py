"""Adapting to an atlas: from files to a package that the pipeline uses; stopped, resumed, and with bad input."""

import dataclasses
import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing")

from enginekit import environment, phantom  # noqa: E402
from RRLMedSAMEngine import adaptation, adaptcli, files, image, models, pipeline  # noqa: E402
from RRLMedSAMEngine.card import read_card  # noqa: E402
from RRLMedSAMEngine.errors import Cancelled, EngineError  # noqa: E402
from RRLMedSAMEngine.geometry import Geometry  # noqa: E402
from RRLMedSAMEngine.image import Volume  # noqa: E402
from RRLMedSAMEngine.networks.sizes import Sizes  # noqa: E402
from RRLMedSAMEngine.training import adapt, cases, prepare, preview, record  # noqa: E402
from RRLMedSAMEngine.training.settings import Settings, TrainerSettings  # noqa: E402
from safetensors import SafetensorError  # noqa: E402

pytestmark = pytest.mark.needs_torch

SMALL = Sizes(channels=(8, 12, 16, 16), token=16, embedding=8, heads=2, teacher=8)
SHAPE = (26, 24, 28)


def volumes(bend_mm=0.0):
    array, labels, matrix = phantom(SHAPE, bend_mm)
    geometry = Geometry(matrix, SHAPE)
    return Volume(array, geometry), Volume(labels, geometry)


ATLAS, LABELS = volumes()


def write(volume, path):
    image.write_image(image.to_sitk(volume), path)
    return path


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A folder with two good scans and a damaged one between them."""
    folder = tmp_path_factory.mktemp("scans")
    write(volumes(2.0)[0], folder / "a.nrrd")
    (folder / "b.nrrd").write_bytes(b"NRRD0004\nthis is none")
    write(volumes(-2.0)[0], folder / "c.nrrd")
    return folder


class Run:
    """An adaptation that keeps what it said; ``until``: called with each progress, True to stop."""

    def __init__(self, output, scans, until=lambda progress: False, seconds=15.0, **settings):
        self.progress, self.warnings, self.stop = [], [], False
        self.until = until
        self.output = output
        self.examples = []
        self.readers = [functools.partial(image.read_volume, path) for path in scans]
        self.settings = Settings(minutes=seconds / 60, device="cpu", sizes=SMALL, **settings)

    def __call__(self, resume=False):
        return adapt.adapt(
            ATLAS, LABELS, self.readers, self.output, self.settings, examples=self.examples, names={4: "Left"},
            resume=resume,
            report=self.report, warn=self.warnings.append, cancelled=lambda: self.stop,
        )  # fmt: skip

    def report(self, progress):
        self.progress.append(progress)
        self.stop = self.stop or self.until(progress)


@pytest.fixture(scope="module")
def adapted(tmp_path_factory, scans):
    run = Run(tmp_path_factory.mktemp("models") / "mine.rrl", sorted(scans.iterdir()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapt, "PREPARING", 100.0)  # so short a time would not do for all scans
        return run, run()


def test_a_package_is_written_and_nothing_else(adapted):
    run, card = adapted
    assert [path.name for path in run.output.parent.iterdir()] == ["mine.rrl"]
    assert read_card(run.output) == card


def test_the_card_counts_but_names_no_scan(adapted):
    _run, card = adapted
    assert card.training["scans"] == 2 and card.training["scans_skipped"] == 1
    assert card.training["steps"] > 0
    assert card.structures == [{"label": 4, "name": "Left"}, {"label": 9, "name": ""}, {"label": 30, "name": ""}]
    assert "nrrd" not in str(card)


def test_a_damaged_scan_is_skipped_with_a_warning(adapted):
    run, _card = adapted
    assert len(run.warnings) == 1 and run.warnings[0].startswith("Scan 2 was left out.")


def test_progress_runs_from_preparing_to_the_end_with_losses(adapted):
    run, _card = adapted
    assert [p.stage for p in run.progress][0] == "prepare" and run.progress[-1].stage == "write"
    fractions = [p.fraction for p in run.progress if p.stage == "train"]
    assert fractions == sorted(fractions)
    assert {"coarse", "refined", "registration"} <= set(run.progress[-2].losses)


def test_the_first_step_shows_a_preview(adapted):
    run, _card = adapted
    picture = next(p.preview for p in run.progress if p.stage == "train")
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    halves = picture[:, : picture.shape[1] // 2], picture[:, -(picture.shape[1] // 2) :]
    assert all((half == preview.COLOUR).all(axis=2).sum() > 20 for half in halves)


def test_the_pipeline_uses_the_package(adapted):
    run, _card = adapted
    target, truth = volumes(1.0)
    result = pipeline.segment(
        ATLAS, [LABELS], target, pipeline.Settings("fast", "cpu", str(run.output)),
        progress=lambda *_: None, warn=pytest.fail, cancelled=lambda: False,
    )  # fmt: skip
    assert result.report["model"] == "mine" and "network" in result.report["seconds"]
    labels = result.labels[0].array
    both = ((labels > 0) & (truth.array > 0)).sum()
    assert 2 * both / ((labels > 0).sum() + (truth.array > 0).sum()) > 0.9


def test_a_stopped_adaptation_goes_on_where_it_was(tmp_path, scans):
    output = tmp_path / "mine.rrl"
    seconds = 25.0  # a busy machine has taken all of 15 for three steps
    first = Run(output, sorted(scans.iterdir()), lambda p: p.stage == "train" and "step 3" in p.text, seconds)
    with pytest.raises(Cancelled):
        first()
    assert not output.exists()
    second = Run(output, sorted(scans.iterdir()), seconds=seconds)
    with pytest.raises(EngineError, match="unfinished"):
        second()
    card = second(resume=True)
    assert card.training["steps"] > 3
    trained = [p.text for p in second.progress if p.stage == "train"]
    assert trained[0].startswith("step 4,")


def paused(output, scans, **settings):
    """An adaptation that was paused once all scans were prepared."""
    with pytest.raises(Cancelled):
        Run(output, scans, until=lambda p: p.stage == "train", **settings)()


def unreadable():
    raise AssertionError("all scans were prepared before")


def test_a_resumed_adaptation_keeps_its_scans_and_its_settings(tmp_path, scans):
    output = tmp_path / "mine.rrl"
    paused(output, [scans / "a.nrrd"], seconds=4, seed=7)
    again = Run(output, [], seconds=1, trainer=TrainerSettings(mutual=False))
    again.readers = [unreadable]
    card = again(resume=True)
    assert (card.seed, card.training["mutual"], card.training["scans"]) == (7, True, 1)
    assert card.training["minutes_given"] == pytest.approx(4 / 60)


def test_an_example_that_comes_after_the_beginning_is_not_dropped_without_a_word(tmp_path, scans):
    output = tmp_path / "mine.rrl"
    paused(output, [scans / "a.nrrd"], seconds=4)
    again = Run(output, [scans / "a.nrrd"])
    again.examples = [unreadable]
    assert again(resume=True).training["examples"] == 0
    assert any("New labelled examples" in text for text in again.warnings)


def test_an_unfinished_adaptation_is_of_one_atlas(tmp_path, scans):
    paused(tmp_path / "mine.rrl", [scans / "a.nrrd"])
    job = functools.partial(adapt._Job, ATLAS, work=tmp_path / "mine.rrl.unfinished", settings=Settings(device="cpu"))
    fewer = Volume(np.where(LABELS.array == 9, 0, LABELS.array), LABELS.geometry)
    with pytest.raises(EngineError, match="another atlas"):
        job(labels=fewer, report=print, warn=print, cancelled=lambda: False)
    same = job(labels=LABELS, report=print, warn=print, cancelled=lambda: False)
    same.prepare([unreadable], [])
    assert len(same.cases) == 1


def test_a_damaged_record_is_said(tmp_path, scans):
    paused(tmp_path / "mine.rrl", [scans / "a.nrrd"])
    (tmp_path / "mine.rrl.unfinished" / record.NAME).write_text("{}")
    with pytest.raises(EngineError, match="damaged"):
        Run(tmp_path / "mine.rrl", [scans / "a.nrrd"])(resume=True)


def test_a_case_that_was_cut_off_is_made_again(tmp_path, scans):
    paused(tmp_path / "mine.rrl", [scans / "a.nrrd"], seconds=4)
    (case,) = (tmp_path / "mine.rrl.unfinished").glob("*" + cases.ENDING)
    whole = case.read_bytes()
    case.write_bytes(whole[: len(whole) // 2])
    assert Run(tmp_path / "mine.rrl", [scans / "a.nrrd"])(resume=True).training["scans"] == 1


@pytest.mark.parametrize("settings", [{"base": "nowhere.rrl"}, {"base": "instant"}, {"teacher": "nowhere.pth"}])
def test_what_is_missing_is_said_before_anything_takes_time(tmp_path, settings):
    run = Run(tmp_path / "mine.rrl", [], **settings)
    run.readers = [unreadable]
    with pytest.raises(EngineError) as caught:
        run()
    assert caught.value.code == "bad_model" and not run.progress and not os.listdir(tmp_path)


def test_a_folder_that_does_not_exist_is_said(tmp_path, scans):
    with pytest.raises(EngineError, match="could not be written"):
        Run(tmp_path / "none" / "mine.rrl", [scans / "a.nrrd"])()


def test_one_scan_is_enough(tmp_path, scans):
    assert Run(tmp_path / "one.rrl", [scans / "a.nrrd"], seconds=3)().training["scans"] == 1


def test_an_adaptation_begins_with_another_model_but_for_what_is_switched_off(adapted, tmp_path):
    package = adapted[0].output
    settings = Settings(device="cpu", base=str(package), sizes=dataclasses.replace(SMALL, prompted=False))
    job = adapt._Job(ATLAS, LABELS, tmp_path / "work", settings, print, print, lambda: False)
    begun, expected = job._new_model(), adapt.models.read(package)[0]
    assert begun.sizes == dataclasses.replace(expected.sizes, prompted=False) and not begun.refined.prompted
    expected = expected.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in begun.state_dict().items())


def test_the_card_names_the_model_begun_with_and_not_its_folder(adapted, tmp_path, scans):
    base = str(adapted[0].output)
    card = Run(tmp_path / "next.rrl", [scans / "a.nrrd"], seconds=3, base=base)()
    assert card.training["base"] == "mine" and os.path.dirname(base) not in str(card)


def test_the_card_holds_the_sources_and_terms_of_the_model_begun_with(tmp_path, scans):
    base = models.read(models.find("brain-t1"))[1]
    card = Run(tmp_path / "mine.rrl", [scans / "a.nrrd"], seconds=1, base="brain-t1")()
    assert set(base.sources) < set(card.sources) and base.terms in card.terms


def test_the_encoders_of_the_model_begun_with_stay_where_decoders_learn_alone(adapted, tmp_path, scans):
    base, output = adapted[0].output, tmp_path / "next.rrl"
    alone = TrainerSettings(decoders_alone=True)
    card = Run(output, [scans / "a.nrrd"], seconds=3, base=str(base), trainer=alone)()
    assert card.training["decoders_alone"] is True
    before, after = (models.read(path)[0].state_dict() for path in (base, output))
    changed = {name.split(".")[0] for name, weight in after.items() if not torch.equal(weight, before[name])}
    assert changed == {"coarse", "refined"}


@pytest.mark.parametrize(
    "settings",
    [{}, {"base": "general", "teacher": "litemedsam"}, {"base": "general", "optimised": False}],
    ids=["from nothing", "with a teacher", "without instance optimisation"],
)
def test_decoders_do_not_learn_alone_where_the_others_must_learn(tmp_path, scans, settings):
    trainer = TrainerSettings(decoders_alone=True, optimised=settings.pop("optimised", True))
    with pytest.raises(EngineError, match="trained model only"):
        Run(tmp_path / "mine.rrl", [scans / "a.nrrd"], trainer=trainer, **settings)()
    assert not any(tmp_path.iterdir())


def test_pseudo_labels_may_be_the_registration_network_s(tmp_path, scans):
    run = Run(tmp_path / "one.rrl", [scans / "a.nrrd"], seconds=4, trainer=TrainerSettings(optimised=False))
    assert run().training["optimised"] is False
    assert {"coarse", "refined", "registration"} <= set(run.progress[-2].losses)


def test_the_same_scan_twice_is_one_scan(tmp_path, scans):
    card = Run(tmp_path / "one.rrl", [scans / "a.nrrd", scans / "a.nrrd"], seconds=3)()
    assert card.training["scans"] == 1


def test_a_scan_that_nobody_foresaw_is_left_out_by_name(tmp_path, scans):
    run = Run(tmp_path / "mine.rrl", [scans / "a.nrrd"], seconds=3)
    run.readers.append(lambda: int("nan"))
    card = adapt.adapt(
        ATLAS, LABELS, run.readers[::-1], run.output, run.settings, scan_names=["odd", "good"],
        report=run.report, warn=run.warnings.append, cancelled=lambda: False,
    )  # fmt: skip
    assert card.training["scans"] == card.training["scans_skipped"] == 1
    assert run.warnings[0].startswith("odd was left out.")


@pytest.mark.parametrize("names", [[], ["b.nrrd"]])
def test_without_a_usable_scan_nothing_is_written(tmp_path, scans, names):
    run = Run(tmp_path / "none.rrl", [scans / name for name in names])
    with pytest.raises(EngineError) as caught:
        run()
    assert caught.value.code == "bad_input"
    assert not (tmp_path / "none.rrl").exists()


def test_a_scan_of_something_else_is_left_out(tmp_path, scans, monkeypatch):
    monkeypatch.setattr(adapt, "PREPARING", 100.0)
    noise = Volume(np.random.default_rng(0).normal(0, 1, SHAPE).astype(np.float32), ATLAS.geometry)
    run = Run(tmp_path / "mine.rrl", [scans / "a.nrrd", write(noise, tmp_path / "noise.nrrd")], seconds=8)
    assert run().training["scans"] == 1
    assert "hardly look like the atlas" in run.warnings[0]


def test_an_existing_package_is_kept(adapted, scans):
    run, _card = adapted
    before = run.output.read_bytes()
    with pytest.raises(EngineError, match="exists"):
        Run(run.output, [scans / "a.nrrd"])()
    assert run.output.read_bytes() == before


def test_a_full_disk_during_a_checkpoint_is_said_and_loses_nothing(tmp_path, scans, monkeypatch):
    monkeypatch.setattr(adapt, "CHECKPOINT_SECONDS", 0.0)
    saved, full = torch.save, OSError(28, "No space left on device")

    def failing(state, path):
        if state["trainer"]["steps"] > 2:
            raise full
        saved(state, path)

    monkeypatch.setattr(torch, "save", failing)
    with pytest.raises(EngineError) as caught:
        Run(tmp_path / "mine.rrl", [scans / "a.nrrd"])()
    assert caught.value.code == "disk_full"
    monkeypatch.setattr(torch, "save", saved)
    second = Run(tmp_path / "mine.rrl", [scans / "a.nrrd"], seconds=3)
    assert second(resume=True).training["steps"] > 2


def test_a_full_disk_while_preparing_is_no_bad_scan(tmp_path, scans, monkeypatch):
    """safetensors names no reason: the disk has no room while the part of a file is there."""

    def failing(tensors, path, metadata):
        Path(path).write_bytes(b"part of it")
        raise SafetensorError("I/O error")

    free = {True: 0, False: 1 << 40}
    monkeypatch.setattr(cases, "save_file", failing)
    monkeypatch.setattr(
        files.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free[any(Path(folder).glob(".*.part"))])
    )
    run = Run(tmp_path / "mine.rrl", [scans / "a.nrrd"])
    with pytest.raises(EngineError) as caught:
        run()
    assert caught.value.code == "disk_full" and not run.warnings


def test_a_damaged_checkpoint_is_said(tmp_path, scans):
    output = tmp_path / "mine.rrl"
    with pytest.raises(Cancelled):
        Run(output, [scans / "a.nrrd"], until=lambda p: "step 1" in p.text)()
    (tmp_path / "mine.rrl.unfinished" / "checkpoint.pt").write_bytes(b"damaged")
    with pytest.raises(EngineError, match="damaged"):
        Run(output, [scans / "a.nrrd"])(resume=True)


def test_too_little_memory_makes_the_parts_smaller_and_says_so(tmp_path, scans, monkeypatch):
    tried, real = [], adapt.Trainer.step

    def step(trainer, share):
        tried.append(trainer.source.patch)
        if len(tried) == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return real(trainer, share)

    monkeypatch.setattr(adapt.Trainer, "step", step)
    monkeypatch.setattr(adapt, "SMALLEST_PATCH", 8)
    run = Run(tmp_path / "mine.rrl", [scans / "a.nrrd"], seconds=3)
    run()
    assert max(tried[1]) < max(tried[0]) and "memory did not suffice" in run.warnings[0]


def test_a_laptop_s_sleep_hardly_counts_as_training(tmp_path, scans, monkeypatch):
    """A lid that is closed for a night while a scan is prepared, and again in the first step."""
    slept, night, step = [0.0], 8 * 3600, adapt.Trainer.step

    def asleep(act):
        def sleepy(*arguments):
            slept[0] += night
            return act(*arguments)

        return sleepy

    monkeypatch.setattr(adapt, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + slept[0]))
    monkeypatch.setattr(adapt.Trainer, "step", asleep(step))
    run = Run(tmp_path / "mine.rrl", [scans / "a.nrrd"], until=lambda p: p.stage == "train", seconds=3600)
    run.readers = [asleep(reader) for reader in run.readers]
    with pytest.raises(Cancelled):
        run()
    left = 3600 - 2 * adapt.LONGEST
    assert slept[0] == 2 * night and left - 300 < run.progress[-1].seconds_left <= left


def test_a_scan_that_takes_long_counts_whole(tmp_path):
    """The clock is looked at while a scan is prepared, too."""
    now = [0.0]
    settings = Settings(device="cpu", sizes=SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapt, "time", SimpleNamespace(monotonic=lambda: now[0]))
        job = adapt._Job(ATLAS, LABELS, tmp_path / "work", settings, print, print, lambda: False)

        def make(maker, scan, check):
            for _ in range(20):
                now[0] += adapt.LONGEST / 2
                check()
            return Path("case")

        patch.setattr(prepare.Preparation, "make", make)
        patch.setattr(cases, "mean_trust", lambda path: 1.0)
        job.prepare([lambda: ATLAS], [])
        assert job.tick() == 10 * adapt.LONGEST


def command(tmp_path, scans, *extra):
    return [
        sys.executable, "-m", "RRLMedSAMEngine.adaptcli", "--atlas", write(ATLAS, tmp_path / "atlas.nrrd"),
        "--atlas-labels", write(LABELS, tmp_path / "labels.nrrd"), "--unlabeled", scans,
        "--output", tmp_path / "mine.rrl", "--device", "cpu", *extra,
    ]  # fmt: skip


@pytest.mark.slow
def test_the_command_line_stops_on_a_signal_and_resumes(tmp_path, scans):
    process = subprocess.Popen(
        command(tmp_path, scans, "--minutes", "5"), env=environment(), stderr=subprocess.PIPE, encoding="utf-8"
    )
    for line in process.stderr:
        if "preview" in line:
            break
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Traceback" not in said
    assert (tmp_path / "mine.rrl.unfinished").is_dir()
    if os.name == "posix":
        assert (tmp_path / "mine.rrl.unfinished").stat().st_mode & 0o077 == 0
    assert list((tmp_path / "mine.rrl.unfinished").glob("*" + cases.ENDING))
    shown = image.sitk.ReadImage(tmp_path / "mine.rrl.unfinished" / "preview.png")
    assert shown.GetNumberOfComponentsPerPixel() == 3


@pytest.mark.parametrize(
    "arguments, text", [(["--minutes", "0"], "--minutes"), (["--output", "model.zip"], ".rrl"), ([], "required")]
)
def test_a_wrong_command_line_is_said(capsys, arguments, text):
    required = ["--atlas", "a", "--atlas-labels", "l", "--unlabeled", "d", "--output", "o.rrl"] if arguments else []
    with pytest.raises(SystemExit) as caught:
        adaptcli.parse(required + arguments)
    assert caught.value.code == 2
    assert text in capsys.readouterr().err


def test_labels_that_cannot_be_read_are_said(tmp_path, scans):
    options = adaptcli.parse([str(argument) for argument in command(tmp_path, scans)[3:]])
    (tmp_path / "labels.nrrd").write_text("no image")
    with pytest.raises(EngineError, match="The atlas labels: ") as caught:
        adaptcli.run(options, adaptcli.Lines(), lambda: False)
    assert caught.value.code == "bad_input"


def test_a_preview_that_cannot_be_written_ends_no_training(tmp_path, scans, monkeypatch, capsys):
    def report_one(*_arguments, report, **_others):
        report(adapt.Progress("train", 0.5, "", preview=np.zeros((4, 4, 3), np.uint8)))
        return SimpleNamespace(summary="made")

    monkeypatch.setattr(adapt, "adapt", report_one)
    options = adaptcli.parse([str(argument) for argument in command(tmp_path, scans)[3:]])
    adaptcli.run(options, adaptcli.Lines(), lambda: False)  # there is no folder for it
    assert "no preview" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, alone",
    [
        ([], True),
        (["--without", "own-masks"], True),
        (["--train", "all"], False),
        (["--model", "none"], False),
        (["--teacher", "litemedsam"], False),
        (["--without", "mutual-ema"], False),
        (["--without", "instance-optimisation"], False),
    ],
)
def test_what_is_trained_depends_on_what_is_begun_with(tmp_path, scans, monkeypatch, arguments, alone):
    given = []
    monkeypatch.setattr(adapt, "adapt", lambda *all, **_others: given.append(all[4]) or SimpleNamespace(summary="made"))
    options = adaptcli.parse([str(argument) for argument in command(tmp_path, scans, *arguments)[3:]])
    adaptcli.run(options, adaptcli.Lines(), lambda: False)
    assert given[0].trainer.decoders_alone is alone


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(EngineError, match="does not exist"):
        adaptation.scan_files(str(tmp_path / "none"))


def bent_example(values=(4, 9, 30)):
    """A scan of the phantom whose labels are known, bent where the unlabelled scans are not."""
    scan, truth = volumes(4.0)
    return scan, Volume(np.where(np.isin(truth.array, values), truth.array, 0), truth.geometry)


def prepared(tmp_path, example):
    """The case that an example becomes."""
    run = Run(tmp_path / "mine.rrl", [])
    job = adapt._Job(ATLAS, LABELS, tmp_path / "work", run.settings, run.report, run.warnings.append, lambda: False)
    job.prepare([], [lambda: example])
    assert job.cases == job.found.examples
    return cases.load(job.cases[0]), job


def test_an_example_keeps_the_labels_it_was_given(tmp_path):
    case, job = prepared(tmp_path, bent_example(values=(4, 9)))
    assert set(case.labels.unique().tolist()) == {0, 1, 2}  # 30, the third, was not drawn
    seen = case.trust > 0
    assert set(case.trust.unique().tolist()) <= {0.0, 1.0} and float(seen.float().mean()) > 0.3
    # Its labels lie where its image has the organs: bright, in the body of 400.
    for number, intensity in ((1, 700), (2, 900)):
        inside = case.image[case.labels == number]
        assert float(inside.std()) < 0.1 * float(case.image[seen].max()), intensity


def test_an_example_is_drawn_as_a_quarter_and_counted_on_the_card(tmp_path, scans):
    run = Run(tmp_path / "mine.rrl", [scans / "a.nrrd"])
    run.examples = [bent_example]
    card = run()
    assert card.training["scans"] == 1 and card.training["examples"] == 1 and "1 more labelled" in card.summary
    found = prepare.Found([f"scan{n}" for n in range(30)], ["example"], 0)
    assert found.drawn_from().count("example") == 10


def test_an_example_without_the_atlas_s_structures_is_refused(tmp_path):
    with pytest.raises(EngineError, match="none of the atlas's structures"):
        prepared(tmp_path, bent_example(values=()))


def test_the_command_line_takes_examples(tmp_path, scans):
    scan, labels = bent_example()
    more = [write(scan, tmp_path / "more.nrrd"), write(labels, tmp_path / "more-labels.nrrd")]
    inputs = [write(ATLAS, tmp_path / "atlas.nrrd"), write(LABELS, tmp_path / "labels.nrrd")]
    options = adaptcli.parse(
        [
            *("--atlas", str(inputs[0]), "--atlas-labels", str(inputs[1]), "--unlabeled", str(scans)),
            *("--example", *map(str, more), "--output", str(tmp_path / "mine.rrl"), "--minutes", "0.1"),
        ]
    )
    said = []
    lines = adaptcli.Lines()
    lines.say = said.append
    with pytest.raises(Cancelled):
        adaptcli.run(options, lines, lambda: any("example 1 of 1" in line for line in said))
    assert any("example 1 of 1" in line for line in said)
