"""`steepest advise`: answers rest on the measured cases, and their code runs."""

import itertools
import json

import numpy as np
import pytest

from steepest.apps import advice, advise
from steepest.apps.advice import CLASSES, Problem
from steepest.cli import main

MATRICES = ("spd", "general", "tall", "product")
PROBLEMS = [
    *(
        Problem("loss", n, condition, "full", hessian=hessian)
        for n, condition, hessian in itertools.product(
            (3, 500, 10**6), (10.0, 1e3, 1e7), (False, True)
        )
    ),
    *(
        Problem("loss", n, condition, "minibatch", noise)
        for n, condition, noise in itertools.product(
            (3, 500, 10**6), (10.0, 1e3, 1e7), ("low", "high")
        )
    ),
    Problem("residuals", 4),
    Problem("residuals", 300),
    *(
        Problem("linear", 1000, condition, matrix=matrix)
        for condition, matrix in itertools.product((10.0, 1e6), MATRICES)
    ),
]


def surroundings(problem):
    """The user's names that the code of an answer mentions."""
    a = np.array([[4.0, 1.0], [1.0, 3.0]])
    b = np.array([1.0, 2.0])
    if problem.kind == "linear":
        if problem.matrix == "tall":
            return {"A": np.vstack([a, [[1.0, 1.0]]]), "b": np.array([1.0, 2.0, 3.0])}
        return {"A": a.__matmul__ if problem.matrix == "product" else a, "b": b}
    t = np.linspace(0, 1, 20)
    y = 2 * np.exp(-3 * t) + 0.01 * np.sin(40 * t)
    return {
        "fun": lambda x: (float(x @ a @ x / 2 - b @ x), a @ x - b),
        "hess": lambda x: a,
        "x0": np.zeros(2),
        "params": np.zeros(2),
        "steps": 50,
        "gradient": lambda x: a @ x - b,
        "residuals": lambda p: p[0] * np.exp(-p[1] * t) - y,
        "jacobian": lambda p: np.stack([np.exp(-p[1] * t), -p[0] * t * np.exp(-p[1] * t)], axis=1),
    }


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_the_lines_run_and_solve_a_small_problem(problem, capsys):
    answer = advice.advise(problem)
    assert answer.code.count("\n") == 2
    names = surroundings(problem)
    if problem.kind == "residuals":
        names["x0"] = np.ones(2)
    exec(compile(answer.code, "advise", "exec"), names)
    solution = np.linalg.solve([[4.0, 1.0], [1.0, 3.0]], [1.0, 2.0])
    if "result" in names:
        want = [2, 3] if problem.kind == "residuals" else solution
        np.testing.assert_allclose(names["result"].x, want, rtol=0.02)
    elif "x" in names:
        if problem.matrix == "tall":
            solution = np.linalg.lstsq(names["A"], names["b"], rcond=None)[0]
        np.testing.assert_allclose(names["x"], solution, rtol=1e-6)
    else:  # a rule: its measured rate is for another problem, but it moves the parameters
        assert np.isfinite(names["params"]).all() and names["params"].any()


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_answers_follow_the_measured_numbers(problem):
    answer = advice.advise(problem)
    case = advice.nearest(problem)
    assert f"n = {case['n']}" in answer.rests_on
    shown = set(case["methods"])
    if problem.kind == "linear":  # those that may be used
        may = {
            "general": {"lu", "qr"},
            "tall": {"qr"},
            "product": {"cg", "pcg", "gradient descent"},
        }
        shown &= may.get(problem.matrix, shown)
        assert (", s.p.d.;" in answer.rests_on) == (problem.matrix in ("spd", "product"))
    assert {name for name, _ in answer.numbers} == shown
    if problem.kind == "loss" and problem.batch == "full":
        allowed = {
            name: one["evaluations"]
            for name, one in case["methods"].items()
            if one["evaluations"] is not None
            and (name != "newton" or problem.hessian and problem.parameters <= 5000)
            and (name != "bfgs" or problem.parameters <= 5000)
        }
        slack = advice.NEAR * advice.NEAR_CHEAP
        assert allowed[answer.method] <= slack * min(allowed.values())
    if problem.kind == "loss" and problem.batch == "minibatch":
        ends = {name: case["methods"][name]["end"] for name in CLASSES}
        least = min(end for end in ends.values() if end is not None)
        assert ends[answer.method] <= advice.NEAR * least


@pytest.mark.parametrize("n", [10, 1000, 10_000])
@pytest.mark.parametrize("condition", [10.0, 1e3, 1e5])
@pytest.mark.parametrize(("word", "noise"), [("low", 0.1), ("high", 1.0)])
def test_the_nearest_case_is_taken(n, condition, word, noise):
    case = advice.nearest(Problem("loss", n * 14 // 10, 2 * condition, "minibatch", word))
    due = {"kind": "loss", "n": n, "condition": condition, "batch": "minibatch", "noise": noise}
    assert {name: case[name] for name in due} == due
    full = advice.nearest(Problem("loss", n * 10 // 14, condition / 2))
    assert (full["n"], full["condition"], full["batch"]) == (n, condition, "full")


def test_a_simpler_method_is_preferred_within_a_tenth():
    assert advice.best_of({"bfgs": 1.0, "l-bfgs": 1.09}, advice.LOSS_ORDER) == "l-bfgs"
    assert advice.best_of({"bfgs": 1.0, "l-bfgs": 1.11}, advice.LOSS_ORDER) == "bfgs"
    for order in advice.LOSS_ORDER, list(CLASSES):  # the simplest first
        assert advice.best_of(dict.fromkeys(reversed(order), 1.0), order) == order[0]
    assert (advice.LOSS_ORDER[0], *list(CLASSES)[:2]) == ("l-bfgs", "sgd", "momentum")


def test_answers_that_a_course_would_give():
    assert advice.advise(Problem("loss", 5000, 1e5)).method == "bfgs"  # l-bfgs took 1.9 ×
    assert advice.advise(Problem("loss", 5001, 1e5)).method == "l-bfgs"
    assert advice.advise(Problem("loss", 5000, 1e5, hessian=True)).method == "newton"
    assert advice.advise(Problem("loss", 5001, 1e5, hessian=True)).method == "l-bfgs"
    assert advice.advise(Problem("loss", 10**6, 1e3)).method == "l-bfgs"
    assert advice.advise(Problem("loss", 100, 1e3, hessian=True)).method == "newton"
    assert advice.advise(Problem("loss", 10**5, 1e3, "minibatch", "high")).method in CLASSES
    assert advice.advise(Problem("residuals", 5)).method == "least_squares"
    assert advice.advise(Problem("linear", 1000, 1e6)).method == "cholesky"
    assert advice.advise(Problem("linear", 1000, 10.0)).method == "cg"
    assert advice.advise(Problem("linear", 1000, matrix="general")).method == "lu"
    assert advice.advise(Problem("linear", 1000, matrix="tall")).method == "qr"
    assert advice.advise(Problem("linear", 1000, matrix="product")).method == "cg"


def test_why_products_are_enough_or_a_preconditioner_is_due():
    why = advice.advise(Problem("linear", 1000, 10.0)).why
    assert "so well conditioned that a few products" in why
    for condition, matrix in ((10.0, "product"), (1e6, "product"), (1e6, "general")):
        why = advice.advise(Problem("linear", 1000, condition, matrix=matrix)).why
        assert ("pcg takes fewer" in why) == (condition > 10 and matrix == "product")


def test_a_method_that_took_less_is_not_passed_over_in_silence():
    answer = advice.advise(Problem("loss", 20, 1e3))
    took = dict(answer.numbers)
    assert answer.method == "l-bfgs" and float(took["bfgs"]) < float(took["l-bfgs"])
    assert "BFGS took fewer evaluations" in answer.why
    large = advice.advise(Problem("loss", 10**6, 1e3))  # where BFGS has no memory for H
    assert large.method == "l-bfgs" and " BFGS" not in large.why
    small = advice.advise(Problem("linear", 100, 10.0))  # where cg takes several times as long
    took = {name: float(text.split()[0]) for name, text in small.numbers}
    assert small.method == "cholesky" and took["cg"] < took["cholesky"] < 10 * took["cg"]
    assert "cg is faster for larger n" in small.why
    assert "cg" not in advice.advise(Problem("linear", 100, 1e5)).why


def test_what_each_method_took_is_told():
    answer = advice.advise(Problem("linear", 1000, 1e5))
    assert answer.measure == "time"
    took = dict(answer.numbers)
    assert answer.rests_on.startswith("Measured with n = 1000, condition 1e+05, s.p.d.; time to")
    assert took["cholesky"] == "16.3 ms" and took["cg"] == "not in 2000 iterations"
    assert (
        dict(advice.advise(Problem("linear", 1000, 10.0)).numbers)["cg"] == "8.3 ms, 29 iterations"
    )
    answer = advice.advise(Problem("residuals", 5))
    assert answer.measure == "evaluations"
    assert answer.rests_on.startswith("Measured with n = 5, m = 200 residuals; evaluations until")
    names, counts = zip(*answer.numbers, strict=True)
    assert names == ("least_squares lm", "l-bfgs", "bfgs", "least_squares gn")
    assert counts == ("35", "76", "81", "445")


def test_what_a_rule_took_is_told():
    problem = Problem("loss", 1000, 1e5, "minibatch", "high")
    answer, methods = advice.advise(problem), advice.nearest(problem)["methods"]
    case = "n = 1000, condition 1e+05, minibatches, noise 1 of the first gradient"
    assert answer.rests_on.startswith(f"Measured with {case}; f after 1000 steps")
    lr = methods[answer.method]["lr"]
    assert answer.measure == "f / f(x0)"
    assert f"lr=st.schedules.cosine({lr:g}, steps)" in answer.code
    assert answer.code.endswith("# in place, on one minibatch, see st.minibatches")
    assert dict(answer.numbers)[answer.method].endswith(f" (lr {lr:g})")
    full = advice.advise(Problem("loss", 1000, 1e5))
    assert "condition 1e+05, full batch; evaluations of f" in full.rests_on
    assert [took for _, took in full.numbers] == ["4", "607", "1142", *5 * ["not in 3000"]]


def test_no_answer_forms_a_matrix_that_no_memory_holds():
    n = 10**6
    least = advice.advise(Problem("residuals", n))
    assert least.method == "l-bfgs" and "8,000 GB for JᵀJ" in least.why
    assert 'st.minimize(fun, x0, jac=True, method="l-bfgs")' in least.code
    spd = advice.advise(Problem("linear", n, 10.0))
    assert spd.method == "cg" and "8,000 GB for A" in spd.why
    assert "sparse" in advice.advise(Problem("linear", n, matrix="general")).why
    assert "sparse" not in advice.advise(Problem("linear", n, matrix="product")).why
    assert "sparse" not in advice.advise(Problem("linear", 1000, matrix="general")).why


@pytest.mark.parametrize(
    ("kind", "within", "beyond"),
    [("residuals", "least_squares", "l-bfgs"), ("linear", "cholesky", "cg")],
)
def test_a_matrix_of_50000_rows_is_still_held(kind, within, beyond):
    assert advice.advise(Problem(kind, 50_000, 1e5)).method == within
    assert advice.advise(Problem(kind, 50_001, 1e5)).method == beyond


def test_data_file_covers_the_questions():
    cases = advice.cases()
    for n, condition in itertools.product((10, 1000, 10_000), (10.0, 1e3, 1e5)):
        same = [
            c for c in cases if c["kind"] == "loss" and (c["n"], c["condition"]) == (n, condition)
        ]
        assert sorted(c.get("noise", 0) for c in same) == [0, 0.1, 1.0]
    assert json.dumps(cases).find("NaN") < 0


def test_flags(capsys):
    args = ["--kind", "loss", "--parameters", " 5M ", "--condition", "bad", "--batch", "full"]
    assert main(["advise", *args]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Use l-bfgs\nBecause a full batch has exact gradients")
    answer = advice.advise(Problem("loss", 5_000_000, 1e5))
    assert answer.code in said  # its lines are whole
    rows = [line.strip("│ ").split("│") for line in said.splitlines() if line.startswith("│")]
    assert [tuple(map(str.strip, row)) for row in rows] == answer.numbers
    assert "condition 1e+05" in said
    (head,) = (line for line in said.splitlines() if line.startswith("┃"))
    assert head.strip("┃ ").split("┃")[1].strip() == answer.measure == "evaluations"


def test_questions_are_asked_and_asked_again(monkeypatch, capsys):
    answers = iter(["lsos", "loss", "many", " 2k ", "", "moderate", "minibatch", "high"])
    asked = []
    monkeypatch.setattr("builtins.input", lambda text: asked.append(text) or next(answers))
    assert main(["advise"]) == 0
    said = capsys.readouterr().out
    assert "'lsos' is not one of loss, residuals, linear" in said
    assert "'many' is not a number of parameters" in said
    assert "'' is not one of good, moderate, bad, unknown" in said
    assert len(asked) == 8 and next(answers, None) is None
    assert "Use " in said and "opt.step(gradient(params))" in said


NUMBERS = {"1": 1, "1e6": 10**6, "5k": 5000, "1.5K": 1500, "2M": 2 * 10**6, "3g": 3 * 10**9}
CONDITIONS = {"good": 10.0, "moderate": 1e3, "bad": 1e5, "unknown": 1e3, "1": 1.0, "2e7": 2e7}


@pytest.mark.parametrize(
    ("check", "known", "refused"),
    [
        (advise.count, NUMBERS, ["0.5", "-5", "1e15", "k", "5T", "nan"]),
        (advise.condition, CONDITIONS, ["0.9", "inf", "nan", "-3"]),
        (advise.yes, {"yes": True, "no": False}, ["y"]),
    ],
)
def test_what_an_answer_means(check, known, refused):
    assert {text: repr(check(text)) for text in known} == {k: repr(v) for k, v in known.items()}
    for text in refused:
        with pytest.raises(ValueError, match=f"'{text}' is not "):
            check(text)


LINEAR = ["--kind", "linear", "--parameters", "9", "--condition", "bad", "--matrix", "spd"]
FULL = ["--kind", "loss", "--condition", "bad", "--batch", "full", "--parameters"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--kind", "game"], "--kind: 'game' is not one of loss, residuals, linear"),
        (
            ["--kind", "loss", "--parameters", "0"],
            "--parameters: '0' is not a number of parameters",
        ),
        (
            ["--kind", "loss", "--parameters", "9", "--condition", "0.5"],
            "--condition: '0.5' is not",
        ),
        (["--kind", "residuals", "--parameters", "9", "--noise", "low"], "--noise has no meaning"),
        (["--kind", "residuals", "--parameters", "9", "--matrix", "spd"], "--matrix has no mean"),
        (
            ["--kind", "residuals", "--parameters", "9", "--condition", "bad"],
            "--condition has no m",
        ),
        ([*LINEAR, "--batch", "full"], "--batch has no meaning"),
        ([*FULL, "9", "--noise", "low"], "--noise has no meaning"),
        ([*FULL, "5001", "--hessian", "yes"], "--hessian has no meaning"),
        ([*FULL, "5000"], "--hessian is missing"),
        (["--kind", "loss", "--parameters", "9", "--matrix", "spd"], "--condition is missing"),
    ],
)
def test_what_is_refused(flags, message, monkeypatch, capsys):
    def nobody(text):
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    assert main(["advise", *flags]) == 2
    out, err = capsys.readouterr()
    assert message in err and out == "\n" * ("missing" in err)  # where a question was asked


def test_help_has_the_questions(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit, match="0"):
        main(["advise", "--help"])
    out = capsys.readouterr().out
    assert all(text in out for text, *_ in advise.QUESTIONS.values())
