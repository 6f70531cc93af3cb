"""The module _cuda where there is no driver, and what its kernels were compiled to."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from itertools import product

import pytest

import compilers
import steepest as st

_cuda = pytest.importorskip("steepest._cuda", reason="this build has no CUDA module")
SPEC = importlib.util.spec_from_file_location("asm_cuda", compilers.ROOT / "bench/asm_cuda.py")
asm_cuda = importlib.util.module_from_spec(SPEC)
sys.modules["asm_cuda"] = asm_cuda  # where its dataclass looks for itself
SPEC.loader.exec_module(asm_cuda)


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


ARCHITECTURES = [
    pytest.param(arch, marks=() if arch == "90" else pytest.mark.slow)
    for arch in asm_cuda.architectures()
]


def test_sources_tell_no_architectures_apart_that_share_ptx():
    """csrc/cuda/cuda.cmake makes PTX once for several; __CUDA_ARCH__ is the one it is made for."""
    cmake = (compilers.ROOT / "csrc/cuda/cuda.cmake").read_text()
    pairs = [(int(a), int(b)) for a, b in re.findall(r"\b(\d+),code=sm_(\d+)", cmake)]
    assert len({made_for for made_for, _ in pairs}) < len(pairs)
    text = "".join(source.read_text() for source in (compilers.ROOT / "csrc").rglob("*.[ch]*"))
    asked = re.findall(r"(?<!ifdef )\b__CUDA_ARCH__\b(.*)", text)
    bounds = [int(re.fullmatch(r" >= (\d+)", how)[1]) for how in asked]  # in no other way
    assert bounds
    for made_for, runs_on in pairs:
        assert not [bound for bound in bounds if 10 * made_for < bound <= 10 * runs_on]


@pytest.fixture(scope="module")
def nvcc():
    found = asm_cuda.tool("nvcc")
    if found is None:
        pytest.skip("no nvcc is found")
    return found


@pytest.fixture(scope="module", params=ARCHITECTURES)
def compiled(request, nvcc, tmp_path_factory):
    """The PTX of the kernels, ptxas's report on them, and their object file."""
    return asm_cuda.compiled(nvcc, request.param, tmp_path_factory.mktemp("kernels"))


def test_arithmetic_is_ieee_without_fused_multiply_add(compiled):
    ptx, _, _ = compiled
    assert asm_cuda.NOT_IEEE.findall(ptx) == []
    assert "div.rn.f32" in ptx and "sqrt.rn.f64" in ptx
    assert asm_cuda.NOT_IEEE.findall("fma.rn.f32 a; div.approx.f32 b; sqrt.rn.f32 c;") == [
        "fma.rn.f32",
        "div.approx.f32",
    ]


def test_no_kernel_spills(compiled):
    _, report, _ = compiled
    assert len(asm_cuda.spills(report)) >= 48 and set(asm_cuda.spills(report)) == {0}


@pytest.mark.parametrize("source", ("csrc/linalg/device/kernels.cu", "csrc/nlls/device/kernels.cu"))
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_no_kernel_of_least_squares_spills(nvcc, source, arch, tmp_path):
    _, report, _ = asm_cuda.compiled(nvcc, arch, tmp_path, source)
    spills = asm_cuda.spills(report)
    assert len(spills) >= 10 and set(spills) == {0}


def test_every_rule_loads_and_stores_16_bytes_at_once(compiled):
    """Theta, gradient, states and EMA in and out, zeros to the gradient: float and double."""
    ptx, report, made = compiled
    codes = asm_cuda.by_kind(ptx, report)
    n_states = asm_cuda.states_of_rules()
    assert set(codes) == set(product(n_states, ("float32", "float64"), (32, 256)))
    cuobjdump = asm_cuda.tool("cuobjdump")
    if cuobjdump is not None:
        asm_cuda.disassemble(cuobjdump, made, codes)
        assert all(code.sass is not None for code in codes.values())
    assert asm_cuda.faults(codes, n_states) == []


GLOBAL = r"\b(?:ld|st|atom|red)\.(?:\w+\.)*global(?:\.\w+)*|\bcp\.async\.c\w\b"


def test_kernels_of_a_step_wait_for_earlier_ones(compiled):
    """What csrc/core/device.cu asks a kernel's PTX version for, as it launches it early. Before it
    waits, an update reads what others do not write, but for clocks: past the multiprocessor's own
    cache, as they are looked at again. It writes nothing."""
    ptx, _, _ = compiled
    arch = int(re.search(r"^\.target sm_(\d+)", ptx, re.M)[1])
    kernels = re.findall(r"\.entry \S+(update|measure)_kernel\S*?\((.*?)^}", ptx, re.M | re.S)
    assert len(kernels) >= 50
    lets_next_begin = "griddepcontrol.launch_dependents"  # each update, or a function that it calls
    assert ptx.count(lets_next_begin) == (len(kernels) - 1 if arch >= 90 else 0)
    for kernel, body in kernels:
        early, *after = re.split(r"griddepcontrol\.wait", body)
        if arch < 90:
            assert not after and "griddepcontrol" not in body and "global.cg" not in body
            continue
        assert len(after) == 1
        assert lets_next_begin not in early and "global.cg" not in after[0]
        seen = re.findall(GLOBAL, early)
        if kernel == "measure":
            assert not seen and lets_next_begin not in after[0]
        else:
            clocks = [access for access in seen if access.startswith("ld.global.cg")]
            assert len(clocks) == 4  # steps and scalars of both rows
            assert all(access.startswith("ld.global") for access in seen) and len(seen) <= 8


def test_a_rule_with_narrow_stores_is_a_fault():
    code = asm_cuda.Code(registers=40, spilled=8, loads=4, stores=3, sass=(4, 4))
    assert asm_cuda.faults({("lion", "float32", 256): code}, {"lion": 1}) == [
        "lion, float32, 256 threads: spills 8 bytes",
        "lion, float32, 256 threads: 4 loads and 3 stores of 16 bytes in the PTX where 4 of each "
        "are due",
    ]


def test_a_load_that_waits_for_one_before_it_is_a_fault():
    def line(text, sets=7, waits=0):
        return f"/*0000*/  {text} ;  /* 0x0 */\n  /* 0x{(sets << 5 | waits << 11) << 41:016x} */\n"

    def loads(barrier):  # of the second load's pointer
        return "".join(
            [
                line("LDG.E.128 R4, desc[UR4][R2.64]", sets=4),
                line("IMAD.WIDE R8, R0, 0x10, R8", waits=1 << barrier),
                line("LDG.E.128 R8, desc[UR4][R8.64]", sets=2),
                line("FMUL R4, R4, R8", waits=1 << 4 | 1 << 2),
            ]
        )

    others = 30 * line("FADD R4, R4, R4")
    assert asm_cuda.late_loads(loads(3) + others + loads(3)) == 0
    assert asm_cuda.late_loads(loads(4) + others + loads(3) + others + loads(4)) == 2
    code = asm_cuda.Code(registers=40, spilled=0, loads=5, stores=5, late=2)
    assert asm_cuda.faults({("lion", "float32", 256): code}, {"lion": 1}) == [
        "lion, float32, 256 threads: 2 loads wait for one before them"
    ]
