"""The rules compiled for other machines give the bits of this one."""

from __future__ import annotations

import pytest

import compilers

# Fused multiply-add is in the baseline of 64-bit ARM and s390x, which is big-endian too; 32-bit ARM
# has neither, and a size_t of 32 bits.
MACHINES = {
    "aarch64": "aarch64-linux-gnu",
    "s390x": "s390x-linux-gnu",
    "arm": "arm-linux-gnueabihf",
}
LINK = ("-fopenmp", "-static")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """What the program prints on this machine."""
    folder = tmp_path_factory.mktemp("here")
    program = compilers.program(compilers.compiler("g++"), folder, ["-O1"], link=LINK)
    printed = compilers.run(program, OMP_WAIT_POLICY="passive")
    assert len(printed.splitlines()) >= 2 * 19  # two types of each rule
    return printed


@pytest.mark.parametrize("machine", MACHINES)
def test_same_bits_as_here(machine, tmp_path, request):
    cross = compilers.compiler(f"{MACHINES[machine]}-g++")
    emulator = compilers.compiler(f"qemu-{machine}", f"qemu-{machine}-static")
    program = compilers.program(cross, tmp_path, ["-O3"], link=LINK)
    printed = compilers.run(emulator, program, OMP_WAIT_POLICY="passive")
    assert printed == request.getfixturevalue("here")


def test_same_bits_on_32_bit_x86(tmp_path, request):
    cxx = compilers.compiler("g++")
    flags = ["-m32", *compilers.SSE2]
    compilers.supports(cxx, [*flags, *LINK], tmp_path)
    program = compilers.program(cxx, tmp_path, ["-O3", *flags], link=LINK)
    printed = compilers.run(program, OMP_WAIT_POLICY="passive")
    assert printed == request.getfixturevalue("here")


def test_more_digits_than_a_type_has_are_refused(tmp_path):
    cxx = compilers.compiler("g++")
    compilers.supports(cxx, ["-mfpmath=387"], tmp_path)  # where x86 is
    source = compilers.ROOT / "csrc/core/float_mode.cpp"
    command = [cxx, *compilers.STANDARD, "-fsyntax-only", source]
    compilers.run(*command)
    with pytest.raises(AssertionError, match="set CXXFLAGS to -msse2 -mfpmath=sse"):
        compilers.run(*command, "-mfpmath=387")
