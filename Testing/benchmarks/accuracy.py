"""Dice, HD95, folding, consistency, seconds and memory of the instant form on a data set's validation cases.

    PYTHONPATH=RRLMedSAM .venv/bin/python Testing/benchmarks/accuracy.py --data DATA/oasis --scorer score.py \
        --output oasis.json [--effort balanced] [--greedy]

``--greedy`` runs picsl-greedy (pip install picsl-greedy) on the same cases: affine -dof 12 -ia-image-centers
-m NCC 4x4x4 -n 100x50x10, then -m NCC 4x4x4 -n 100x50x10 -s 1.732vox 0.707vox; its labels both by nearest neighbour
and by its own smoothed vote (-ri LABEL 0.2vox).
"""

import argparse
import json
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


def run_greedy(atlas, target_path, folder):
    """Seconds; writes greedy_nearest.nii.gz and greedy_vote.nii.gz into the folder."""
    from picsl_greedy import Greedy3D

    started = time.monotonic()
    greedy, f = Greedy3D(), Path(folder)
    images = f"-i {target_path} {atlas.image}"
    greedy.execute(f"-a -dof 12 -ia-image-centers {images} -m NCC 4x4x4 -n 100x50x10 -o {f}/a.mat -threads 2 -V 0")
    greedy.execute(
        f"{images} -it {f}/a.mat -m NCC 4x4x4 -n 100x50x10 -s 1.732vox 0.707vox -o {f}/w.nii.gz -threads 2 -V 0"
    )
    seconds = time.monotonic() - started
    for name, kind in (("nearest", "NN"), ("vote", "LABEL 0.2vox")):
        out = f"-rm {atlas.labels} {f}/greedy_{name}.nii.gz"
        greedy.execute(f"-rf {target_path} -ri {kind} {out} -r {f}/w.nii.gz {f}/a.mat -V 0")
    return seconds


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
                for kind in ("nearest", "vote"):
                    path = Path(folder) / f"greedy_{kind}.nii.gz"
                    row[f"greedy_{kind}_dice"] = data.score_file(path, case.labels)["dice"]
            rows.append(row)
            print({k: round(v, 4) for k, v in row.items() if isinstance(v, float)}, case.name, flush=True)
            Path(options.output).write_text(json.dumps({"effort": options.effort, "cases": rows}, indent=1))
    for key in [k for k, v in rows[0].items() if isinstance(v, float)]:
        values = [row[key] for row in rows]
        print(f"{key}: mean {np.mean(values):.4f}, min {np.min(values):.4f}, max {np.max(values):.4f}")


if __name__ == "__main__":
    main()
