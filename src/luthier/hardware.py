"""What the machine offers and how to use it well: device, precision, memory, allocator.

Every choice comes with the sentence that explains it.
"""

import ctypes
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from luthier.errors import RecipeError

if TYPE_CHECKING:
    import torch

DeviceChoice = Literal["auto", "cpu", "cuda", "mps"]
PrecisionChoice = Literal["auto", "fp32", "bf16", "fp16"]

WORTHWHILE = 1.3
"""bf16 must be this many times faster than fp32 in a product to be chosen: the rest of a step stays in fp32."""

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Parameters of glibc's mallopt(3), from malloc.h."""

GIB = 1 << 30

CGROUP = Path("/sys/fs/cgroup")
CGROUPS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)
"""Limit, use, and the part of the use that the kernel gives back when asked, of control groups version 2 and 1: what a container sees
as its own group. Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of Linux."""


@dataclass(frozen=True)
class Precision:
    """Number format of the matrix products, and why it was chosen."""

    name: Literal["fp32", "bf16", "fp16"]
    reason: str


def device(choice: DeviceChoice = "auto") -> "torch.device":
    """The device to compute on; `auto` takes the first of cuda, mps, cpu that is there.

    Raises:
        RecipeError: the device asked for is not there.
    """
    import torch

    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if choice == "auto":
        return torch.device(next(kind for kind, there in present.items() if there))
    if not present[choice]:
        raise RecipeError(
            f"train.device is {choice!r}, but PyTorch {torch.__version__} finds no such device on this machine; "
            f"it finds {', '.join(kind for kind, there in present.items() if there)}. "
            "Set train.device to one of them or to auto."
        )
    return torch.device(choice)


def precision(choice: PrecisionChoice, on: "torch.device") -> Precision:
    """The number format to compute in; `auto` measures.

    Raises:
        RecipeError: fp16 on a CPU.
    """
    if choice == "fp16" and on.type == "cpu":
        raise RecipeError(
            "train.precision is 'fp16', which overflows and is slow on a CPU. "
            "Set train.precision to bf16, fp32 or auto."
        )
    if choice != "auto":
        return Precision(choice, "the recipe asks for it")
    return _measured() if on.type == "cpu" else _supported(on)


def _supported(on: "torch.device") -> Precision:
    import torch

    if on.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return Precision("bf16", f"{torch.cuda.get_device_name(on)} computes it natively")
    return Precision("fp32", f"the {on.type} device has no native bf16")


def judge(fp32: float, bf16: float) -> Precision:
    """Choose from the seconds that the same product takes in both formats on a CPU."""
    said = f"a product in bf16 takes {bf16 / fp32:.2f} of the time it takes in fp32 on this CPU"
    if fp32 / bf16 >= WORTHWHILE:
        return Precision("bf16", said)
    return Precision("fp32", f"{said}, too little to gain")


@cache
def _measured() -> Precision:
    """Time the forward and backward of a linear layer as training computes it, fp32 and bf16 autocast taking turns."""
    import torch

    from luthier.models.quick import quicken

    with torch.random.fork_rng(devices=[]):
        layer = quicken(torch.nn.Sequential(torch.nn.Linear(512, 512)))
        rows = torch.randn(1024, 512)

    def step(low: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            layer(rows).sum().backward()

    for low in (False, True):
        step(low)
    times = [(_seconds(lambda: step(False)), _seconds(lambda: step(True))) for _ in range(5)]
    fp32, bf16 = (min(column) for column in zip(*times, strict=True))
    return judge(fp32, bf16)


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Watch:
    """Seconds of work since it was made, as the clock would show them on a quiet machine.

    Other programs make a process wait for a processor, which its own time does not count; several threads make that larger than the
    clock's. A GPU computes while its process stands still, so there it is the clock's.

    Args:
        on: device that computes.
    """

    def __init__(self, on: "torch.device") -> None:
        self._on = on.type
        self._clock, self._processor = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        """Until now."""
        clock, processor = time.perf_counter() - self._clock, time.process_time() - self._processor
        return min(clock, processor) if self._on == "cpu" else clock


def tune_allocator() -> bool:
    """Let malloc keep freed memory for the next step instead of returning it to the system.

    By default glibc maps every large block anew and unmaps it when it is freed, so that each activation of each step
    costs page faults.

    Returns:
        Whether the settings were accepted; False, and no effect, where the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {M_MMAP_THRESHOLD: GIB, M_TRIM_THRESHOLD: 2 * GIB - 1, M_TOP_PAD: 64 << 20}
    accepted = [mallopt(ctypes.c_int(name), ctypes.c_int(value)) for name, value in settings.items()]
    return all(accepted)


def reset_peak_memory() -> None:
    """Start measuring the peak anew, where the system allows: on GPUs and on Linux."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    clear = Path("/proc/self/clear_refs")
    if os.access(clear, os.W_OK):
        clear.write_text("5")


def peak_memory_mb(on: "torch.device | None" = None) -> float:
    """Most memory held since the start or the last reset, in MiB: of the GPU if `on` is one, else of this process."""
    if on is not None and on.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(on) / 2**20
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def memory_bytes() -> int:
    """Main memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def available_memory() -> int:
    """Main memory that can be had without swapping, in bytes, within the limit of a container or batch job."""
    import psutil

    free = int(psutil.virtual_memory().available)
    return min([free, *(limit for limit in map(_left_in, CGROUPS) if limit is not None)])


def _left_in(group: tuple[str, str, str]) -> int | None:
    """Bytes left under the limit of a control group; None where there is no such group, or no limit."""
    limit, used, reclaimable = group
    files = [CGROUP / limit, CGROUP / used, CGROUP / Path(used).parent / "memory.stat"]
    if not all(os.access(file, os.R_OK) for file in files):
        return None
    allowed, taken, stat = (file.read_text() for file in files)
    if not allowed.strip().isdigit():  # `max`
        return None
    files_held = [line.split()[1] for line in stat.splitlines() if line.startswith(f"{reclaimable} ")]
    return max(0, int(allowed) - int(taken) + sum(map(int, files_held)))


def resident_memory() -> int:
    """Main memory that this process holds, in bytes."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def free_disk(path: Path) -> int:
    """Bytes free on the disk that holds `path`, which need not exist yet."""
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def describe() -> dict[str, Any]:
    """The machine in plain values, for the resolved recipe and for benchmark tables."""
    import torch

    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_gb": round(memory_bytes() / GIB, 1),
        "gpu": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "os": platform.platform(),
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
