"""What this process has used of the machine's memory, and what is free. Standard library only."""

import contextlib
import ctypes
import math
import sys

from . import allocator

GB = 1e9

# What numpy, torch on the CPU, CUDA's libraries and ITK say when an allocation fails.
_PHRASES = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "alloc_failed",
    "unable to allocate",
    "failed to allocate",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on the CPU or on a graphics card."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _PHRASES)


def peak_gb() -> float:
    """Largest resident memory of this process, since `reset_peak` where the system can count anew."""
    if sys.platform.startswith("linux"):
        # Not getrusage: that counts the memory of the process that started this one, too.
        with contextlib.suppress(OSError):  # not every sandbox tells it
            return _linux_bytes("/proc/self/status", "VmHWM") / GB
    if sys.platform == "win32":
        return _windows_peak_bytes() / GB
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GB


def reset_peak() -> None:
    """Gives back what earlier runs left free and starts `peak_gb` anew, so that a run neither holds nor reports their
    memory; Linux only."""
    allocator.give_back()
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError):  # a container may forbid it: then the process's peak is told
            with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
                file.write("5")


def free_gb() -> float:
    """Memory that can be had without swapping; infinite where the system does not tell."""
    with contextlib.suppress(OSError, RuntimeError):  # in a sandbox, say
        if sys.platform.startswith("linux"):
            return _linux_bytes("/proc/meminfo", "MemAvailable") / GB
        if sys.platform == "win32":
            return _windows_free_bytes() / GB
        return _sysctl(b"hw.memsize", ctypes.c_uint64) * _sysctl(b"kern.memorystatus_level", ctypes.c_uint32) / 100 / GB
    return math.inf


def _linux_bytes(file: str, key: str) -> int:
    with open(file, encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    raise OSError(f"{file} has no {key}")


def _sysctl(name: bytes, kind) -> int:
    value = kind()
    size = ctypes.c_size_t(ctypes.sizeof(value))
    if ctypes.CDLL(None).sysctlbyname(name, ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)):
        raise RuntimeError("sysctlbyname failed")
    return value.value


class _ProcessMemory(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS"""

    _fields_ = [("size", ctypes.c_uint32), ("faults", ctypes.c_uint32), ("peak", ctypes.c_size_t)] + [
        (name, ctypes.c_size_t) for name in ("resident", "a", "b", "c", "d", "pagefile", "peak_pagefile")
    ]


class _MachineMemory(ctypes.Structure):
    """MEMORYSTATUSEX"""

    _fields_ = [("size", ctypes.c_uint32), ("load", ctypes.c_uint32)] + [
        (name, ctypes.c_uint64) for name in ("total", "free", "a", "b", "c", "d", "e")
    ]


def _windows_peak_bytes() -> int:
    counters = _ProcessMemory(size=ctypes.sizeof(_ProcessMemory))
    kernel = ctypes.windll.kernel32
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel.GetCurrentProcess())
    kernel.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.size)
    return counters.peak


def _windows_free_bytes() -> int:
    status = _MachineMemory(size=ctypes.sizeof(_MachineMemory))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return status.free
