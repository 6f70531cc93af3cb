"""A fork waits for the steps of other threads: the child gets whole copies that nobody holds.

Without that a child would find an optimizer halfway through a step, and its lock held by a thread
that the child does not have.
"""

from __future__ import annotations

import os
import threading
import weakref

from steepest import _cpu

# Guards the two below, and is held across a fork. A signal's handler, or a finalizer, may run while
# its own thread has the guard, and make an optimizer or fork. So the guard is an RLock, and the
# plans are in a plain set, whose methods are not interrupted.
_guard = threading.RLock()
_plans: set[weakref.ref[_cpu.Plan]] = set()
# The plans that the forking thread holds; a stack, since such a handler may fork meanwhile.
_held: list[list[_cpu.Plan]] = []


def watch(plan: _cpu.Plan) -> None:
    """Forks hold the plan from now on."""
    with _guard:
        _plans.add(weakref.ref(plan, _plans.discard))


def _before() -> None:
    with _guard:
        alive = [plan for ref in _plans.copy() if (plan := ref()) is not None]
    plans = sorted(alive, key=id)  # two threads that fork wait in the same order
    for plan in plans:  # without the guard: a schedule, in its step, may make an optimizer
        plan.__enter__()
    _guard.acquire()
    _held.append(plans)


def _in_parent() -> None:
    for plan in _held.pop():
        plan.__exit__()
    _guard.release()


def _in_child() -> None:
    for plan in _held.pop():
        plan.renew_lock()
    _guard.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
