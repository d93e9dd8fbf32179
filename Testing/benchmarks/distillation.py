"""How well the general encoder predicts a SAM teacher's features, on slices of scans that it was not trained on.

    PYTHONPATH=RRLMedSAM:Testing .venv/bin/python -m benchmarks.distillation --data DATA/oasis --work FOLDER
        [--teacher litemedsam] [--minutes 30] [--slices 150] [--held-out 30]

Stage 1 of the distillation alone, on the unlabelled scans; the last three of them are held out. The teacher's features
are kept in the folder, so that a second start begins at once. Beside the encoder's cosine similarity stands that of the
teacher's mean feature, which any network would find.
"""

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from RRLMedSAMEngine import intensity, workgrid
from RRLMedSAMEngine.image import read_volume
from RRLMedSAMEngine.networks.encoder import Encoder
from RRLMedSAMEngine.networks.sizes import Sizes
from RRLMedSAMEngine.networks.teachers import open_teacher
from RRLMedSAMEngine.training import cases
from RRLMedSAMEngine.training.distillation import Distillation, choose_views
from RRLMedSAMEngine.training.featurecache import FeatureCache

HELD_OUT_SCANS = 3
RATE, WARM_UP = 1e-3, 20
SPACING_MM = 1.0


def unlabelled_case(scan: Path, folder: Path) -> Path:
    """The scan's image as the training sees images, in a case without labels."""
    path = folder / (scan.name.split(".")[0] + cases.ENDING)
    if not path.exists():
        volume = read_volume(scan)
        window = intensity.find_window(volume.array, "scan")
        box = workgrid.anatomy_box(volume, window)
        image = workgrid.to_work_grid(volume, window, SPACING_MM, box, "cpu").image
        cases.save(cases.unlabelled(image), path)
    return path


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--teacher", default="litemedsam")
    parser.add_argument("--minutes", type=float, default=30.0, help="of training, without the teacher's")
    parser.add_argument("--slices", type=int, default=150)
    parser.add_argument("--held-out", type=int, default=30)
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(0)
    options.work.mkdir(parents=True, exist_ok=True)
    scans = [unlabelled_case(scan, options.work) for scan in sorted((options.data / "unlabeled").iterdir())]
    cache = FeatureCache(open_teacher(options.teacher), options.work)
    distillation, encoder = Distillation(Sizes(), cache, random), Encoder(Sizes())
    held_out = choose_views(scans[-HELD_OUT_SCANS:], options.held_out, random)
    started = time.monotonic()
    for views in (held_out, choose_views(scans[:-HELD_OUT_SCANS], options.slices, random)):
        distillation.views = []
        distillation.prepare(views, float("inf"), lambda: None)
    print(f"The teacher looked at {options.slices + options.held_out} slices in {time.monotonic() - started:.0f} s.")
    print(f"Cosine similarity of the mean feature: {mean_feature(distillation, encoder, held_out):.3f}")

    parameters = [*encoder.parameters(), *distillation.projection.parameters()]
    optimizer = torch.optim.AdamW(parameters, RATE)
    started, step, told = time.monotonic(), 0, -1
    while (share := (time.monotonic() - started) / (60 * options.minutes)) < 1:
        optimizer.param_groups[0]["lr"] = RATE * min(1, (step + 1) / WARM_UP) * (1 - share) ** 0.9
        loss = distillation.loss(encoder)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if int(10 * share) > told:
            told = int(10 * share)
            cosine = distillation.cosine(encoder, held_out)
            print(f"{step} steps, loss {float(loss.detach()):.4f}, cosine similarity {cosine:.3f}", flush=True)
    print(f"After {step} steps: cosine similarity {distillation.cosine(encoder, held_out):.3f} on held-out scans.")


@torch.no_grad()
def mean_feature(distillation, encoder, held_out) -> float:
    """The cosine similarity that the mean of the teacher's features over the training slices has."""
    compared = [distillation.compare(encoder, view, None)[1] for view in distillation.views[: HELD_OUT_SCANS * 10]]
    mean = torch.cat(compared).mean(dim=0)
    values = [
        F.cosine_similarity(distillation.compare(encoder, v, None)[1], mean[None], dim=1).mean() for v in held_out
    ]
    return float(sum(values) / len(values))


if __name__ == "__main__":
    main()
