"""Whether the compiler vectorised every kernel: its own report, per SIMD level.

Compiles the level's source as CMake does, with gcc's vectoriser reporting. Fails on a rule or stage
that was left scalar at a level. `bench/vectorised.py [--build build/dev]`
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from asm import REGISTERS, ROOT, disassembly, level_object, loop, packed

# Not zero: gcc makes it a call of memset.
KERNELS = re.compile(r"(\w+)::\(anonymous namespace\)::(apply|scale|decay|ema|block_sum)<(.*)>")


def compile_commands(build: Path) -> dict[str, tuple[list[str], str]]:
    """The command and folder that compile each level."""
    found = {}
    path = next(iter(sorted(build.glob("**/compile_commands.json"))), None)
    if path is None:
        raise SystemExit(f"{build}: no compile_commands.json; build there first")
    for entry in json.loads(path.read_text()):
        level = re.search(r"-DSTEEPEST_LEVEL=(\w+)", entry["command"])
        if level and entry["file"].endswith("csrc/cpu/level.cpp"):
            found[level[1]] = (shlex.split(entry["command"]), entry["directory"])
    return found


def report(command: list[str], folder: str) -> str:
    """What the vectoriser says about the loops of the file."""
    flags = ["-fopt-info-vec-optimized", "-fopt-info-vec-missed", "-o", "/dev/null"]
    kept = [word for i, word in enumerate(command) if word != "-o" and command[i - 1] != "-o"]
    kept = [word for i, word in enumerate(kept) if word != "-MF" and kept[i - 1] != "-MF"]
    run = subprocess.run([*kept, *flags], cwd=folder, capture_output=True, text=True, check=True)
    return run.stderr


def scalar_kernels(build: Path, level: str) -> list[str]:
    """Kernels whose main loop does not compute on the level's full vectors."""
    found = []
    for name, lines in disassembly(level_object(build, level)).items():
        kernel = KERNELS.search(name)
        if kernel and not packed(loop(lines), REGISTERS[level]):
            found.append(f"{kernel[2]}<{kernel[3]}>")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="the build folder")
    args = parser.parse_args()
    failed = False
    for level, (command, folder) in compile_commands(args.build).items():
        lines = set(report(command, folder).splitlines())
        loops = sorted(line for line in lines if "loop vectorized" in line)
        missed = sorted(line for line in lines if "couldn't vectorize loop" in line)
        print(f"{level}: loops vectorised at {len(loops)} places, not at {len(missed)}")
        for line in loops + missed:
            print("  ", re.sub(r"^.*/(?=\w+\.[ch]pp:)", "", line))
        scalar = scalar_kernels(args.build, level)
        failed = failed or bool(scalar)
        print(f"{level}: scalar kernels: {', '.join(scalar) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
