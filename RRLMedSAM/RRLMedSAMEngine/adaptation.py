"""What the worker does with a request to adapt a model."""

import contextlib
import dataclasses
import functools
import math
import time
from pathlib import Path

from . import exchange
from .errors import WritingError, bad_input
from .image import read_volume
from .protocol import DEVICES, Adapt, Adapted, Losses, Preview
from .training import adapt
from .training.settings import Settings, TrainerSettings

LOSSES_SECONDS = 2.0  # between two points of the curve


def scan_files(folder) -> list[Path]:
    """Each entry of the folder that may be a scan, by name. Raises EngineError."""
    path = Path(folder)
    if not path.is_dir():
        raise bad_input("The folder of unlabelled scans does not exist.", "Check its name.")
    return sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))


def compute(request: Adapt, *, progress, warn, tell, cancelled) -> Adapted:
    """``progress``, ``warn``, ``tell``, ``cancelled``: as in `computation.compute`. Raises EngineError."""
    if request.device not in DEVICES or not 0 < request.minutes < math.inf:
        raise bad_input("The device or the time is not valid.", "Choose another one.")
    scans = [functools.partial(exchange.read, request.folder, array) for array in request.scans]
    if request.scan_folder:
        scans += [functools.partial(read_volume, file) for file in scan_files(request.scan_folder)]
    examples = [functools.partial(_read_example, request.folder, example) for example in request.examples]
    base = request.base or None
    trainer = TrainerSettings(decoders_alone=base is not None)
    settings = Settings(request.minutes, request.device, request.seed, base, trainer=trainer)
    card = adapt.adapt(
        exchange.read(request.folder, request.atlas),
        exchange.read(request.folder, request.atlas_labels, whole_numbers=True),
        scans,
        request.output,
        settings,
        examples=examples,
        names={int(value): name for value, name in request.names.items()},
        resume=request.resume,
        report=_Teller(request, progress, tell),
        warn=warn,
        cancelled=cancelled,
    )
    return Adapted(request.id, request.output, dataclasses.asdict(card))


def _read_example(folder, example):
    return exchange.read(folder, example.image), exchange.read(folder, example.labels, whole_numbers=True)


class _Teller:
    """Turns a training's progress into messages."""

    def __init__(self, request, progress, tell):
        self._request, self._progress, self._tell = request, progress, tell
        self._told, self._pictures = 0.0, 0

    def __call__(self, state: adapt.Progress) -> None:
        self._progress(state.stage, state.fraction, state.seconds_left)
        now = time.monotonic()
        if state.losses and now - self._told >= LOSSES_SECONDS:
            self._told = now
            self._tell(Losses(self._request.id, state.losses))
        if state.preview is not None:
            with contextlib.suppress(WritingError):  # a full disk: the training needs no picture
                self._show(state.preview)

    def _show(self, picture):
        with exchange.Outputs(self._request.folder, lambda: False) as outputs:
            name = outputs.write(f"preview{self._pictures % 2}.npy", picture)
        self._pictures += 1
        self._tell(Preview(self._request.id, name))
