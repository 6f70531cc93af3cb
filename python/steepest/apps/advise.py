"""`steepest advise`: asks about a problem, and prints which method suits it and why."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

from steepest.apps.advice import DENSE, NOISES, Answer, Problem, advise

HELP = "say which method suits a problem, why, and how to call it"
CONDITIONS = {"good": 10.0, "moderate": 1e3, "bad": 1e5, "unknown": 1e3}


def one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    """A check that takes one of the words."""

    def check(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is not one of {', '.join(words)}")
        return text

    return check


def count(text: str) -> int:
    """A number of parameters, 1000, 1e6 or 5k, 5M."""
    factor = {"k": 1e3, "m": 1e6, "g": 1e9}.get(text[-1:].lower(), 1)
    try:
        n = float(text if factor == 1 else text[:-1]) * factor
    except ValueError:
        n = math.nan
    if not 1 <= n < 1e15:
        raise ValueError(f"{text!r} is not a number of parameters, such as 20, 1e6 or 5M")
    return round(n)


def condition(text: str) -> float:
    """A word or a number from 1 on."""
    if text in CONDITIONS:
        return CONDITIONS[text]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1 <= value < math.inf:
        words = ", ".join(CONDITIONS)
        raise ValueError(f"{text!r} is not one of {words}, nor a number from 1 on")
    return value


def yes(text: str) -> bool:
    """Yes or no."""
    return one_of(("yes", "no"))(text) == "yes"


# question -> its text, what makes a value of the answer, and whether it matters after the others
Question = tuple[str, Callable[[str], Any], Callable[[dict[str, Any]], bool]]
QUESTIONS: dict[str, Question] = dict(
    kind=(
        "What is minimised: loss, residuals (the sum of their squares), linear (a system)",
        one_of(("loss", "residuals", "linear")),
        lambda known: True,
    ),
    parameters=("How many parameters", count, lambda known: True),
    condition=(
        "Conditioning: good, moderate, bad, unknown, or the condition number",
        condition,
        lambda known: known["kind"] != "residuals",
    ),
    batch=(
        "Gradients from the full batch or from minibatches: full, minibatch",
        one_of(("full", "minibatch")),
        lambda known: known["kind"] == "loss",
    ),
    noise=(
        "Noise in a minibatch gradient, relative to the first full gradient: low (0.1), high (1)",
        one_of(tuple(NOISES)),
        lambda known: known.get("batch") == "minibatch",
    ),
    hessian=(
        "Is the Hessian available (yes, no)",
        yes,
        lambda known: known.get("batch") == "full" and known["parameters"] <= DENSE,
    ),
    matrix=(
        "The matrix: spd (symmetric positive definite), general, tall, product (only A @ v)",
        one_of(("spd", "general", "tall", "product")),
        lambda known: known["kind"] == "linear",
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A flag for each question."""
    for name, (text, _, _) in QUESTIONS.items():
        parser.add_argument(f"--{name}", help=text)


def ask(args: argparse.Namespace) -> Problem:
    """The problem, from flags, and from the user where a flag is missing."""
    known: dict[str, Any] = {}
    for name, (text, check, matters) in QUESTIONS.items():
        given = getattr(args, name)
        if not matters(known):
            if given is not None:
                raise ValueError(f"--{name} has no meaning here: leave it out")
            continue
        if given is not None:
            try:
                known[name] = check(given.strip())
            except ValueError as error:
                raise ValueError(f"--{name}: {error}") from None
        while name not in known:
            try:
                known[name] = check(input(f"{text}? ").strip())
            except ValueError as error:
                print(error)
            except (EOFError, RuntimeError):  # the latter where there is no input at all
                print()  # the question's line has not ended
                raise ValueError(f"--{name} is missing: {text}") from None
    return Problem(**known)


def main(args: argparse.Namespace) -> int:
    """Ask, and print the answer."""
    show(advise(ask(args)))
    return 0


def show(answer: Answer) -> None:
    """Print an answer."""
    from rich.console import Console
    from rich.syntax import Syntax
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text.assemble("Use ", (answer.method, "bold")))
    console.print(Text(answer.why))
    console.print()
    # a plain print where nobody watches: the lines can be copied or piped as they are
    if console.is_terminal:
        console.print(Syntax(answer.code, "python", theme="ansi_light", word_wrap=True))
    else:
        print(answer.code)
    console.print()
    console.print(Text(f"{answer.rests_on}."))
    numbers = Table()
    numbers.add_column("method")
    numbers.add_column(answer.measure)
    for name, took in answer.numbers:
        numbers.add_row(Text(name, style="bold" if name == answer.method else ""), Text(took))
    console.print(numbers)
