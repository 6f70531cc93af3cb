"""The learning-rate schedules: their formulas, their conditions, their behaviour as values."""

import copy
import math
import pickle

import numpy as np
import pytest

import steepest as st
from steepest import schedules

ONE_OF_EACH = (
    schedules.constant(0.3),
    schedules.robbins_monro(0.3, power=0.7, scale=5),
    schedules.inverse_time(0.3, decay=0.1),
    schedules.step(0.3, step_size=4, gamma=0.5),
    schedules.exponential(0.3, gamma=0.9),
    schedules.cosine(0.3, steps=9, lr_min=0.01),
    schedules.linear_warmup(schedules.exponential(0.3, gamma=0.9), steps=3, start=0.2),
    schedules.one_cycle(0.3, steps=10),
)
each = pytest.mark.parametrize("schedule", ONE_OF_EACH, ids=lambda s: type(s).__name__)


def test_every_public_schedule_is_tested():
    assert sorted(type(s).__name__ for s in ONE_OF_EACH) == sorted(schedules.__all__)


@each
def test_is_a_value(schedule):
    assert pickle.loads(pickle.dumps(schedule)) == schedule == copy.deepcopy(schedule)
    assert eval(repr(schedule), vars(schedules)) == schedule
    assert hash(copy.deepcopy(schedule)) == hash(schedule)
    with pytest.raises(AttributeError):
        schedule.lr = 1.0


@each
def test_gives_finite_floats_forever(schedule):
    rates = [schedule(k) for k in (*range(50), 10**6, 10**12)]
    assert all(type(rate) is float and 0 <= rate <= 0.3 for rate in rates)
    assert schedule(np.int64(3)) == schedule(3)


@each
def test_refuses_what_is_not_a_step(schedule):
    with pytest.raises(ValueError, match="^step: -1 is not allowed; expected a whole number, at"):
        schedule(-1)
    with pytest.raises(TypeError, match="^step: 1.0 is a float; expected a whole number"):
        schedule(1.0)
    with pytest.raises(
        ValueError, match="^step: 10000.* is not allowed; .* at most 9007199254740992"
    ):
        schedule(10**400)


@pytest.mark.parametrize("power", [0.51, 0.6, 0.75, 0.9, 1.0])
@pytest.mark.parametrize("scale", [0.5, 1.0, 50.0])
def test_robbins_monro_conditions_by_the_integral_test(power, scale):
    """a falls, so its sum over 0..n-1 lies between the integrals over [0, n] and that plus a(0).

    The integral of a is unbounded in n; that of a squared is at most scale/(2 power - 1).
    """
    n = 20_000
    rates = np.array([schedules.robbins_monro(1.0, power, scale)(k) for k in range(n)])
    assert (np.diff(rates) < 0).all()

    def integral_to(x):
        if power == 1.0:
            return scale * math.log1p(x / scale)
        return scale * ((1 + x / scale) ** (1 - power) - 1) / (1 - power)

    sums = np.cumsum(rates)
    for m in (10, 100, 1000, n):
        assert integral_to(m) <= sums[m - 1] <= integral_to(m) + rates[0]
    assert integral_to(1e300) > 100 * integral_to(1)  # and it has no bound
    square_bound = scale / (2 * power - 1)
    assert (rates**2).sum() <= square_bound + rates[0] ** 2


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0000001, 2.0, -1.0])
def test_robbins_monro_refuses_powers_that_break_a_condition(power):
    with pytest.raises(
        ValueError, match=r"^power: .* expected a finite number, above 0\.5, at most 1$"
    ):
        schedules.robbins_monro(0.1, power=power)


def test_formulas():
    assert schedules.robbins_monro(1.0, power=0.75, scale=4.0)(60) == pytest.approx(1 / 8)
    assert schedules.inverse_time(1.0, decay=3.0)(3) == pytest.approx(0.1)
    assert [schedules.step(1.0, 2, 0.5)(k) for k in range(5)] == [1, 1, 0.5, 0.5, 0.25]
    assert schedules.exponential(1.0, 0.9)(30) == pytest.approx(0.9**30)
    assert schedules.cosine(1.0, 4, lr_min=0.2)(1) == pytest.approx(0.6 + 0.4 * math.sqrt(0.5))
    assert schedules.cosine(1.0, 4, lr_min=0.2)(4) == 0.2


@pytest.mark.parametrize(
    "value, error, message",
    [("0.1", TypeError, "'0.1' is a str"), (math.nan, ValueError, "nan"), (-1, ValueError, "-1.0")],
)
def test_warmup_checks_what_the_other_schedule_gives(value, error, message):
    schedule = schedules.linear_warmup(lambda k: value, steps=2)
    for step, asked in ((0, 0), (1, 0), (2, 0), (3, 1)):
        with pytest.raises(error, match=rf"^after\({asked}\): {message}"):
            schedule(step)


def test_warmup_starts_the_other_schedule_from_its_own_zero():
    inner = schedules.step(1.0, step_size=2, gamma=0.5)
    warm = schedules.linear_warmup(inner, steps=4, start=0.2)
    assert [warm(k) for k in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert [warm(k + 4) for k in range(6)] == [inner(k) for k in range(6)]
    assert schedules.linear_warmup(inner, steps=0)(0) == 1.0
    assert schedules.linear_warmup(0.5, steps=1) == schedules.linear_warmup(
        schedules.constant(0.5), steps=1
    )


def test_one_cycle_is_continuous_and_peaks_once():
    rates = np.array([schedules.one_cycle(1.0, steps=100)(k) for k in range(100)])
    assert rates[0] == pytest.approx(1 / 25) and rates[99] == pytest.approx(1 / 25e4)
    assert rates.argmax() == 29 and rates[29] == 1.0
    assert (np.diff(rates[:30]) > 0).all() and (np.diff(rates[29:]) < 0).all()
    assert np.abs(np.diff(rates)).max() < 0.06
    assert schedules.one_cycle(1.0, steps=1)(0) == pytest.approx(1 / 25e4)
    assert schedules.one_cycle(1.0, steps=3)(0) == 1.0  # no step to climb in: from the peak down


@pytest.mark.parametrize("lr", [1.7e308, np.finfo(float).max, 0.3, 1e-3, 5e-324])
def test_cosines_have_exact_ends_and_no_overflow(lr):
    for low in (0.0, lr / 3, lr):
        down = schedules.cosine(lr, 10, low)
        rates = [down(k) for k in range(12)]
        assert rates[0] == lr and rates[10] == rates[11] == low
        assert max(rates) <= lr and min(rates) >= low
        assert rates == sorted(rates, reverse=True)
    cycle = schedules.one_cycle(lr, 10)
    rates = [cycle(k) for k in range(10)]
    assert rates[0] == lr / 25 and rates[2] == lr and rates[9] == lr / 25 / 1e4
    assert max(rates) == lr


@pytest.mark.parametrize("rising", [schedules.exponential(0.1, 10), schedules.step(0.1, 1, 10)])
def test_rates_that_rise_end_at_infinity_which_a_step_refuses(rising):
    assert rising(2) == pytest.approx(10) and rising(400) == math.inf
    assert schedules.exponential(0.0, 10)(400) == 0
    theta = np.ones(1)
    opt = st.SGD(theta, lr=lambda k: rising(400 * k))
    opt.step(np.ones(1))
    with pytest.raises(ValueError, match=r"^lr\(1\): inf is not allowed"):
        opt.step(np.ones(1))
    assert theta == 0.9 and opt.step_count == 1


@pytest.mark.parametrize(
    "name, torch_name, args, torch_args",
    [
        ("step", "StepLR", dict(step_size=7, gamma=0.4), dict(step_size=7, gamma=0.4)),
        ("exponential", "ExponentialLR", dict(gamma=0.93), dict(gamma=0.93)),
        ("exponential", "ExponentialLR", dict(gamma=1.07), dict(gamma=1.07)),
        ("cosine", "CosineAnnealingLR", dict(steps=40), dict(T_max=40)),
        ("one_cycle", "OneCycleLR", dict(steps=40), dict(max_lr=0.3, total_steps=40)),
    ],
)
def test_agrees_with_torch(name, torch_name, args, torch_args):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = getattr(torch.optim.lr_scheduler, torch_name)(optimizer, **torch_args)
    schedule = getattr(schedules, name)(0.3, **args)
    for k in range(39):
        assert schedule(k) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12, abs=1e-15)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: schedules.constant(-1), ValueError, r"lr: -1\.0 is not allowed; .* at least 0"),
        (lambda: schedules.constant(math.nan), ValueError, "lr: nan is not allowed"),
        (
            lambda: schedules.constant("0.1"),
            TypeError,
            "lr: '0.1' is a str; expected a finite number",
        ),
        *(
            (make, ValueError, r"lr: -1\.0 is not allowed; .* at least 0")
            for make in (
                lambda: schedules.robbins_monro(-1),
                lambda: schedules.inverse_time(-1, 0.1),
                lambda: schedules.step(-1, 2),
                lambda: schedules.exponential(-1, 0.5),
                lambda: schedules.cosine(-1, 2),
                lambda: schedules.one_cycle(-1, 2),
            )
        ),
        (lambda: schedules.robbins_monro(0.1, scale=0), ValueError, "scale: 0.0 .* above 0"),
        (lambda: schedules.inverse_time(0.1, -1), ValueError, r"decay: -1\.0 .* at least 0"),
        (lambda: schedules.step(0.1, 0), ValueError, "step_size: 0 is not allowed"),
        (lambda: schedules.step(0.1, 2.5), TypeError, "step_size: 2.5 is a float"),
        (lambda: schedules.step(0.1, 2, 0), ValueError, r"gamma: 0\.0 .* above 0"),
        (lambda: schedules.exponential(0.1, -1.5), ValueError, r"gamma: -1\.5 .* above 0"),
        (lambda: schedules.cosine(0.1, 0), ValueError, "steps: 0 is not allowed"),
        (lambda: schedules.cosine(0.1, 9, 0.2), ValueError, r"lr_min: 0\.2 .* at most 0\.1"),
        (lambda: schedules.linear_warmup(None, 3), TypeError, "after: got None"),
        (
            lambda: schedules.linear_warmup(schedules.cosine, 5),
            TypeError,
            r"after: cosine is a class; expected a schedule, such as cosine\(\.\.\.\)",
        ),
        (lambda: schedules.linear_warmup(0.1, -1), ValueError, "steps: -1 is not allowed"),
        (lambda: schedules.linear_warmup(0.1, 3, 2), ValueError, r"start: 2\.0 .* at most 1"),
        (lambda: schedules.one_cycle(0.1, 9, 1), ValueError, r"pct_start: 1\.0 .* below 1"),
        (lambda: schedules.one_cycle(0.1, 9, 0.3, 0.5), ValueError, r"div_factor: 0\.5 .* least 1"),
        (
            lambda: schedules.one_cycle(0.1, 9, final_div_factor=0),
            ValueError,
            r"final_div_factor: 0\.0 .* at least 1",
        ),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
