"""The similarity's exact gradient, against automatic differentiation of its definition."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import torch.nn.functional as F  # noqa: E402
from RRLMedSAMEngine import filters  # noqa: E402
from RRLMedSAMEngine.similarity import LocalCorrelation  # noqa: E402


def box_mean(x, width):
    kernel = torch.ones(1, 1, width, width, width, dtype=x.dtype)
    count = F.conv3d(torch.ones_like(x)[None, None], kernel, padding=width // 2)
    return (F.conv3d(x[None, None], kernel, padding=width // 2) / count)[0, 0]


@pytest.mark.parametrize("width", [3, 5, 7])
def test_gradient_is_exact(width):
    torch.manual_seed(0)
    fixed, moving, weight = torch.rand(3, 9, 8, 7, dtype=torch.float64)
    moving.requires_grad_()
    covariance = box_mean(fixed * moving, width) - box_mean(fixed, width) * box_mean(moving, width)
    variances = [box_mean(x * x, width) - box_mean(x, width) ** 2 for x in (fixed, moving)]
    expected = (covariance**2 / (variances[0] * variances[1] + 1e-8) * weight).sum() / weight.sum()
    expected.backward()
    value, gradient = LocalCorrelation(fixed, width, weight).gradient(moving.detach())
    assert torch.allclose(value, expected.detach(), atol=1e-12)
    assert torch.allclose(gradient, moving.grad, atol=1e-12)


def test_inverted_contrast_agrees_as_well():
    torch.manual_seed(0)
    image = filters.gaussian(10 * torch.rand(20, 20, 20), 1.5)
    agreement = LocalCorrelation(image, 5).map(1 - image)
    assert float(agreement[4:-4, 4:-4, 4:-4].min()) > 0.9


def test_filters_against_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    x = torch.rand(11, 12, 13, dtype=torch.float64)
    box = ndimage.uniform_filter(x.numpy(), 5, mode="constant") * 125
    assert torch.allclose(filters.box_sum(x, 5), torch.from_numpy(box))
    smooth = ndimage.gaussian_filter(x.numpy(), 1.2, radius=3, mode="nearest")
    assert torch.allclose(filters.gaussian(x, 1.2), torch.from_numpy(smooth))
    slopes = filters.gradient(x)[0]  # along i, the last axis
    assert torch.allclose(slopes[..., 1:-1], (x[..., 2:] - x[..., :-2]) / 2)
