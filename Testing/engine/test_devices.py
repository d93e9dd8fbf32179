"""The memory ladder: what runs out of memory goes on further down, and says so."""

import math
import sys

import pytest

torch = pytest.importorskip("torch", reason="the devices are torch's")

from RRLMedSAMEngine import devices, memory, probe  # noqa: E402
from RRLMedSAMEngine.errors import Cancelled, EngineError  # noqa: E402

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
STEPS = [devices.Step(CUDA), devices.Step(CUDA, 1.5), devices.Step(CPU), devices.Step(CPU, 1.5)]


def failing(errors):
    """A run that raises these in turn, then succeeds; it keeps the steps that it was tried on."""
    errors = list(errors)

    def run(step):
        run.tried.append(step)
        if errors:
            raise errors.pop(0)
        return "result"

    run.tried = []
    return run


def test_the_first_step_suffices():
    warnings = []
    assert devices.with_ladder(failing([]), STEPS, warnings.append) == ("result", STEPS[0])
    assert warnings == []


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8000000000 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_each_step_down_is_announced(error):
    warnings = []
    run = failing([error, error])
    assert devices.with_ladder(run, STEPS, warnings.append) == ("result", STEPS[2])
    assert run.tried == STEPS[:3]
    assert len(warnings) == 2 and "coarser grid" in warnings[0] and "on the processor" in warnings[1]


def test_a_real_allocation_that_fails_is_recognised():
    def run(step):
        return torch.empty(int(4e15) if step.coarser == 1 else 10).numel()

    assert devices.with_ladder(run, STEPS[2:], lambda text: None)[0] == 10


def test_the_last_step_fails_with_a_sentence():
    with pytest.raises(EngineError) as caught:
        devices.with_ladder(failing([MemoryError()] * 4), STEPS, lambda text: None)
    assert caught.value.code == "out_of_memory"


def test_other_errors_end_the_run():
    for error in (RuntimeError("shapes differ"), Cancelled(), ValueError()):
        run = failing([error])
        with pytest.raises(type(error)):
            devices.with_ladder(run, STEPS, lambda text: None)
        assert len(run.tried) == 1


def test_a_failed_step_frees_its_memory_before_the_next():
    alive = []

    class Witness:
        def __init__(self):
            alive.append(self)

        def __del__(self):
            freed.append(True)

    freed = []

    def run(step):
        assert step is STEPS[0] or freed
        witness = Witness()
        alive.clear()
        if step is STEPS[0]:
            raise MemoryError
        return witness is not None

    devices.with_ladder(run, STEPS, lambda text: None)


def test_the_ladder_follows_the_choice(monkeypatch):
    assert {step.device.type for step in devices.ladder("cpu")} == {"cpu"}
    monkeypatch.setattr(devices, "has_cuda", lambda: True)
    assert devices.ladder("auto") == STEPS
    monkeypatch.setattr(devices, "has_cuda", lambda: False)
    assert devices.ladder("auto") == STEPS[2:]
    with pytest.raises(EngineError) as caught:
        devices.ladder("cuda")
    assert caught.value.code == "bad_input"


def test_a_card_that_does_not_compute_is_none(monkeypatch):
    """As one whose architecture PyTorch no longer has."""

    def failing(*_args, device):
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", failing)
    assert not devices.has_cuda.__wrapped__()


def test_peak_memory_follows_what_is_used():
    memory.reset_peak()
    before = memory.peak_gb()
    block = bytearray(200_000_000)
    assert 0.15 < memory.peak_gb() - before < 0.4
    del block
    assert 0 < memory.free_gb() < 100_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's way of telling")
def test_a_sandbox_that_hides_the_memory_stops_neither_a_run_nor_the_probe(monkeypatch):
    def hidden(file, key):
        raise PermissionError(file)

    monkeypatch.setattr(memory, "_linux_bytes", hidden)
    assert memory.free_gb() == math.inf
    assert "memory_gb" not in probe.facts() and probe.facts()["torch"]
