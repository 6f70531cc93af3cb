"""The module _cuda where there is no driver, and what its kernels were compiled to."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

import compilers
import steepest as st

_cuda = pytest.importorskip("steepest._cuda", reason="this build has no CUDA module")
NVCC = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")


def no_device():
    try:
        _cuda.device_count()
    except st.BackendError as error:
        return str(error)
    pytest.skip("there is a device")


def test_a_call_without_a_driver_carries_the_runtimes_code_and_text():
    text = no_device()
    assert re.fullmatch(r"cudaGetDeviceCount: CUDA error \d+ \(cudaError\w+\): .+", text), text


def test_info_says_why_cuda_is_not_usable():
    text = no_device()
    assert st.info()["cuda"].endswith(f"; not usable: {text}")


def test_the_import_needs_no_driver_and_no_cupy():
    code = "import sys, steepest._cuda; sys.exit('cupy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The PTX of the kernels, and ptxas's report on them."""
    if not NVCC:
        pytest.skip("no nvcc is found")
    folder = tmp_path_factory.mktemp("kernels")
    command = [
        NVCC,
        *("-std=c++17", "-O3", "-arch=sm_90", "-fmad=false", "--expt-relaxed-constexpr"),
        *(f"-I{compilers.ROOT / 'csrc'}", "-Xptxas=-v", "--keep", f"--keep-dir={folder}"),
        *("-c", compilers.ROOT / "csrc/cuda/kernels.cu", "-o", folder / "kernels.o"),
    ]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.ptx")).read_text(), done.stdout + done.stderr


def test_arithmetic_is_ieee_without_fused_multiply_add(compiled):
    ptx, _ = compiled
    assert not re.search(r"\bfma\.", ptx)
    assert not re.search(r"\b(div|sqrt)\.(approx|full)", ptx)
    assert "div.rn.f32" in ptx and "sqrt.rn.f64" in ptx


def test_no_kernel_spills(compiled):
    _, report = compiled
    spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", report)
    assert len(spills) >= 24
    assert {n for pair in spills for n in pair} == {"0"}


def test_every_rule_loads_and_stores_16_bytes_at_once(compiled):
    """Theta and gradient in, theta out, and both ways for each state: float and double."""
    ptx, _ = compiled
    kernels = re.findall(r"\.entry (\S*update_kernel\S*?)\((.*?)^}", ptx, re.M | re.S)
    assert len(kernels) >= 25
    for name, body in kernels:
        for kind in ("v4.f32", "v4.b32", "v4.u32"):
            body = body.replace(kind, "wide")
        for kind in ("v2.f64", "v2.b64", "v2.u64"):
            body = body.replace(kind, "wide")
        loads, stores = len(re.findall(r"ld\.\S*wide", body)), len(re.findall(r"st\.\S*wide", body))
        assert loads >= 6 and stores >= 4, (name, loads, stores)
