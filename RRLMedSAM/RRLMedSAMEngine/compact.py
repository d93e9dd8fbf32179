"""Weights of a network in a quarter of their room: 8 bits a value, one scale for each output of a layer."""

import torch

SCALE = ".scale"  # ends the name of a tensor that holds the scales of another one
LARGEST = 127
SMALL = 1024  # values up to which a tensor is not worth it


def compacted(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Matrices and kernels as int8 with half precision scales beside them, all else in half precision."""
    stored = {}
    for name, tensor in weights.items():
        tensor = tensor.detach().cpu().float()
        if tensor.dim() < 2 or tensor.numel() <= SMALL:
            stored[name] = tensor.half().contiguous()
            continue
        rows = tensor.flatten(1)
        # In half precision first: what is stored is what it is divided by.
        scale = (rows.abs().amax(dim=1) / LARGEST).half().clamp_min(torch.finfo(torch.float16).smallest_normal)
        whole = (rows / scale.float()[:, None]).round().clamp(-LARGEST, LARGEST)
        stored[name] = whole.to(torch.int8).view(tensor.shape).contiguous()
        stored[name + SCALE] = scale
    return stored


def expanded(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The float32 weights again. Raises ValueError where scales are missing or do not fit."""
    scales = {name.removesuffix(SCALE): t for name, t in stored.items() if name.endswith(SCALE)}
    weights = {}
    for name, tensor in stored.items():
        if name.endswith(SCALE):
            continue
        weights[name] = tensor.float()
        if tensor.dtype == torch.int8:
            scale = scales.pop(name, None)
            if scale is None or not tensor.dim() or scale.shape != tensor.shape[:1]:
                raise ValueError(f"{name} has no scales that fit")
            weights[name] *= scale.float().view(-1, *[1] * (tensor.dim() - 1))
    if scales:
        raise ValueError(f"scales without weights: {sorted(scales)}")
    return weights
