"""Adapts a model to one atlas with unlabelled scans of the same kind, and writes it as one file.

The model package is then given to `segment` with --model. What is done is kept beside the output in a folder named
.unfinished until the package is written: stop at any moment (Ctrl+C), go on with --resume. A picture there,
preview.png, shows how far the training is: left the borders that registration drew, right the model's.

Exit codes: as those of segment.
"""

import argparse
import functools
import math
import os
import signal
import sys
import time
from pathlib import Path

from . import streams
from .cli import EXIT_CODES, prepare_process, tell
from .errors import WritingError
from .failures import read_named
from .protocol import BASE, DEVICES, UNFINISHED

LINE_SECONDS = 10.0  # between two lines of one stage
PREVIEW = "preview.png"  # in the folder of what is not done
FROM_NOTHING = "none"  # in place of a model to begin with
SWITCHES = ("mutual-ema", "prompt", "own-masks", "instance-optimisation")
ALL, DECODERS = "all", "decoders"  # networks to be trained


def parse(arguments=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="adapt", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--atlas", required=True, metavar="FILE", help="volume, any format that SimpleITK reads")
    parser.add_argument("--atlas-labels", required=True, metavar="FILE", help="its label map or .seg.nrrd")
    parser.add_argument(
        "--unlabeled", required=True, metavar="DIR", help="folder of volumes, and of DICOM folders; one scan is enough"
    )
    parser.add_argument(
        "--example",
        nargs=2,
        action="append",
        default=[],
        metavar=("FILE", "LABELS"),
        help="a further labelled volume, with the atlas's label values; may be repeated",
    )
    parser.add_argument("--output", required=True, metavar="NAME.rrl", help="the model package to be written")
    parser.add_argument("--minutes", type=float, default=30.0, metavar="M", help="for everything; default 30")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument(
        "--model", default=BASE, metavar="NAME|PATH", help=f"model to begin with, or {FROM_NOTHING}; default {BASE}"
    )
    parser.add_argument(
        "--teacher",
        metavar="litemedsam|PATH",
        help="SAM teacher to distil: LiteMedSAM, or a checkpoint of SAM's ViT-B/L/H",
    )
    parser.add_argument(
        "--train",
        choices=(ALL, DECODERS),
        help=f"networks; default {DECODERS}, and {ALL} without a model to begin with, with a teacher, or without what "
        "trains the others",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--resume", action="store_true", help="go on with what was stopped")
    parser.add_argument(
        "--without", action="append", default=[], choices=SWITCHES, help="leave a part out, to see what it is worth"
    )
    options = parser.parse_args(arguments)
    if not 0 < options.minutes < math.inf:
        parser.error("--minutes must be more than 0")
    if not options.output.endswith(".rrl"):
        parser.error("--output must end in .rrl")
    return options


class Lines:
    """Progress on standard error."""

    def __init__(self):
        self._stage, self._told = None, 0.0

    def __call__(self, progress) -> None:
        now = time.monotonic()
        if progress.stage == self._stage and now - self._told < LINE_SECONDS:
            return
        self._stage, self._told = progress.stage, now
        self.say(f"{progress.stage}, {100 * progress.fraction:.0f} %, {progress.text}")

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def run(options: argparse.Namespace, lines: Lines, cancelled) -> None:
    """Raises EngineError."""
    from .worker import load

    load()  # tells in a sentence what is missing
    import SimpleITK

    from .adaptation import scan_files
    from .image import read_labels, read_volume, write_image
    from .networks.sizes import Sizes
    from .segfile import read_structures
    from .training import adapt
    from .training.settings import Settings, TrainerSettings

    all_learn = (
        options.model == FROM_NOTHING
        or options.teacher
        or {"mutual-ema", "instance-optimisation"}.intersection(options.without)
    )
    trained = options.train or (ALL if all_learn else DECODERS)
    switched = {
        "mutual": "mutual-ema" not in options.without,
        "optimised": "instance-optimisation" not in options.without,
        "own": 0.0 if "own-masks" in options.without else TrainerSettings.own,
        "decoders_alone": trained == DECODERS,
    }
    settings = Settings(
        minutes=options.minutes,
        device=options.device,
        seed=options.seed,
        base=None if options.model == FROM_NOTHING else options.model,
        teacher=options.teacher,
        sizes=Sizes(prompted="prompt" not in options.without),
        trainer=TrainerSettings(**switched),
    )
    picture = Path(options.output + UNFINISHED) / PREVIEW

    def report(progress):
        lines(progress)
        if progress.preview is not None:
            try:
                write_image(SimpleITK.GetImageFromArray(progress.preview, isVector=True), picture)
            except WritingError:  # a viewer may hold the one before
                lines.say(f"warning: no preview could be written to {picture}")
            else:
                lines.say(f"a preview is in {picture}")

    def example(image, labels):
        return read_named(read_volume, image, "An example"), read_named(read_labels, labels, "An example's labels")

    scans = scan_files(options.unlabeled)
    atlas = read_named(read_volume, options.atlas, "The atlas")
    labels = read_named(read_labels, options.atlas_labels, "The atlas labels")
    structures = read_structures(options.atlas_labels, values=[])
    card = adapt.adapt(
        atlas,
        labels,
        [functools.partial(read_volume, file) for file in scans],
        os.path.abspath(options.output),
        settings,
        examples=[functools.partial(example, *files) for files in options.example],
        names={structure.label: structure.name for structure in structures},
        scan_names=[file.name for file in scans],
        resume=options.resume,
        report=report,
        warn=lambda text: lines.say(f"warning: {text}"),
        cancelled=cancelled,
    )
    lines.say(f"done: {card.summary} Use it with: segment --model {options.output}")


def main(arguments=None) -> int:
    options = parse(arguments)
    prepare_process()
    streams.claim_stdout()
    stopped_by = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: (stopped_by.append(n), signal.signal(n, signal.SIG_DFL)))
    lines = Lines()
    try:
        run(options, lines, lambda: bool(stopped_by))
    except Exception as error:
        failure = tell(lines, error)
        return 128 + stopped_by[0] if stopped_by else EXIT_CODES[failure["code"]]
    return 0


if __name__ == "__main__":
    sys.exit(main())
