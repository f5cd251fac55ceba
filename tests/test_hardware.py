"""Devices, precision, memory and the allocator."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from luthier import hardware
from luthier.errors import RecipeError

CPU = torch.device("cpu")


def test_auto_finds_a_device():
    found = hardware.device("auto")
    assert found.type == ("cuda" if torch.cuda.is_available() else found.type)
    assert torch.ones(2, device=found).sum().item() == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(
        RecipeError, match=r"train.device is 'cuda', but PyTorch .* finds no such device .* Set train.device"
    ):
        hardware.device("cuda")


def test_fp16_is_refused_on_a_cpu():
    with pytest.raises(
        RecipeError, match=r"'fp16', which overflows and is slow on a CPU. Set train.precision to bf16, fp32 or auto"
    ):
        hardware.precision("fp16", CPU)


def test_a_precision_asked_for_is_taken():
    assert hardware.precision("bf16", CPU) == hardware.Precision("bf16", "the recipe asks for it")


def test_auto_precision_is_measured_and_explained():
    chosen = hardware.precision("auto", CPU)
    assert chosen.name in {"fp32", "bf16"}
    assert "of the time it takes in fp32 on this CPU" in chosen.reason
    assert hardware.precision("auto", CPU) is chosen


@pytest.mark.parametrize(("seconds", "name"), [({False: 2.0, True: 1.0}, "bf16"), ({False: 1.2, True: 1.0}, "fp32")])
def test_bf16_must_be_clearly_faster(seconds, name):
    assert hardware.judge(seconds[False], seconds[True]).name == name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_precision_and_memory():
    on = torch.device("cuda")
    assert hardware.precision("auto", on).name == ("bf16" if torch.cuda.is_bf16_supported() else "fp32")
    hardware.reset_peak_memory()
    block = torch.ones(2**22, device=on)
    assert hardware.peak_memory_mb(on) >= block.numel() * 4 / 2**20


def test_peak_memory_sees_a_large_array():
    before = hardware.peak_memory_mb()
    block = np.ones(2**25)  # 256 MiB
    assert hardware.peak_memory_mb() >= max(before, block.nbytes / 2**20)


@pytest.mark.parametrize(
    ("device", "clock", "processor", "expected"),
    [("cpu", 10.0, 3.0, 3.0), ("cpu", 10.0, 19.0, 10.0), ("cuda", 10.0, 3.0, 10.0)],
    ids=["waiting for a processor", "several threads", "a device that works alone"],
)
def test_a_watch_counts_work(device, clock, processor, expected, monkeypatch):
    times = {"perf_counter": iter([100.0, 100.0 + clock]), "process_time": iter([5.0, 5.0 + processor])}
    for name, values in times.items():
        monkeypatch.setattr(hardware.time, name, values.__next__)
    assert hardware.Watch(torch.device(device)).seconds == expected


def test_the_allocator_keeps_what_is_freed():
    """In a process of its own, since the setting stays for good: the second round of a large block costs no page faults."""
    program = (
        "import resource, numpy as np\n"
        "from luthier.hardware import tune_allocator\n"
        "tuned = tune_allocator()\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(10): np.ones(2**24)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "faults()\n"
        "print(int(tuned), faults())\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    tuned, faults = map(int, run.stdout.split())
    if not tuned:
        pytest.skip("the C library is not glibc")
    assert faults < 1000  # untuned: 10 blocks x 32768 pages, or 640 with huge pages


def test_free_disk_of_a_folder_to_be_made(tmp_path):
    assert hardware.free_disk(tmp_path / "a" / "b") == pytest.approx(hardware.free_disk(tmp_path), rel=0.1)


def test_describe_is_plain_and_complete():
    facts = hardware.describe()
    assert set(facts) == {"cpu", "cores", "memory_gb", "gpu", "os", "python"}
    assert facts["cores"] >= 1
    assert facts["memory_gb"] > 0
    assert facts["cpu"]
