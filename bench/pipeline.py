"""unscale + clip + AdamW + EMA + zero_grad on one large tensor, back to back.

Beside `steepest bench`, which refills the gradients before each call: here nothing else touches
memory between the calls. The yardstick is one loop of 44 bytes an element (`traffic4`: five arrays
read and written, a sixth read); the sequence needs the norm before it can begin to update.
"""

from __future__ import annotations

import numpy as np

import steepest as st
from steepest import _cpu
from steepest.apps.bench_timing import medians

CALLS = 15


def traffic(n: int) -> _cpu.Plan:
    names = [name for name, *_ in _cpu.rules()]
    arrays = [np.zeros(n, np.float32) for _ in range(6)]
    plan = _cpu.Plan()
    plan.add_group(names.index("traffic4"), [1e-6], 0.0, False, 0.0)
    plan.add_tensor(0, arrays[0], arrays[1:5], None, 0, 1.0)
    plan.bind((arrays[5],))
    return plan


def main() -> None:
    for n in (32 << 20, 16 << 20):
        opt = st.AdamW(np.zeros(n, np.float32), ema_decay=0.99)
        grad, plan = np.ones(n, np.float32), traffic(n)
        runs = {
            "all stages": lambda opt=opt, g=grad: opt.step(
                g, grad_scale=2.0, max_norm=1.0, zero_grad=True
            ),
            "without the norm": lambda opt=opt, g=grad: opt.step(g, grad_scale=2.0, zero_grad=True),
            "traffic": plan.step_bound_plain,
        }
        times = medians(runs, CALLS)
        shown = ", ".join(f"{name} {t * 1e3:.1f} ms" for name, t in times.items())
        print(
            f"1 x {n >> 20}M: {shown}: {times['all stages'] / times['traffic']:.2f} of its traffic"
        )


if __name__ == "__main__":
    main()
