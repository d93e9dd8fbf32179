"""Adapts a model to one atlas with unlabelled scans, and packs it. Can be stopped at any moment and goes on later."""

import dataclasses
import math
import time
from pathlib import Path

import numpy as np
import torch

from .. import allocator, devices, inference, memory, models, package
from ..atlas import Atlas
from ..card import Card
from ..checks import check_image, check_labels
from ..errors import Cancelled, EngineError, WritingError, bad_input
from ..files import writing_error
from ..image import Volume
from ..networks import teachers
from ..networks.model import Model
from ..protocol import UNFINISHED
from . import checkpoint, modelcard, networklabels, prepare, record
from .distillation import Distillation, choose_views
from .featurecache import FeatureCache
from .preview import Preview
from .samples import Sampler
from .settings import Settings
from .stopping import Stopping
from .trainer import Trainer

PREPARING = 0.4  # share of the time after which no further scan is prepared
TEACHING, VIEWS = 0.15, 240  # share of the time in which a teacher looks at slices, and at how many at most
CHECKPOINT_SECONDS = PREVIEW_SECONDS = 60.0
LONGEST = 300.0  # seconds between two looks at the clock; the rest a laptop slept, which Windows' clock counts
SMALLEST_PATCH = 32  # voxels a side of the parts that are trained on


@dataclasses.dataclass
class Progress:
    """``stage``: ``prepare``, ``train`` or ``write``. ``fraction`` of the whole, 0..1. ``seconds_left``: of training.
    ``losses``: of the last steps, finite. ``preview``: now and then a picture, `Preview.draw`."""

    stage: str
    fraction: float
    text: str
    seconds_left: float | None = None
    losses: dict = dataclasses.field(default_factory=dict)
    preview: np.ndarray | None = None


def adapt(
    atlas, labels, scans, output, settings: Settings, *, examples=(), names=None, scan_names=None, resume=False,
    report, warn, cancelled,
) -> Card:  # fmt: skip
    """Writes the model package ``output`` and returns its card.

    ``atlas``, ``labels``: Volume. ``scans``: a callable for each unlabelled scan, which reads it: only one is in memory
    at a time. ``examples``: a callable for each further labelled scan, which reads the pair of its image and its
    labels, with the atlas's values. ``names``: of the structures, by label value. ``scan_names``: what warnings call
    the scans; without them they are numbered. ``report(Progress)``, ``warn(text)`` and ``cancelled()`` are called
    meanwhile. What is done is kept in a folder beside ``output`` until the package is written; ``resume`` goes on from
    there, with the settings that it was begun with, but for the device. Raises EngineError.
    """
    output = Path(output)
    work = output.with_name(output.name + UNFINISHED)
    if output.exists():
        raise EngineError("exists", "The model package exists.", "Choose another name.")
    if work.exists() and not resume:
        raise EngineError("exists", "An unfinished adaptation exists there.", "Resume it, or delete it.")
    if not work.exists():  # what was begun may have its scans already
        _check_there_are_scans(scans, examples)
    settings.check(examples)
    job = _Job(atlas, labels, work, settings, report, warn, cancelled)
    job.prepare(scans, examples, scan_names)
    job.train()
    report(Progress("write", 1.0, ""))
    card = package.write(output, job.trainer.average.state_dict(), job.card(output.stem, names or {}))
    checkpoint.remove(work)
    return card


def _check_there_are_scans(scans, examples):
    if not scans and not examples:
        raise bad_input("There is no unlabelled scan.", "Give at least one volume like those to be segmented.")


class _Job:
    def __init__(self, atlas, labels, work, settings, report, warn, cancelled):
        allocator.keep_freed_memory()
        self.report, self.warn, self.cancelled = report, warn, cancelled
        atlas, labels = (Volume(v.array, v.geometry.rounded()) for v in (atlas, labels))
        check_image(atlas, "atlas", warn)
        check_labels([labels], atlas, warn)
        self.atlas = Atlas(atlas, [labels])
        self.device = devices.ladder(settings.device)[0].device
        self.framed = self.atlas.framed("cpu")[0].to(self.device)
        self.work, self.fingerprint = work, package.fingerprint(atlas, [labels])
        known = [self.fingerprint, *self.framed.image.shape]
        resumed = record.load(work, known) if work.exists() else None
        teacher = (resumed.settings if resumed else settings).teacher
        self.teacher = teachers.open_teacher(teacher, self.device) if teacher else None  # first: it may be missing
        self.record = resumed or self._begun(known, settings)
        self.settings = dataclasses.replace(self.record.settings, device=settings.device)
        torch.manual_seed(self.settings.seed)
        self.last = time.monotonic()

    def _begun(self, atlas, settings) -> record.Record:
        """The record of a new folder. Whatever the settings name is looked at before anything takes time."""
        base = {}
        if settings.base is not None:
            model, card = models.read(models.find(settings.base))
            base = {"name": card.name, "sources": card.sources, "terms": card.terms}
            sizes = dataclasses.replace(model.sizes, prompted=settings.sizes.prompted)
            settings = dataclasses.replace(settings, sizes=sizes)
        begun = record.Record(self.work, settings, atlas, base)
        try:
            self.work.mkdir(mode=0o700)
            begun.save()
        except OSError as error:
            raise writing_error(error) from error
        except WritingError:
            checkpoint.remove(self.work)
            raise
        return begun

    def check(self):
        if self.cancelled():
            raise Cancelled()

    def _check_preparing(self):
        self.tick()
        self.check()

    @property
    def total(self) -> float:
        return 60 * self.settings.minutes

    def tick(self) -> float:
        """Seconds spent before the training, in earlier processes too."""
        self.record.spent += self._passed()
        return self.record.spent

    def _passed(self) -> float:
        """Seconds since the last look at the clock, `LONGEST` at most."""
        now = time.monotonic()
        passed, self.last = min(now - self.last, LONGEST), now
        return passed

    def _prepared(self) -> float:
        """The fraction of the whole that the time before the training was: at most half."""
        return min(self.tick() / self.total, 0.5)

    def prepare(self, scans, examples, scan_names=None):
        self.found = self.record.kept()
        if self.found is None:
            _check_there_are_scans(scans, examples)
            maker = prepare.Preparation(self.atlas, self.work, self.settings.device)
            self.found = prepare.collect(
                maker,
                scans,
                examples,
                scan_names or [f"Scan {number}" for number in range(1, len(scans) + 1)],
                tell=self._tell_preparing,
                warn=self.warn,
                check=self._check_preparing,
                is_late=lambda: self.tick() > PREPARING * self.total,
            )
            self.record.examples = len(examples)
            self.record.keep(self.found)
        elif len(examples) > self.record.examples:
            self.warn("New labelled examples are not used by an adaptation that had begun before; begin another one.")
        self.cases = self.found.drawn_from()
        if not self.settings.trainer.optimised:
            self.cases = networklabels.aligned_only(self.cases, self.framed, self.work / "network")

    def _tell_preparing(self, text):
        self.report(Progress("prepare", self._prepared(), text))
        self.record.save()

    def train(self):
        state = checkpoint.load(self.work)
        model = (self._new_model() if state is None else Model(self.settings.sizes)).to(self.device)
        random = torch.Generator().manual_seed(self.settings.seed)
        window = inference.window_for(self.framed.image.shape)
        sampler = Sampler(self.framed, self.cases, window, random, drawn=self.found.examples)
        distillation = self._distillation(random)
        self.trainer = Trainer(model, sampler, self.settings.trainer, distillation)
        stopping = Stopping(self.framed, self.cases, sampler.patch)
        preview = Preview(self.framed, self.cases[0], sampler.patch)
        done = 0.0  # seconds of training
        if state is not None:
            self.trainer.restore(state["trainer"])
            stopping.restore(state["stopping"])
            done, self.total_training = state["done"], state["total"]
        else:
            self.total_training = max(self.total - self.tick(), 0.5 * self.total)
        prepared = self._prepared()
        saved = self.last = time.monotonic()
        losses, shown = {}, None
        while done < self.total_training and not stopping.reached:
            share = done / self.total_training
            for name, value in self._step(share).items():
                if math.isfinite(value):  # the trainer leaves out a step that is not
                    losses[name] = value if name not in losses else 0.95 * losses[name] + 0.05 * value
            if self.trainer.labelled:  # before, the masks are not what is learnt
                stopping.look(self.trainer.average, share)
            done += self._passed()
            now = self.last
            text = f"step {self.trainer.steps}, " + ", ".join(f"{k} {v:.3f}" for k, v in losses.items())
            fraction, left = prepared + (1 - prepared) * share, max(self.total_training - done, 0.0)
            progress = Progress("train", fraction, text, left, dict(losses))
            if shown is None or now - shown > PREVIEW_SECONDS:
                progress.preview, shown = preview.draw(self.trainer.average), now
            self.report(progress)
            if now - saved > CHECKPOINT_SECONDS or self.cancelled():
                self._save(stopping, done)
                saved = now
            self.check()
        self.seconds = done

    def _step(self, share) -> dict:
        try:
            return self.trainer.step(share)
        except (MemoryError, RuntimeError) as error:
            if not memory.is_out_of_memory(error):
                raise
        sampler = self.trainer.source
        if max(sampler.patch) <= SMALLEST_PATCH:
            raise EngineError("out_of_memory", "The memory does not suffice for a training.", "Choose the device CPU.")
        sampler.patch = tuple(max(n * 3 // 4 // 2 * 2, min(n, SMALLEST_PATCH)) for n in sampler.patch)
        self.warn(f"The memory did not suffice; the training goes on with parts of {sampler.patch} voxels.")
        return {}

    def _new_model(self) -> Model:
        model = Model(self.settings.sizes)
        if self.settings.base is not None:
            package.load_into(model, models.read(models.find(self.settings.base))[0].state_dict())
        return model

    def _distillation(self, random):
        if self.teacher is None:
            return None
        folder = self.work / "teacher"
        folder.mkdir(exist_ok=True)
        cache = FeatureCache(self.teacher, folder)
        distillation = Distillation(self.settings.sizes, cache, random)
        distillation.projection.to(self.device)
        self.report(Progress("prepare", self._prepared(), "the teacher looks at slices"))
        distillation.prepare(choose_views(self.cases, VIEWS, random), TEACHING * self.total, self._check_preparing)
        return distillation

    def _save(self, stopping, done):
        state = {
            "trainer": self.trainer.state(),
            "stopping": stopping.state(),
            "done": done,
            "total": self.total_training,
        }
        checkpoint.save(self.work, state)

    def card(self, name: str, names: dict) -> Card:
        """What is known of the finished model."""
        return modelcard.adapted(
            name,
            self.trainer,
            self.record,
            self.found,
            seconds=round(self.seconds),
            teacher=self.teacher.identity if self.teacher else "none",
            atlas_fingerprint=self.fingerprint,
            structures=[{"label": int(value), "name": names.get(int(value), "")} for value in self.framed.values],
            intensity=self.atlas.window.kind,
            spacing_mm=self.atlas.frame.spacing,
        )
