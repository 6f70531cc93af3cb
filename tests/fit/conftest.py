"""The folder that the tests of `steepest fit` work in."""

from __future__ import annotations

import numpy as np
import pytest
from fit_runs import ERROR, X, Y


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder with data.csv."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    columns = (X, Y, ERROR, np.cos(9 * X))
    rows = [",".join(repr(float(v)) for v in row) for row in zip(*columns, strict=True)]
    (tmp_path / "data.csv").write_text("x [s],y [mV],error,z\n" + "\n".join(rows) + "\n")
    return tmp_path
