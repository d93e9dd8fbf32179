"""Dice, HD95, folding, consistency, seconds and memory of the instant form on a data set's validation cases.

    PYTHONPATH=RRLMedSAM .venv/bin/python Testing/benchmarks/accuracy.py --data DATA/oasis --scorer score.py \
        --output oasis.json [--effort balanced] [--greedy]

``--greedy`` runs picsl-greedy (pip install picsl-greedy) on the same cases: affine -dof 12 -ia-image-centers
-m NCC 4x4x4 -n 100x50x10, then -m NCC 4x4x4 -n 100x50x10 -s 1.732vox 0.707vox, labels by nearest neighbour. It runs
in a process of its own, so that its memory is not counted as ours.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import datasets
import numpy as np
from RRLMedSAMEngine import pipeline
from RRLMedSAMEngine.image import read_volume


def run_ours(atlas, labels, target, effort):
    started = time.monotonic()
    result = pipeline.segment(
        atlas,
        [labels],
        target,
        pipeline.Settings(effort=effort),
        progress=lambda *_: None,
        warn=lambda text: print("  warning:", text),
        cancelled=lambda: False,
    )
    return result, time.monotonic() - started


GREEDY = """
import sys
from picsl_greedy import Greedy3D
target, atlas, labels, folder = sys.argv[1:]
greedy, images = Greedy3D(), f"-i {target} {atlas} -m NCC 4x4x4 -n 100x50x10 -threads 2 -V 0"
greedy.execute(f"-a -dof 12 -ia-image-centers {images} -o {folder}/a.mat")
greedy.execute(f"{images} -it {folder}/a.mat -s 1.732vox 0.707vox -o {folder}/w.nii.gz")
greedy.execute(f"-rf {target} -ri NN -rm {labels} {folder}/greedy.nii.gz -r {folder}/w.nii.gz {folder}/a.mat -V 0")
"""


def run_greedy(atlas, target, folder):
    """Seconds; writes greedy.nii.gz into the folder."""
    started = time.monotonic()
    command = [sys.executable, "-c", GREEDY, target, atlas.image, atlas.labels, folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    datasets.add_arguments(parser)
    parser.add_argument("--effort", default="balanced")
    parser.add_argument("--greedy", action="store_true")
    options = parser.parse_args()
    data = datasets.Dataset(options.data, options.scorer)
    atlas, labels = data.read_atlas()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for case in data.validation[: options.cases]:
            result, seconds = run_ours(atlas, labels, read_volume(case.image), options.effort)
            score = data.score(result.labels[0], case.labels, folder)
            row = {
                "case": case.name,
                "dice": score["dice"],
                "hd95_mm": score["hd95_mm"],
                "groups": {name: group["dice"] for name, group in score["groups"].items()},
                "seconds": seconds,
                **{key: result.report[key] for key in ("folding_percent", "inverse_consistency_mm", "peak_memory_gb")},
            }
            if options.greedy:
                row["greedy_seconds"] = run_greedy(data.atlas, case.image, folder)
                row["greedy_dice"] = data.score_file(Path(folder) / "greedy.nii.gz", case.labels)["dice"]
            rows.append(row)
            print({k: round(v, 4) for k, v in row.items() if isinstance(v, float)}, case.name, flush=True)
            Path(options.output).write_text(json.dumps({"effort": options.effort, "cases": rows}, indent=1))
    for key in [k for k, v in rows[0].items() if isinstance(v, float)]:
        values = [row[key] for row in rows]
        print(f"{key}: mean {np.mean(values):.4f}, min {np.min(values):.4f}, max {np.max(values):.4f}")


if __name__ == "__main__":
    main()
