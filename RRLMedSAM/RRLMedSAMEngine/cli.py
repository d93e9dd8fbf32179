"""Segments targets with one annotated atlas, from files to files.

For each target it writes a folder named after the target's file, without its extension, into the output folder:

  labels.nii.gz            the atlas's label values on the target's grid
  segmentation.seg.nrrd    the same for 3D Slicer, with the names and colours of the atlas's .seg.nrrd
  atlas_to_target.nii.gz   displacement field on the target's grid, LPS mm: target point -> atlas point
  target_to_atlas.nii.gz   displacement field on the atlas's grid, LPS mm: atlas point -> target point
  confidence.nii.gz        percent
  report.json              settings, device, seconds, memory, folding, structures, warnings

Exit codes:

  0    every target was segmented
  1    some targets were segmented, others failed; where none was segmented, one of these:
  2    the command line is wrong
  3    an input cannot be used (not readable, no 3D volume, no labels, no model), or the output cannot be written
  4    the output exists (see --overwrite)
  5    the memory does not suffice
  6    the disk is full
  7    PyTorch is missing
  8    an unexpected error
  130  interrupted (SIGINT); 143: ended (SIGTERM)
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from . import streams
from .errors import Cancelled, EngineError, bad_input
from .failures import as_engine_error, trace
from .protocol import DEVICES, EFFORTS

EXIT_CODES = {
    "bad_input": 3,
    "no_overlap": 3,
    "bad_model": 3,
    "exists": 4,
    "out_of_memory": 5,
    "disk_full": 6,
    "no_torch": 7,
    "internal": 8,
}
MIXED = 1
LINE_SECONDS = 10.0  # between two progress lines of one stage
EXTENSIONS = (".nii.gz", ".seg.nrrd", ".seg.nhdr", ".img.gz", ".gipl.gz")  # those with two dots


def target_name(path: str) -> str:
    """The name of a target's folder: the file's without its extension, a DICOM folder's as it is."""
    path = os.path.abspath(path)
    name = os.path.basename(path)
    if os.path.isdir(path):
        return name
    for extension in EXTENSIONS:
        if name.lower().endswith(extension):
            return name[: -len(extension)]
    return os.path.splitext(name)[0]


def parse(arguments=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="segment", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--atlas", required=True, metavar="FILE", help="volume, any format that SimpleITK reads")
    parser.add_argument("--atlas-labels", required=True, metavar="FILE", help="its label map or .seg.nrrd")
    parser.add_argument(
        "--target", required=True, action="append", metavar="PATH", help="volume or DICOM folder; may be repeated"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="where each target gets its folder")
    parser.add_argument("--effort", choices=EFFORTS, default="balanced")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument(
        "--model", default="auto", metavar="auto|instant|NAME|PATH", help="default: auto, from the atlas; instant: no weights"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="equal seeds give equal results")
    parser.add_argument("--json", action="store_true", help="print a summary for programs on standard output")
    parser.add_argument("--overwrite", action="store_true", help="replace results of an earlier run")
    options = parser.parse_args(arguments)
    names = [target_name(path) for path in options.target]
    if "" in names:
        parser.error("a target's file has no name before its extension")
    if len({name.casefold() for name in names}) < len(names):
        parser.error("two targets have the same name, so that their results would share a folder")
    return options


class ProgressLines:
    """Progress on standard error: one line for each stage, and from time to time."""

    def __init__(self, name: str):
        self._name, self._stage, self._told = name, None, 0.0

    def __call__(self, stage: str, fraction: float, seconds_left: float | None) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._told < LINE_SECONDS:
            return
        self._stage, self._told = stage, now
        left = "" if seconds_left is None else f", {seconds_left:.0f} s left"
        self.say(f"{stage}, {100 * fraction:.0f} %{left}")

    def say(self, text: str) -> None:
        print(f"{self._name}: {text}", file=sys.stderr, flush=True)


class Job:
    """The command line's work. ``stopped_by``: the signal that ends it, None while it goes on."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.stopped_by = None

    def stop(self, number, _frame) -> None:
        """Handles a signal: ends the work at the next check; a second one ends the process at once."""
        self.stopped_by = number
        signal.signal(number, signal.SIG_DFL)

    def check(self) -> None:
        if self.stopped_by is not None:
            raise Cancelled()

    def run(self) -> list[dict]:
        """A summary for each target: name, output, and its report or its error."""
        rows = [{"target": target_name(path), "output": None} for path in self.options.target]
        try:
            work = self._prepare()
        except Exception as error:
            failure = tell(ProgressLines("all targets"), error)
            return [{**row, "error": failure} for row in rows]
        for row, path in zip(rows, self.options.target):
            lines = ProgressLines(row["target"])
            folder = Path(os.path.abspath(self.options.output)) / row["target"]
            try:
                row["report"] = work(path, folder, lines)
                row["output"] = str(folder)
                lines.say("done")
            except Exception as error:
                row["error"] = tell(lines, error)
        return rows

    def _prepare(self):
        """Reads the atlas; returns the function that does one target."""
        from .worker import load

        load()  # tells in a sentence what is missing
        import numpy as np

        from . import image, memory, pipeline, results, segfile

        options = self.options
        self.check()
        atlas = read_named(image.read_volume, options.atlas, "The atlas")
        labels = read_named(image.read_labels, options.atlas_labels, "The atlas labels")
        structures = segfile.read_structures(options.atlas_labels, [v for v in np.unique(labels.array) if v])
        settings = pipeline.Settings(options.effort, options.device, options.model, options.seed)

        def work(path, folder, lines):
            self.check()
            memory.reset_peak()
            with results.appearing(folder, options.overwrite) as temporary:
                started = time.monotonic()
                target = read_named(image.read_volume, path, "The target")
                reading = time.monotonic() - started
                result = pipeline.segment(
                    atlas,
                    [labels],
                    target,
                    settings,
                    progress=lines,
                    warn=lambda text: lines.say(f"warning: {text}"),
                    cancelled=lambda: self.stopped_by is not None,
                )
                result.report["seconds"]["read"] = round(result.report["seconds"]["read"] + reading, 2)
                lines("write", 1.0, None)
                results.write(temporary, result, atlas, target, structures, self.check)
                self.check()
            return result.report

        return work


def read_named(read, path: str, what: str):
    """``read(path)``, with an error that says which file it is about."""
    try:
        return read(path)
    except EngineError as error:
        raise EngineError(error.code, f"{what}: {error.text}", error.action) from error


def exit_code(rows: list[dict], stopped_by=None) -> int:
    if stopped_by is not None:
        return 128 + stopped_by
    codes = [EXIT_CODES[row["error"]["code"]] if "error" in row else 0 for row in rows]
    if 0 in codes and any(codes):
        return MIXED
    return codes[0]


def tell(lines, error: Exception) -> dict:
    """Says an error with ``lines.say`` and returns it for programs."""
    failure = as_engine_error(error)
    lines.say(f"{failure.text} {failure.action}".strip())
    if failure.code == "internal":
        lines.say(trace(error))
    return {"code": failure.code, "text": failure.text, "action": failure.action}


def prepare_process() -> None:
    """Before torch is loaded: its idle threads shall sleep soon on a machine that others use as well.

    Not at once: an alignment takes 5.8 s then instead of 3.0.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def main(arguments=None) -> int:
    options = parse(arguments)
    prepare_process()
    output = streams.claim_stdout()
    job = Job(options)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, job.stop)
    rows = job.run()
    if options.json:
        output.write(json.dumps({"targets": rows}, indent=1).encode("ascii") + b"\n")
        output.flush()
    return exit_code(rows, job.stopped_by)


if __name__ == "__main__":
    sys.exit(main())
