"""What all commands share: how failures are told, numbers taken, and text printed anywhere."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import subprocess
import sys

import pytest

from steepest import _cpu, cli, system
from steepest.apps import info
from steepest.errors import BackendError

ASCII = {
    "stream": {"PYTHONIOENCODING": "ascii"},
    "locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


def steepest(*arguments, **more):
    """The command in a process of its own, its streams as bytes."""
    unset = {"PYTHONIOENCODING", "PYTHONUTF8", "OMP_NUM_THREADS"}
    env = {name: value for name, value in os.environ.items() if name not in unset}
    env |= {"PYTHONPATH": os.pathsep.join(sys.path), **more.pop("env", {})}
    command = [sys.executable, "-m", "steepest", *arguments]
    return subprocess.run(command, env=env, capture_output=True, **more)


@pytest.mark.parametrize("env", ASCII.values(), ids=ASCII)
@pytest.mark.parametrize(
    "arguments",
    [
        "info",
        "bench --quick --rules sgd --sizes 1x10 --seconds 1e-4 --alone",
        "race bowl -o adam --steps 5",
        "race --list",
        "fit data.csv y=a*x",
        "advise --kind loss --parameters 50 --condition bad --batch full --hessian yes",
        "advise --kind linear --parameters 50 --condition bad --matrix spd",
    ],
)
def test_output_that_has_no_unicode_loses_single_characters(env, arguments, tmp_path):
    if arguments.startswith(("race bowl", "fit")):
        pytest.importorskip("matplotlib")
        pytest.importorskip("sympy")
    (tmp_path / "data.csv").write_text("x [\u00b5s],y\n1,2\n2,3\n3,5\n", encoding="utf-8")
    done = steepest(*arguments.split(), env=env, cwd=tmp_path)
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    assert done.stdout.isascii() and len(done.stdout) > 200


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("a: 1 is not allowed"), "a: 1 is not allowed"),
        (FileNotFoundError(2, "No such file", "a.png"), "a.png: No such file"),
        (OSError("no space"), "no space"),
        (ModuleNotFoundError("no b", name="sympy.b"), "no b; pip install 'steepest[demo]'\n"),
        (ModuleNotFoundError("No module named 'scipy'", name="scipy"), "No module named 'scipy'\n"),
        (MemoryError("Unable to allocate 8 EiB"), "Unable to allocate 8 EiB"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_failures_are_a_line_and_exit_status_two(error, message, capsys, monkeypatch):
    def fail(args):
        raise error

    monkeypatch.setattr(info, "main", fail)
    assert cli.main(["info"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"steepest info: {message}") and said.count("\n") == 1


def test_a_failed_library_is_exit_status_one(capsys, monkeypatch):
    def fail(args):
        raise BackendError("CUDA error 100")

    monkeypatch.setattr(info, "main", fail)
    assert cli.main(["info"]) == 1
    assert capsys.readouterr() == ("", "steepest info: CUDA error 100\n")


def test_the_commands_are_listed_and_one_is_required(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    listed = capsys.readouterr().out
    for name in ("demo", "bench", "info", "fit", "race", "advise"):
        assert f"\n    {name} " in listed
    with pytest.raises(SystemExit, match="2"):
        cli.main([])
    said = capsys.readouterr().err
    assert said.endswith("steepest: error: the following arguments are required: COMMAND\n")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_says_what_a_command_does(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit, match="0"):
        cli.main([name, "--help"])
    told = importlib.import_module(f"steepest.apps.{name}").HELP
    assert f"\n{told}\n" in capsys.readouterr().out


@pytest.mark.parametrize("built", ["1.2.3", ""])  # a build in the tree has none
def test_the_version_is_told(built, capsys, monkeypatch):
    monkeypatch.setattr(_cpu, "version", built)
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    told = built or "(run from its tree, not installed)"
    assert capsys.readouterr().out == f"steepest {told}\n"


def test_a_reader_that_has_gone_is_no_failure_to_tell():
    reads, writes = os.pipe()
    os.close(reads)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": ""}
    code = "import sys; from steepest import cli; from steepest.apps import info\n"
    code += "info.main = lambda args: print('a') or 0\nsys.exit(cli.main(['info']))"
    done = subprocess.run([sys.executable, "-c", code], env=env, stdout=writes, stderr=-1)
    os.close(writes)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("stdout", [None, io.StringIO()], ids=["closed", "a notebook's"])
def test_any_output_will_do(stdout, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stdout)
    assert cli.main(["info"]) == 0


def test_a_character_that_the_output_lacks_is_a_question_mark(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw := io.BytesIO(), encoding="ascii"))
    monkeypatch.setattr(info, "main", lambda args: print("2 \N{MICRO SIGN}s", end="") or 0)
    assert (cli.main(["info"]), raw.getvalue()) == (0, b"2 ?s")  # written, too


def test_an_interrupt_is_told(capsys, monkeypatch):
    def fail(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "main", fail)
    assert cli.main(["info"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_errors_of_the_program_itself_are_not_hidden(monkeypatch):
    def fail(args):
        raise KeyError("a")

    monkeypatch.setattr(info, "main", fail)
    with pytest.raises(KeyError):
        cli.main(["info"])


NEGATIVE = ["-1", "-1e-3", "-1E+3", "-.5", "-5.", "-inf", "-x**2-y**2", "-(x + y)", "-x"]


@pytest.mark.parametrize("word", NEGATIVE)
def test_what_begins_with_a_minus_sign_and_is_a_value(word):
    assert cli.is_value(word)


@pytest.mark.parametrize("word", ["1e-3", "-o", "-oadam", "-h", "--x", "-", "--", ""])
def test_what_is_none(word):
    assert not cli.is_value(word)


def test_short_options_are_those_that_no_value_is_taken_for():
    for name in cli.COMMANDS:
        parser = argparse.ArgumentParser()
        importlib.import_module(f"steepest.apps.{name}").add_arguments(parser)
        options = {o for action in parser._actions for o in action.option_strings}
        assert {o for o in options if not o.startswith("--")} <= {"-o", "-h"}


def test_questions_without_an_input_are_missing_answers():
    done = steepest("advise", preexec_fn=lambda: os.close(0))
    assert done.returncode == 2
    assert done.stderr.startswith(b"steepest advise: --kind is missing: ")


def test_a_terminal_of_unknown_width_is_no_terminal_of_none(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "0")
    assert cli.main(["info"]) == 0
    assert "threads limited by" in capsys.readouterr().out


def test_a_narrow_terminal_cuts_no_word_of_info(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    long = "cudaErrorInsufficientDriver_of_many_characters"
    monkeypatch.setattr(system, "info", lambda load: system.Info(version="1", cuda=long))
    info.main(argparse.Namespace())
    out = capsys.readouterr().out
    assert "…" not in out and out.count("│") >= 6


@pytest.mark.parametrize("count", ["abc", "", "0", "-1", "1,x", "1 1", "99999999999999999999"])
def test_what_openmp_ignores_is_not_why_there_are_so_many_threads(count, monkeypatch):
    limits = {"threads": 2, "set": 0, "affinity": 2, "quota": 0, "openmp": 2}
    monkeypatch.setenv("OMP_NUM_THREADS", count)
    assert system._reason(limits) == "the processors this process may run on"
    assert system._reason({**limits, "affinity": 3}) == "OpenMP"


@pytest.mark.parametrize("count", ["2", " 2 ", "+2", "02", "2,1"])
def test_what_openmp_takes_is(count, monkeypatch):
    limits = {"threads": 2, "set": 0, "affinity": 2, "quota": 0, "openmp": 2}
    monkeypatch.setenv("OMP_NUM_THREADS", count)
    assert system._reason(limits) == "OMP_NUM_THREADS"


@pytest.mark.skipif(not _cpu.openmp, reason="built without OpenMP")
def test_info_says_so():
    said = steepest("info", env={"OMP_NUM_THREADS": "1"}).stdout
    assert b"OMP_NUM_THREADS" in said and b"not loaded" not in said  # LAPACK is asked for
    assert b"OMP_NUM_THREADS" not in steepest("info", env={"OMP_NUM_THREADS": "abc"}).stdout
