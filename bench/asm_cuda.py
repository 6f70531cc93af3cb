"""What the CUDA kernels were compiled to: `bench/asm.py cuda`.

For each rule and architecture: registers and spills by ptxas's report; 16-byte loads and stores by
type in the PTX, and in the disassembly where cuobjdump is found. Exits with 1 where a kernel
spills, where an array is not read or written 16 bytes at a time, or where arithmetic is not IEEE.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ("-std=c++17", "-O3", "-fmad=false", "--expt-relaxed-constexpr")  # as csrc/cuda/cuda.cmake
NOT_IEEE = re.compile(r"\bfma\.\S+|\b(?:div|sqrt|rcp|rsqrt)\.(?:approx|full)\S*")
PTX_WIDE = {"v4": "float32", "v2": "float64"}  # 16 bytes of either


@dataclass
class Code:
    """A rule's update kernel for an architecture; loads and stores are those of 16 bytes."""

    registers: int
    spilled: int  # bytes
    loads: Counter[str]  # by dtype, in the PTX
    stores: Counter[str]
    sass: tuple[int, int] | None = None  # loads and stores of both types, once disassembled


def architectures() -> list[str]:
    """Those that are built by default."""
    cmake = (ROOT / "csrc/cuda/cuda.cmake").read_text()
    return re.findall(r"\b(\d+)-real\b", cmake)


def tool(name: str) -> str | None:
    """A program of the CUDA toolkit, where it is found."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/cuda/bin")


def compiled(nvcc: str, arch: str, folder: Path) -> tuple[str, str, Path]:
    """The kernels' PTX, ptxas's report on them, and their object file."""
    made = folder / "kernels.o"
    command = [nvcc, *FLAGS, f"-arch=sm_{arch}", f"-I{ROOT / 'csrc'}", "-Xptxas=-v", "--keep"]
    command += [f"--keep-dir={folder}", "-c", str(ROOT / "csrc/cuda/kernels.cu"), "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return next(folder.glob("*.ptx")).read_text(), done.stdout + done.stderr, made


def rule_of(mangled: str) -> str | None:
    """The rule of an update kernel of a single one, as the rule list has it but for underscores."""
    found = re.search(r"update_kernelI.*?ListIJNS\w_(\d+)(\w+)", mangled)
    if found is None or "update_kernel" not in mangled:
        return None
    name = found[2][: int(found[1])]
    # The kernel of all rules has the first one's name and others after it.
    return name.lower() if found[2][len(name) :].startswith("EEEEEEv") else None


def spills(report: str) -> list[int]:
    """Bytes that each kernel and function spills."""
    return [
        int(a) + int(b)
        for a, b in re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", report)
    ]


def by_rule(ptx: str, report: str) -> dict[str, Code]:
    """The update kernels of single rules."""
    found: dict[str, Code] = {}
    entry = r"Compiling entry function '(\S+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads"
    for name, a, b, used in re.findall(entry + r".*?Used (\d+) registers", report, re.S):
        rule = rule_of(name)
        if rule is not None:
            found[rule] = Code(int(used), int(a) + int(b), Counter(), Counter())
    for name, body in re.findall(r"\.entry (\S+?)\((.*?)^}", ptx, re.M | re.S):
        rule = rule_of(name)
        if rule is None:
            continue
        for kind, width in re.findall(r"\b(ld|st)\.global\.(v[24])\.[bfu](?:32|64)", body):
            code = found[rule]
            (code.loads if kind == "ld" else code.stores)[PTX_WIDE[width]] += 1
    return found


def disassemble(cuobjdump: str, made: Path, codes: dict[str, Code]) -> None:
    """Fills in what the machine code has."""
    command = [cuobjdump, "--dump-sass", str(made)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for part in text.split("Function : ")[1:]:
        rule = rule_of(part.split(maxsplit=1)[0])
        if rule is not None:
            wide = (len(re.findall(rf"\b{op}\.E\.128\b", part)) for op in ("LDG", "STG"))
            codes[rule].sass = (next(wide), next(wide))


def faults(codes: dict[str, Code], n_states: dict[str, int]) -> list[str]:
    """What is not as it must be; each array once, and once more what may be and may be not."""
    found = []
    for rule, code in codes.items():
        if code.spilled:
            found.append(f"{rule}: spills {code.spilled} bytes")
        loads, stores = n_states[rule] + 3, n_states[rule] + 3  # theta, gradient, EMA; zeros
        for dtype in PTX_WIDE.values():
            if code.loads[dtype] < loads or code.stores[dtype] < stores:
                seen = f"{code.loads[dtype]} loads and {code.stores[dtype]} stores"
                found.append(f"{rule}, {dtype}: {seen} of 16 bytes where {loads} of each are due")
        if code.sass is not None and min(code.sass) < 2 * loads:
            found.append(f"{rule}: {code.sass} of 16 bytes in the machine code, {2 * loads} due")
    return found


def states_of_rules() -> dict[str, int]:
    """How many state arrays each rule has."""
    from steepest.rule_list import RULES

    return {name.replace("_", ""): len(states) for name, (_, _, states, _) in RULES.items()}


def main(arch: str | None) -> int:
    """Prints the table of an architecture, or of all that are built by default."""
    nvcc, cuobjdump = tool("nvcc"), tool("cuobjdump")
    if nvcc is None:
        raise SystemExit("nvcc is not found")
    print("| sm | rule | registers | spilled | PTX float32 | PTX float64 | machine code |")
    print("|---|---|---|---|---|---|---|")
    wrong = []
    for sm in [arch] if arch is not None else architectures():
        with tempfile.TemporaryDirectory() as folder:
            ptx, report, made = compiled(nvcc, sm, Path(folder))
            codes = by_rule(ptx, report)
            if cuobjdump is not None:
                disassemble(cuobjdump, made, codes)
        for rule, code in sorted(codes.items()):
            counts = [f"{code.loads[d]} + {code.stores[d]}" for d in PTX_WIDE.values()]
            machine = "-" if code.sass is None else f"{code.sass[0]} + {code.sass[1]}"
            cells = (sm, rule, code.registers, code.spilled, *counts, machine)
            print("|", *(f"{cell} |" for cell in cells))
        wrong += [f"sm_{sm}: {fault}" for fault in faults(codes, states_of_rules())]
        wrong += [f"sm_{sm}: not IEEE: {found}" for found in sorted(set(NOT_IEEE.findall(ptx)))]
    print("\nloads + stores of 16 bytes;", "faults:" if wrong else "no fault", *wrong, sep="\n")
    return 1 if wrong else 0
