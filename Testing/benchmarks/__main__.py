"""Segments a data set's validation scans and writes a table, plots and all figures.

The folder is laid out as described below, so that public sets such as OASIS or CT-lung, brought into this form, can be
reproduced. Into the output folder come

  results.json    every figure of every case
  table.md        means and extremes, one line a method
  dice.png        Dice of each structure and of each case, one colour a method

Figures: Dice and 95th percentile of the surface distances after fusion; of the registration alone, Dice of the warped
labels, local correlation of the warped atlas, folding and inverse consistency; seconds and peak memory.

  python3 run.py benchmark --data DIR --output DIR [--method instant --method model.rrl] [--effort balanced]
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from RRLMedSAMEngine import memory, pipeline
from RRLMedSAMEngine.image import read_volume
from RRLMedSAMEngine.protocol import DEVICES, EFFORTS

from . import datasets, greedy, measures, report
from .datasets import Dataset


def parse(arguments=None):
    parser = argparse.ArgumentParser(
        prog="benchmark",
        description=f"{__doc__}\n{datasets.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", required=True, metavar="DIR", help="folder of the data set")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for table, plots and figures")
    parser.add_argument(
        "--method", action="append", metavar="instant|NAME|PATH|greedy",
        help="a model, or picsl-greedy where it is installed; may be repeated; default: instant",
    )  # fmt: skip
    parser.add_argument("--effort", choices=EFFORTS, default="balanced")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--cases", type=int, metavar="N", help="only the first N")
    parser.add_argument(
        "--scorer", metavar="FILE", help="a program that scores label maps, in place of our own measures"
    )
    return parser.parse_args(arguments)


def measure(data, case, method, options, folder) -> dict:
    """The figures of one case and method."""
    atlas, labels = data.read_atlas()
    started = time.monotonic()
    if method == "greedy":
        path = greedy.run(data.atlas, case.image, folder)
        return {"seconds": time.monotonic() - started, **data.score_file(path, case.labels, options.scorer)}
    target = read_volume(case.image)
    memory.reset_peak()
    result = pipeline.segment(
        atlas, [labels], target, pipeline.Settings(options.effort, options.device, method),
        progress=lambda *_: None, warn=lambda text: print(f"  {text}", file=sys.stderr), cancelled=lambda: False,
    )  # fmt: skip
    seconds = time.monotonic() - started
    return {
        "seconds": seconds,
        "peak_memory_gb": result.report["peak_memory_gb"],
        "folding_percent": result.report["folding_percent"],
        "inverse_consistency_mm": result.report["inverse_consistency_mm"]["mean"],
        **measures.registration(result, atlas, labels, target, lambda warped: data.score(warped, case.labels, folder)),
        **data.score(result.labels[0], case.labels, folder, options.scorer),
    }


def main(arguments=None) -> int:
    options = parse(arguments)
    data, output = Dataset(options.data), Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for case in data.validation[: options.cases]:
            for method in options.method or ["instant"]:
                row = {"case": case.name, "method": Path(method).stem, **measure(data, case, method, options, folder)}
                rows.append(row)
                print(f"{row['case']} {row['method']}: Dice {row['dice']:.4f}, {row['seconds']:.1f} s", flush=True)
                content = {"data": data.name, "effort": options.effort, "rows": rows}
                (output / "results.json").write_text(json.dumps(content, indent=1))
    table = report.table(rows)
    (output / "table.md").write_text(table)
    report.plot(rows, output / "dice.png")
    print(table)
    return 0 if all(np.isfinite(row["dice"]) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
