"""Every rule header compiles for CUDA, host and device, without a fused multiply-add."""

from __future__ import annotations

import re
import shutil

import pytest

import compilers
from steepest import _cpu


def test_every_rule_compiles_for_the_device(tmp_path):
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if not nvcc:
        pytest.skip("no nvcc is found")
    compilers.run(
        nvcc,
        "-std=c++17",
        "-fmad=false",
        "-Werror=all-warnings",
        "-Xcompiler=-Wall,-Wextra,-Werror,-ffp-contract=off",
        f"-I{compilers.ROOT / 'csrc'}",
        "-arch=sm_80",
        compilers.NATIVE / "rules.cu",
        "--keep",
        f"--keep-dir={tmp_path}",
        "-c",
        "-o",
        tmp_path / "rules.o",
    )
    ptx = next(tmp_path.glob("*.ptx")).read_text()
    assert ptx.count(".entry") == 2 * len(_cpu.rules())
    assert not re.search(r"\bfma\.", ptx) and not re.search(r"\b(div|sqrt)\.(approx|full)", ptx)
    assert "div.rn.f32" in ptx and "sqrt.rn.f64" in ptx
