"""The descent is Adam with a cosine, as torch has it, without what torch loads for it."""

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing")

from RRLMedSAMEngine.descent import BETAS, LAST, Descent  # noqa: E402

ENGINE = Path(__file__).resolve().parents[2] / "RRLMedSAM"


def test_it_goes_where_torch_s_own_goes():
    steps, middle = 40, torch.linspace(-3, 4, 12, dtype=torch.float64).view(2, 6)

    def slope(x):
        return (x - middle) ** 3 + 0.1 * torch.sin(5 * x)

    mine, theirs = torch.zeros_like(middle), torch.zeros_like(middle, requires_grad=True)
    descent, optimiser = Descent(mine, steps), torch.optim.Adam([theirs], lr=1.0, betas=BETAS)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, LAST)
    for _ in range(steps):
        theirs.grad = slope(theirs.detach())
        optimiser.step()
        scheduler.step()
        descent.move(mine, slope(mine))
        assert torch.allclose(mine, theirs.detach(), atol=1e-9)
    assert (mine - middle).abs().max() < 1


def test_a_segmentation_does_not_load_the_compiler():
    """It would be most of the wait for the first result of a process."""
    script = (
        "import sys, numpy as np\n"
        f"sys.path[:0] = [{str(ENGINE)!r}, {str(Path(__file__).parent)!r}]\n"
        "from enginekit import phantom\n"
        "from RRLMedSAMEngine import pipeline\n"
        "from RRLMedSAMEngine.geometry import Geometry\n"
        "from RRLMedSAMEngine.image import Volume\n"
        "image, labels, matrix = phantom((22, 24, 22))\n"
        "image, labels = (Volume(array, Geometry(matrix, array.shape)) for array in (image, labels))\n"
        "settings = pipeline.Settings('fast', 'cpu', 'general')\n"
        "pipeline.segment(image, [labels], image, settings, progress=print, warn=print, cancelled=lambda: False)\n"
        "assert 'torch.nn' in sys.modules and 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, stdout=subprocess.DEVNULL)
