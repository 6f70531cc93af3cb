"""Which method for a problem, why, and the lines that call it.

The answers come from measured cases (advise.json, written by bench/advise.py): the case nearest to
the problem is looked up, and the method that did best in it is the answer.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from importlib import resources
from typing import Any

DENSE = 5000  # parameters up to which an n × n matrix is no burden
HELD = 50_000  # and up to which memory holds one: 20 GB
NEAR = 1.1  # a simpler method within this factor of the best is preferred
NEAR_CHEAP = 1.5  # so is L-BFGS, whose own work is O(n), to BFGS, whose is O(n²)
NOISES = {"low": 0.1, "high": 1.0}
Case = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """What is asked about a problem; answers that do not matter for its kind are left alone."""

    kind: str  # loss, residuals, linear
    parameters: int
    condition: float = 1e3
    batch: str = "full"
    noise: str = "low"
    hessian: bool = False
    matrix: str = "spd"  # of a linear system: spd, general, tall, product


@dataclass(frozen=True)
class Answer:
    """A method, why, what it rests on, and three lines that run."""

    method: str
    why: str
    rests_on: str
    measure: str  # what the numbers are
    numbers: list[tuple[str, str]]  # method, what it took
    code: str


# method -> the call; the names on the right-hand sides are the user's
MINIMIZE = """import steepest as st
result = st.minimize(fun, x0, jac=True, method="{method}")  # fun(x) gives f and its gradient
print(result.message, result.x)"""
NEWTON = """import steepest as st
result = st.minimize(fun, x0, jac=True, method="newton", hess=hess)  # hess(x): (n, n)
print(result.message, result.x)"""
RULE = """import steepest as st; opt = st.{cls}(params, lr=st.schedules.cosine({lr:g}, steps))
for step in range(steps):
    opt.step(gradient(params))  # in place, on {batch}"""
RESIDUALS = """import steepest as st
result = st.least_squares(residuals, x0, jacobian)  # f of shape (m,), J of shape (m, n)
print(result.message, result.x, result.stderr())"""
USABLE = {  # by the matrix, the methods that were measured; any for one that is s.p.d.
    "general": ("lu", "qr"),
    "tall": ("qr",),
    "product": ("cg", "pcg", "gradient descent"),
}
WELL_CONDITIONED = 1e4  # a hundred products
LINEAR = """import steepest as st
x, info = st.solve(A, b, method="{method}", return_info=True)
print(info.message)"""
CLASSES = {cls.lower(): cls for cls in ("SGD", "Momentum", "Nesterov", "RMSProp", "Adam", "Lion")}
# the simplest first, for ties
LOSS_ORDER = ["l-bfgs", "bfgs", "newton", "gd", *CLASSES]


def cases() -> list[Case]:
    """The measured cases."""
    text = resources.files("steepest.apps").joinpath("advise.json").read_text(encoding="utf-8")
    measured: list[Case] = json.loads(text)["cases"]
    return measured


def nearest(problem: Problem) -> Case:
    """The measured case of the same kind that is closest in size, conditioning and noise."""

    def distance(case: Case) -> float:
        far = abs(math.log10(case["n"] / problem.parameters))
        if "condition" in case:
            far += abs(math.log10(case["condition"] / problem.condition))
        if "noise" in case:
            far += abs(math.log10(case["noise"] / NOISES[problem.noise]))
        return far

    same = [case for case in cases() if case["kind"] == problem.kind]
    if problem.kind == "loss":  # a dense problem rests on a dense case: others lack its methods
        dense = problem.parameters <= DENSE
        same = [c for c in same if c["batch"] == problem.batch and (c["n"] <= DENSE) == dense]
    return min(same, key=distance)


def advise(problem: Problem) -> Answer:
    """The answer for a problem."""
    case = nearest(problem)
    if problem.kind == "linear":
        return linear(problem, case)
    if problem.kind == "residuals":
        return residuals(problem, case)
    return full_batch(problem, case) if problem.batch == "full" else minibatch(case)


def best_of(scores: dict[str, float], order: list[str]) -> str:
    """The lowest score; a method earlier in the order wins within a factor of NEAR."""
    least = min(scores.values())
    return next(name for name in order if scores.get(name, math.inf) <= NEAR * least)


def full_batch(problem: Problem, case: Case) -> Answer:
    """The fewest evaluations, among the methods that the problem allows."""
    allowed = {
        name: float(one["evaluations"])
        for name, one in case["methods"].items()
        if one["evaluations"] is not None and (name != "newton" or problem.hessian)
    }
    method = best_of(allowed, LOSS_ORDER)
    if method == "bfgs" and allowed.get("l-bfgs", math.inf) <= NEAR_CHEAP * allowed["bfgs"]:
        method = "l-bfgs"
    words = {
        "l-bfgs": "a full batch has exact gradients, and L-BFGS turns their changes into curvature "
        "for O(n) work and memory; a line search sets the step",
        "bfgs": "a full batch has exact gradients, and BFGS keeps the whole inverse Hessian, which "
        "is affordable for so few parameters (O(n²) work and memory)",
        "newton": "a Hessian at hand makes convergence quadratic, whatever the conditioning, and n "
        "is small enough to factor it (O(n³))",
        "gd": "the problem is so well conditioned that gradients alone do; the line search sets "
        "the rate",
    }
    why = words.get(method, "no curvature had to be learned here; the gradient alone is fastest")
    if method == "l-bfgs" and allowed.get("bfgs", math.inf) < allowed[method]:
        why += ". BFGS took fewer evaluations, with O(n²) work beside each"
    return Answer(
        method,
        f"Because {why}.",
        f"{described(case)}; evaluations of f and its gradient until f ≤ 1e-8 f(x0); the learning "
        "rates of first-order rules were tuned",
        "evaluations",
        table(case, "evaluations", "not in 3000"),
        loss_code(method, case, "the full batch"),
    )


def minibatch(case: Case) -> Answer:
    """The lowest f after a fixed number of noisy gradients."""
    ends = {
        name: float(one["end"]) for name, one in case["methods"].items() if one["end"] is not None
    }
    method = best_of({name: end for name, end in ends.items() if name in CLASSES}, list(CLASSES))
    return Answer(
        method,
        "Because the gradients are noisy: line searches and curvature learned from their "
        "differences go astray, while a first-order rule with a falling rate averages the noise "
        f"out; of these, {method} came lowest, or within {NEAR:g} times of it and is simpler. To "
        "regularise by weight decay, take st.AdamW.",
        f"{described(case)}; f after 1000 steps with a cosine schedule, over f(x0); rates tuned",
        "f / f(x0)",
        table(case, "end", "diverged"),
        loss_code(method, case, "one minibatch, see st.minibatches"),
    )


def residuals(problem: Problem, case: Case) -> Answer:
    """Levenberg-Marquardt, where memory holds JᵀJ."""
    if problem.parameters > HELD:
        return Answer(
            "l-bfgs",
            f"Because {size(problem)} for JᵀJ is too much for least_squares, which is dense: "
            "minimize f(x) = ½ Σ rᵢ(x)², whose gradient Jᵀr needs no J in memory.",
            f"{described(case)}; evaluations until the same cost",
            "evaluations",
            table(case, "evaluations", "not in 3000"),
            MINIMIZE.format(method="l-bfgs"),
        )
    return Answer(
        "least_squares",
        "Because a sum of squares shows its curvature: JᵀJ needs first derivatives only, and "
        "Levenberg-Marquardt damps it where the model is poor. It also gives standard errors.",
        f"{described(case)}; evaluations until the same cost",
        "evaluations",
        table(case, "evaluations", "not in 3000"),
        RESIDUALS,
    )


def linear(problem: Problem, case: Case) -> Answer:
    """A direct method, unless only products with A are to be had."""
    method, why = {
        "spd": ("cholesky", "A is symmetric positive definite: n³/3 operations, no pivoting"),
        "general": ("lu", "A is square and nothing else is known: 2n³/3 operations"),
        "tall": ("qr", "A has more rows than columns: QR minimises ‖Ax − b‖ without squaring the "
                 "condition number"),
        "product": ("cg", "only products with A are to be had, and A is symmetric positive "
                    f"definite: cg takes about √condition of them, "
                    f"{math.sqrt(problem.condition):,.0f}"),
    }[problem.matrix]  # fmt: skip
    usable = USABLE.get(problem.matrix, tuple(case["methods"]))
    seconds = {name: one for name, one in case["methods"].items() if name in usable}
    more = ""
    if problem.matrix == "product" and problem.condition > WELL_CONDITIONED:
        more = " pcg takes fewer with a preconditioner that knows A, a function r ↦ M⁻¹r."
    if problem.parameters > HELD and problem.matrix == "spd":
        method = "cg"
        why = f"{size(problem)} for A is too much: hand over the product, a function v ↦ Av"
    elif problem.parameters > HELD and problem.matrix != "product":
        more = f" A takes {size(problem)}, though: if it is sparse, see scipy.sparse.linalg."
    elif problem.matrix == "spd":
        direct = seconds["cholesky"]["seconds"] / NEAR
        faster = {
            name: float(seconds[name]["seconds"])
            for name in ("cg", "pcg")
            if seconds[name]["iterations"] is not None and seconds[name]["seconds"] < direct
        }
        share = problem.parameters / case["n"]
        if faster and min(faster.values()) < direct * share:  # products take n², the factor n³
            method = best_of(faster, ["cg", "pcg"])
            why = (
                "A is symmetric positive definite, and so well conditioned that a few products "
                "with A are enough"
            )
        elif faster:
            why += "; cg is faster for larger n: its products cost n², the factorisation n³"
    measured = "s.p.d." if problem.matrix in ("spd", "product") else "square"
    return Answer(
        method,
        f"Because {why}. Gradient descent, let alone SGD, is no way to solve a linear "
        f"system.{more}",
        f"{described(case)}, {measured}; time to a residual of 1e-8, on two cores",
        "time",
        [(name, time_taken(one)) for name, one in seconds.items()],
        LINEAR.format(method=method),
    )


def time_taken(one: dict[str, Any]) -> str:
    """How long a method took for a linear system, in words."""
    count = one["iterations"]
    if count is None:
        return "not in 2000 iterations"
    return f"{1e3 * one['seconds']:.3g} ms" + (f", {count} iterations" if count else "")


def size(problem: Problem) -> str:
    """What a float64 matrix of n × n takes."""
    return f"{8e-9 * problem.parameters**2:,.0f} GB"


def described(case: Case) -> str:
    """A case in words."""
    parts = [f"Measured with n = {case['n']}"]
    if "m" in case:
        parts.append(f"m = {case['m']} residuals")
    if "condition" in case:
        parts.append(f"condition {case['condition']:.0e}")
    if "batch" in case:
        parts.append("full batch" if case["batch"] == "full" else "minibatches")
    if "noise" in case:
        parts.append(f"noise {case['noise']:g} of the first gradient")
    return ", ".join(parts)


def table(case: Case, key: str, failed: str) -> list[tuple[str, str]]:
    """Each method's number, the best first."""
    entries = case["methods"].items()
    ranked = sorted(entries, key=lambda item: math.inf if item[1][key] is None else item[1][key])
    rows = []
    for name, one in ranked:
        took = failed if one[key] is None else f"{one[key]:g}"
        rows.append((name, took + (f" (lr {one['lr']:g})" if one.get("lr") else "")))
    return rows


def loss_code(method: str, case: Case, batch: str) -> str:
    """The call of a method on a loss."""
    if method == "newton":
        return NEWTON
    if method in CLASSES:
        lr = case["methods"][method]["lr"]
        return RULE.format(cls=CLASSES[method], lr=lr, batch=batch)
    return MINIMIZE.format(method=method)
