"""Prints the loop of a rule at a SIMD level: `bench/asm.py adam avx2 [float64]`.

`bench/asm.py cuda [90]` reports on the CUDA kernels: see asm_cuda.py.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import asm_cuda

ROOT = Path(__file__).resolve().parent.parent
CONDITIONAL = re.compile(r"\tj(?!mp)[a-z]+ +([0-9a-f]+) ")

ARITHMETIC = r"\tv?(?:add|sub|mul|div|sqrt|max|min|fmadd\d+)p[sd]"
REGISTERS = {"base": "x", "avx2": "y", "avx512": "z"}  # the widest of a level


def level_object(build: Path, level: str) -> Path:
    """The object file of the update kernels at a level."""
    found = sorted(build.glob(f"**/updates_{level}.dir/**/level.cpp.o"))
    if not found:
        raise SystemExit(f"{build}: no object of level {level!r}; build there first")
    return found[0]


def disassembly(code: Path) -> dict[str, list[str]]:
    """The instructions of each function, by its demangled name."""
    command = ["objdump", "-d", "-C", "--no-show-raw-insn", str(code)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    functions: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        head = re.match(r"[0-9a-f]+ <(.*)>:$", line)
        if head:
            lines = functions.setdefault(head[1], [])
        elif re.match(r" *[0-9a-f]+:\t", line):
            lines.append(line)
    return functions


def kernel(functions: dict[str, list[str]], rule: str, dtype: str, level: str) -> list[str]:
    """The function that applies a rule."""
    kind = {"float32": "float", "float64": "double"}[dtype]
    wanted = re.compile(rf"{level}::\(anonymous namespace\)::apply<[\w:]*::(\w+), {kind}>")
    names = {m[1].lower(): name for name in functions if (m := wanted.search(name))}
    key = rule.replace("_", "")
    if key not in names:
        raise SystemExit(f"rule {rule!r} is not one of {', '.join(sorted(names))}")
    return functions[names[key]]


def loop(lines: list[str]) -> list[str]:
    """The loop that computes most on the widest vectors: from a target to the jump back to it."""
    starts = {address(line): i for i, line in enumerate(lines)}
    found: list[list[str]] = [[]]
    for i, line in enumerate(lines):
        jump = CONDITIONAL.search(line)
        start = starts.get(jump[1], i) if jump else i
        if start < i:
            found.append(lines[start : i + 1])
    return max(found, key=lambda body: [packed(body, register) for register in "zyx"])


def address(line: str) -> str:
    return line.split(":")[0].strip()


def packed(lines: list[str], register: str) -> int:
    """How many of the instructions compute on vectors of a kind."""
    return sum(re.search(rf"{ARITHMETIC} .*%{register}mm", line) is not None for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rule")
    parser.add_argument("level", choices=["base", "avx2", "avx512"])
    parser.add_argument("dtype", nargs="?", choices=["float32", "float64"], default="float32")
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="the build folder")
    if sys.argv[1:2] == ["cuda"]:
        return asm_cuda.main(sys.argv[2] if len(sys.argv) > 2 else None)
    args = parser.parse_args()
    functions = disassembly(level_object(args.build, args.level))
    found = loop(kernel(functions, args.rule, args.dtype, args.level))
    print("\n".join(found) if found else "no loop found")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
