"""Segments targets with one annotated atlas, from files to files.

For each target it writes a folder named after the target's file, without its extension, into the output folder (a DICOM
series among others: after folder, number and description; equal names get their folders' names in front):

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
from pathlib import Path

from . import streams
from .errors import HOPELESS, Cancelled
from .failures import as_engine_error, read_named, trace
from .protocol import DEVICES, EFFORTS
from .targets import find_series, unique_names
from .terminal import progress_of

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


def parse(arguments=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="segment", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--atlas", required=True, metavar="FILE", help="volume, any format that SimpleITK reads")
    parser.add_argument("--atlas-labels", required=True, metavar="FILE", help="its label map or .seg.nrrd")
    parser.add_argument(
        "--target",
        required=True,
        action="append",
        metavar="PATH",
        help="volume, DICOM folder (each series of it), or a file of a series; may be repeated",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="where each target gets its folder")
    parser.add_argument("--effort", choices=EFFORTS, default="balanced")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument(
        "--model",
        default="auto",
        metavar="auto|instant|NAME|PATH",
        help="default: auto, from the atlas; instant: no weights",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="equal seeds give equal results")
    parser.add_argument("--json", action="store_true", help="print a summary for programs on standard output")
    parser.add_argument("--overwrite", action="store_true", help="replace results of an earlier run")
    options = parser.parse_args(arguments)
    options.target = [path for given in options.target for path in _series_of(given)]
    if len(set(map(os.path.abspath, options.target))) < len(options.target):
        parser.error("a target is given twice")
    options.names = unique_names(options.target)
    if "" in options.names:
        parser.error("a target's file has no name before its extension")
    return options


def _series_of(path: str) -> list[str]:
    """The targets that a path stands for."""
    try:
        return find_series(path) or [path]
    except OSError:  # no folder; what it is will be told when it is read
        return [path]


class Job:
    """The command line's work. ``stopped_by``: the signal that ends it, None while it goes on."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.stopped_by = None

    def stop(self, number, _frame) -> None:
        """Handles a signal: ends the work at the next check; a second one ends the process at once."""
        self.stopped_by = number
        signal.signal(number, signal.SIG_DFL)

    def _cancelled(self) -> bool:
        return self.stopped_by is not None

    def run(self) -> list[dict]:
        """A summary for each target: name, output, and its report or its error."""
        rows = [{"target": name, "output": None} for name in self.options.names]
        try:
            job = self._prepare()
        except Exception as error:
            failure = tell(progress_of("all targets"), error)
            return [{**row, "error": failure} for row in rows]
        hopeless = None
        for number, (row, path) in enumerate(zip(rows, self.options.target), start=1):
            if hopeless:
                row["error"] = hopeless
                continue
            lines = progress_of(row["target"], number, len(rows))
            folder = Path(os.path.abspath(self.options.output)) / row["target"]
            try:
                row["report"] = job.run(
                    path, folder, progress=lines, cancelled=self._cancelled,
                    warn=lambda text, lines=lines: lines.say(f"warning: {text}"),
                )  # fmt: skip
                row["output"] = str(folder)
                lines.say("done")
            except Exception as error:
                row["error"] = tell(lines, error)
                if row["error"]["code"] in HOPELESS:
                    hopeless = row["error"]
                    if number < len(rows):
                        progress_of("the others").say("not begun, for the same reason")
        return rows

    def _prepare(self):
        """Reads the atlas; returns the `FileJob`."""
        from .worker import load

        load()  # tells in a sentence what is missing
        import numpy as np

        from . import image, pipeline, segfile
        from .filejob import FileJob

        options = self.options
        if self._cancelled():
            raise Cancelled()
        atlas = read_named(image.read_volume, options.atlas, "The atlas")
        labels = read_named(image.read_labels, options.atlas_labels, "The atlas labels")
        structures = segfile.read_structures(options.atlas_labels, [v for v in np.unique(labels.array) if v])
        settings = pipeline.Settings(options.effort, options.device, options.model, options.seed)
        return FileJob(atlas, labels, structures, settings, options.overwrite)


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
