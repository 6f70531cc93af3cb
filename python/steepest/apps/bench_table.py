"""What `steepest bench` prints: a row for each rule and size, and what they were measured on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

YARDSTICKS = ("traffic", "lists")  # in columns of their own


def tables(found: dict[str, Any]) -> list[Table]:
    """The steps; of a device also the host's share."""
    return [_steps(found), *([_host(found)] if "host_seconds" in found else [])]


def _empty(title: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, collapse_padding=True
    )


def _steps(found: dict[str, Any]) -> Table:
    peers: dict[str, None] = {}
    for row in found["rows"]:
        peers.update(dict.fromkeys(key for key in row["ratio"] if key not in YARDSTICKS))
    table = _empty("a step, float32")
    table.add_column("rule", overflow="fold")
    of_copy = ("of copy",) if "copy_gb_s" in found else ()
    for head in ("size", "bound", "lists", "GB/s", *of_copy, "of limit", *peers):
        table.add_column(head.replace(" ", "\n"), justify="right", no_wrap=True)
    for row in found["rows"]:
        seconds, ratio = row["seconds"], row["ratio"]
        table.add_row(
            row["rule"],
            f"{short(row['tensors'])}x{short(row['elements'])}",
            written(seconds["bound"]),
            written(seconds["lists"]) if "lists" in seconds else "",
            f"{row['gb_s']:.1f}",
            *(f"{row['share_of_copy']:.2f}" for _ in of_copy),
            f"{ratio['traffic']:.2f}",
            *(_times(ratio[peer]) if peer in ratio else "" for peer in peers),
        )
    return table


def _host(found: dict[str, Any]) -> Table:
    table = _empty("the host's time for a step of Adam, 1,000 tensors")
    for name in found["host_seconds"]:
        table.add_column(name, justify="right")
    table.add_row(*(written(seconds) for seconds in found["host_seconds"].values()))
    return table


def _times(ratio: float) -> str:
    return f"{ratio:.1f} ×" if ratio < 100 else f"{ratio:,.0f} ×"


def short(n: int) -> str:
    """A count as it is asked for: "64K"."""
    for unit, size in (("M", 1 << 20), ("K", 1 << 10)):
        if n % size == 0:
            return f"{n // size}{unit}"
    return str(n)


def written(seconds: float) -> str:
    """A time with its unit: "3.4 µs"."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= 0.9995 * size:  # of which 999.5 are written as 1e+03
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def footer(found: dict[str, Any]) -> str:
    """What the figures mean, and on what they were measured."""
    if "copy_gb_s" in found:
        where = (
            f"{found['device']}, driver {found['driver']}; a copy in its memory "
            f"{found['copy_gb_s']:.0f} GB/s, of which 'of copy' is the share."
        )
    else:
        where = (
            f"{found['processor']}, {found['threads']} threads, SIMD level {found['simd']}; "
            f"STREAM triad {found['triad_gb_s']:.1f} GB/s."
        )
    lines = [
        where,
        "of limit: the time of a loop with the same traffic and one addition to each array that "
        "is written, divided by the step's.",
        "Peers: their time divided by the bound step's. Medians of calls in turns.",
    ]
    for row in found["rows"]:
        for name, why in row["left_out"].items():
            lines.append(f"{row['rule']}: without {name}: {why}")
    for rule, tensors, elements in found["not_begun"]:
        lines.append(f"{rule} {short(tensors)}x{short(elements)}: not begun in time")
    return "\n".join(lines)
