"""What the CUDA kernels were compiled to: `bench/asm.py cuda`.

For each rule, type and architecture: registers and spills by ptxas's report; 16-byte loads and
stores in the PTX, and in the disassembly where cuobjdump and nvdisasm are found (those of the
toolkit, or of the packages nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm). Exits with 1 where a
kernel spills, where an array is not read or written 16 bytes at a time, where a load waits for one
before it, or where arithmetic is not IEEE.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ("-std=c++17", "-O3", "-fmad=false", "--expt-relaxed-constexpr")  # as csrc/cuda/cuda.cmake
NOT_IEEE = re.compile(r"\bfma\.\S+|\b(?:div|sqrt|rcp|rsqrt)\.(?:approx|full)\S*")
DTYPES = {"f": "float32", "d": "float64"}  # by their mangled names
TOOLS = os.pathsep.join(
    [
        os.environ.get("PATH", ""),
        "/usr/local/cuda/bin",
        f"{sysconfig.get_path('purelib')}/nvidia/cu13/bin",
    ]
)
Kind = tuple[str, str, int]  # a rule, a type, and threads that share a tile


@dataclass
class Code:
    """An update kernel of a single kind for an architecture; accesses are those of 16 bytes."""

    registers: int
    spilled: int  # bytes
    loads: int = 0  # in the PTX
    stores: int = 0
    sass: tuple[int, int] | None = None  # loads and stores, once disassembled
    late: int = 0  # loads that wait for one before them


def architectures() -> list[str]:
    """Those that are built by default."""
    cmake = (ROOT / "csrc/cuda/cuda.cmake").read_text()
    return re.findall(r"\bcode=sm_(\d+)", cmake)


def tool(name: str) -> str | None:
    """A program of the CUDA toolkit, where it is found."""
    return shutil.which(name, path=TOOLS)


def compiled(
    nvcc: str, arch: str, folder: Path, source: str = "csrc/cuda/kernels.cu"
) -> tuple[str, str, Path]:
    """The PTX of a file's kernels, ptxas's report on them, and their object file."""
    made = folder / "kernels.o"
    command = [nvcc, *FLAGS, f"-arch=sm_{arch}", f"-I{ROOT / 'csrc'}", "-Xptxas=-v", "--keep"]
    command += [f"--keep-dir={folder}", "-c", str(ROOT / source), "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return next(folder.glob("*.ptx")).read_text(), done.stdout + done.stderr, made


def kind_of(mangled: str) -> Kind | None:
    """What an update kernel of a single kind updates: the rule as the rule list has it, but for
    underscores."""
    found = re.search(r"update_kernelI.*?ListIJNS\w_4KindINS\w_(\d+)(\w+)", mangled)
    if found is None:
        return None
    name = found[2][: int(found[1])]
    # The kernel of all has the first one's name and others after it.
    single = re.match(r"E([fd])E+Li(\d+)E", found[2][len(name) :])
    return (name.lower(), DTYPES[single[1]], int(single[2])) if single else None


def spills(report: str) -> list[int]:
    """Bytes that each kernel and function spills."""
    return [
        int(a) + int(b)
        for a, b in re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", report)
    ]


def by_kind(ptx: str, report: str) -> dict[Kind, Code]:
    """The update kernels of a single kind."""
    found: dict[Kind, Code] = {}
    entry = r"Compiling entry function '(\S+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads"
    for name, a, b, used in re.findall(entry + r".*?Used (\d+) registers", report, re.S):
        kind = kind_of(name)
        if kind is not None:
            found[kind] = Code(int(used), int(a) + int(b))
    for name, body in re.findall(r"\.entry (\S+?)\((.*?)^}", ptx, re.M | re.S):
        kind = kind_of(name)
        if kind is None:
            continue
        accesses = Counter(re.findall(r"\b(ld|st)\.global\.(?:v4\.[bfu]32|v2\.[bfu]64)", body))
        found[kind].loads, found[kind].stores = accesses["ld"], accesses["st"]
    return found


def late_loads(sass: str) -> int:
    """Loads of 16 bytes that are not issued before one shortly before them has arrived.

    A warp has six barriers. Beside each instruction stands which of them its result will clear,
    and which ones it waits for itself; two that share one are waited for together.
    """
    late, last, held = 0, 0, False
    under_way: set[int] = set()  # barriers of the loads since a while without any
    words = re.findall(r"\*/\s+(\S.*?);\s+/\* 0x\w+ \*/\s+/\* 0x(\w+) \*/", sass)
    for number, (text, high) in enumerate(words):
        control = int(high, 16) >> 41
        awaited = {barrier for barrier in range(6) if control >> 11 >> barrier & 1}
        if number - last >= 25:
            held, under_way = False, set()
        held |= bool(awaited & under_way)
        under_way -= awaited
        if re.search(r"\bLDG\.E\.128\b", text):
            late += held
            held, last = False, number
            under_way.add(control >> 5 & 7)
    return late


def disassemble(cuobjdump: str, made: Path, codes: dict[Kind, Code]) -> None:
    """Fills in what the machine code has."""
    command = [cuobjdump, "--dump-sass", str(made)]
    env = os.environ | {"PATH": TOOLS}  # for nvdisasm, which it calls
    text = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout
    for part in text.split("Function : ")[1:]:
        kind = kind_of(part.split(maxsplit=1)[0])
        if kind is not None:
            wide = (len(re.findall(rf"\b{op}\.E\.128\b", part)) for op in ("LDG", "STG"))
            codes[kind].sass = (next(wide), next(wide))
            codes[kind].late = late_loads(part)


def faults(codes: dict[Kind, Code], n_states: dict[str, int]) -> list[str]:
    """What is not as it must be; each array once, and once more what may be and may be not."""
    found = []
    for (rule, dtype, lanes), code in codes.items():
        name = f"{rule}, {dtype}, {lanes} threads"
        if code.spilled:
            found.append(f"{name}: spills {code.spilled} bytes")
        # Loads: theta, gradient, EMA; stores: these, the gradient zeros; twice in flight for SGD.
        due = (n_states[rule] + 3) * (1 if n_states[rule] else 2)
        if code.late:
            found.append(f"{name}: {code.late} loads wait for one before them")
        for place, seen in (("the PTX", (code.loads, code.stores)), ("machine code", code.sass)):
            if seen is not None and min(seen) < due:
                found.append(
                    f"{name}: {seen[0]} loads and {seen[1]} stores of 16 bytes in {place} "
                    f"where {due} of each are due"
                )
    return found


def states_of_rules() -> dict[str, int]:
    """How many state arrays each rule has."""
    from steepest.updates.rule_list import RULES

    return {name.replace("_", ""): len(rule.states) for name, rule in RULES.items()}


def main(arch: str | None) -> int:
    """Prints the table of an architecture, or of all that are built by default."""
    nvcc, cuobjdump = tool("nvcc"), tool("cuobjdump")
    if nvcc is None:
        raise SystemExit("nvcc is not found")
    print("| sm | rule | type | threads a tile | registers | spilled | PTX | machine code |")
    print("|---|---|---|---|---|---|---|---|")
    wrong = []
    for sm in [arch] if arch is not None else architectures():
        with tempfile.TemporaryDirectory() as folder:
            ptx, report, made = compiled(nvcc, sm, Path(folder))
            codes = by_kind(ptx, report)
            if cuobjdump is not None:
                disassemble(cuobjdump, made, codes)
        for kind, code in sorted(codes.items()):
            machine = "-" if code.sass is None else f"{code.sass[0]} + {code.sass[1]}"
            ptx_has = f"{code.loads} + {code.stores}"
            cells = (sm, *kind, code.registers, code.spilled, ptx_has, machine)
            print("|", *(f"{cell} |" for cell in cells))
        wrong += [f"sm_{sm}: {fault}" for fault in faults(codes, states_of_rules())]
        wrong += [f"sm_{sm}: not IEEE: {found}" for found in sorted(set(NOT_IEEE.findall(ptx)))]
    print("\nloads + stores of 16 bytes;", "faults:" if wrong else "no fault", *wrong, sep="\n")
    return 1 if wrong else 0
