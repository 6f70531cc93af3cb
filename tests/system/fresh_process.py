"""A fresh interpreter, for what holds of a whole process, and what a machine must have."""

import os
import subprocess
import sys
import textwrap

import pytest

from steepest import _cpu

BIG = 1 << 40  # bytes: enough for any team
linux = pytest.mark.skipif(sys.platform != "linux", reason="affinity and groups are Linux's")
openmp = pytest.mark.skipif(not _cpu.openmp, reason="built without OpenMP")


def run(code, timeout=60, **env):
    """What the code prints in a fresh interpreter; `team()` there gives a real team's size."""
    prelude = f"import os, sys\nimport steepest as st\nfrom steepest import _cpu\nBIG = {BIG}\n"
    prelude += "def team(): return len(_cpu.probe_team(BIG))\n"
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", prelude + textwrap.dedent(code)],
        env={**clean, "PYTHONPATH": os.pathsep.join(sys.path), **env},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
