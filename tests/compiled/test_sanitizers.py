"""The engine under the address, undefined-behaviour and thread sanitizers.

native/rules.cpp steps every rule over odd sizes, offsets, cuts and threads, and compares the bits
of all these ways; its arrays end where their memory ends.
"""

from __future__ import annotations

import subprocess

import pytest

import compilers

ADDRESS = ["-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
THREAD = ["-g1", "-fsanitize=thread"]


def rules_of(printed):
    return {line.split()[0] for line in printed.splitlines()}


def test_addresses_and_undefined_behaviour(tmp_path):
    cxx = compilers.compiler("g++", "c++")
    compilers.supports(cxx, ADDRESS, tmp_path)
    program = compilers.program(cxx, tmp_path, ["-O0", *ADDRESS])
    assert {"sgd", "adam", "lion"} < rules_of(compilers.run(program, OMP_WAIT_POLICY="passive"))


def test_races(tmp_path):
    """With OpenMP's few entry points over std::thread, which the sanitizer understands."""
    cxx = compilers.compiler("g++")
    compilers.supports(cxx, THREAD, tmp_path)
    openmp = [compilers.NATIVE / "openmp.cpp"]
    program = compilers.program(cxx, tmp_path, ["-O1", *THREAD], openmp, link=())
    assert {"sgd", "adam", "lion"} < rules_of(compilers.run(program, "threads"))


@pytest.mark.parametrize(
    "flags, statement, report",
    [
        (ADDRESS, "std::vector<int> v(2); return v.data()[2];", "heap-buffer-overflow"),
        (ADDRESS, "int i = 2147483647; i += argc; return i;", "signed integer overflow"),
        (
            THREAD,
            "int x = 0; std::thread t([&] { x = 1; }); x = 2; t.join(); return 0;",
            "data race",
        ),
    ],
    ids=["address", "undefined", "thread"],
)
def test_the_sanitizer_would_see_it(flags, statement, report, tmp_path):
    cxx = compilers.compiler("g++", "c++")
    compilers.supports(cxx, flags, tmp_path)
    source = tmp_path / "wrong.cpp"
    source.write_text(
        f"#include <thread>\n#include <vector>\nint main(int argc, char**) {{ (void)argc; "
        f"{statement} }}\n"
    )
    compilers.run(cxx, "-std=c++17", *flags, source, "-pthread", "-o", tmp_path / "wrong")
    done = subprocess.run([tmp_path / "wrong"], capture_output=True, text=True)
    assert done.returncode != 0 and report in done.stderr
