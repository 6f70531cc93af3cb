"""The thirteen rules in float64 NumPy, written from the papers and not from the package.

A rule is a function ``rule(theta, grads, *, lr, ...) -> (theta, state)``: one parameter array and
the gradients of its steps 1, 2, ... A gradient may be None (the tensor is left alone, its own
step count t included) or SKIPPED (the whole step was skipped). ``lr`` is a number or a callable
that is asked with the number of earlier calls. ``train`` runs one rule over a list of tensors
with the stages that see them all: unscale, clip and the non-finite check.

Only NumPy is imported. Letters are those of the papers.
"""

from __future__ import annotations

import numpy as np

SKIPPED = object()  # the gradient of every tensor in a step that nonfinite="skip" left out


def follow(
    theta,
    grads,
    update,
    state,
    *,
    lr,
    weight_decay=0.0,
    maximize=False,
    ema_decay=None,
    decoupled=False,
):
    """The stages of one tensor in their order: maximize, coupled decay, rule, EMA."""
    theta = np.array(theta, dtype=np.float64)
    if ema_decay is not None:
        state["ema"] = theta.copy()
    t = 0
    for call, g in enumerate(grads):
        alpha = lr(call) if callable(lr) else lr
        if g is SKIPPED:
            continue
        if g is not None:
            t += 1
            g = np.asarray(g, dtype=np.float64)
            if maximize:
                g = -g
            if not decoupled:
                g = g + weight_decay * theta
            theta = update(theta, g, t, alpha)
        if ema_decay is not None:
            state["ema"] = state["ema"] + (1 - ema_decay) * (theta - state["ema"])
    return theta, {"step": t, **state}


def zeros(theta, *names):
    return {name: np.zeros(np.shape(theta)) for name in names}


def sgd(theta, grads, *, lr, **common):
    """Robbins & Monro 1951: theta - alpha g."""
    return follow(theta, grads, lambda theta, g, t, alpha: theta - alpha * g, {}, lr=lr, **common)


def momentum(theta, grads, *, lr, momentum=0.9, lr_in_velocity=True, **common):
    """Polyak 1964, as Sutskever et al. 2013, equations 1 and 2; or alpha outside the velocity."""
    s = zeros(theta, "velocity")

    def update(theta, g, t, alpha):
        if lr_in_velocity:
            v = s["velocity"] = momentum * s["velocity"] - alpha * g
            return theta + v
        v = s["velocity"] = momentum * s["velocity"] + g
        return theta - alpha * v

    return follow(theta, grads, update, s, lr=lr, **common)


def nesterov(theta, grads, *, lr, momentum=0.9, lr_in_velocity=True, **common):
    """Sutskever et al. 2013, equations 3 and 4, with theta standing for the look-ahead point."""
    s = zeros(theta, "velocity")

    def update(theta, g, t, alpha):
        if lr_in_velocity:
            v = s["velocity"] = momentum * s["velocity"] - alpha * g
            return theta + momentum * v - alpha * g
        v = s["velocity"] = momentum * s["velocity"] + g
        return theta - alpha * (g + momentum * v)

    return follow(theta, grads, update, s, lr=lr, **common)


def nesterov_iterate(look_ahead, velocity, *, lr, momentum, lr_in_velocity=True):
    """theta of the paper from the stored look-ahead point, by the last step's lr and momentum."""
    return look_ahead - momentum * velocity * (1 if lr_in_velocity else -lr)


def nesterov_two_point(theta, gradient, *, steps, lr, momentum=0.9):
    """The paper's own recursion, equations 3 and 4: the gradient is taken at theta + momentum v.

    Returns the iterates theta_1 ... theta_steps and the last v.
    """
    theta, v, iterates = np.array(theta, dtype=np.float64), np.zeros(np.shape(theta)), []
    for call in range(steps):
        alpha = lr(call) if callable(lr) else lr
        v = momentum * v - alpha * gradient(theta + momentum * v)
        theta = theta + v
        iterates.append(theta)
    return iterates, v


def rmsprop(theta, grads, *, lr=1e-2, beta=0.9, eps=1e-8, momentum=0.0, centered=False, **common):
    """Tieleman & Hinton 2012, lecture 6.5; centered and momentum as Graves 2013, eqs. 38 to 41."""
    s = zeros(theta, *(["grad_avg", "grad_var"] if centered else ["square_avg"]))
    s.update(zeros(theta, *(["velocity"] if momentum else [])))

    def update(theta, g, t, alpha):
        if centered:
            a, w = s["grad_avg"], s["grad_var"]
            second = s["grad_var"] = beta * (w + (1 - beta) * (g - a) ** 2)
            s["grad_avg"] = a + (1 - beta) * (g - a)
        else:
            second = s["square_avg"] = beta * s["square_avg"] + (1 - beta) * g**2
        d = g / (np.sqrt(second) + eps)
        if momentum:
            d = s["velocity"] = momentum * s["velocity"] + d
        return theta - alpha * d

    return follow(theta, grads, update, s, lr=lr, **common)


def adam_step(s, g, t, alpha, betas, eps, bias_correction, amsgrad):
    """What Adam subtracts. Kingma & Ba 2015, Algorithm 1; Reddi et al. 2018, Algorithm 2."""
    beta1, beta2 = betas
    m = s["exp_avg"] = beta1 * s["exp_avg"] + (1 - beta1) * g
    v = s["exp_avg_sq"] = beta2 * s["exp_avg_sq"] + (1 - beta2) * g**2
    if amsgrad:
        v = s["max_exp_avg_sq"] = np.maximum(s["max_exp_avg_sq"], v)
    if bias_correction:
        m, v = m / (1 - beta1**t), v / (1 - beta2**t)
    return alpha * m / (np.sqrt(v) + eps)


def adam(
    theta,
    grads,
    *,
    lr=1e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    bias_correction=True,
    amsgrad=False,
    **common,
):
    """Kingma & Ba 2015, Algorithm 1."""
    s = zeros(theta, "exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if amsgrad else []))

    def update(theta, g, t, alpha):
        return theta - adam_step(s, g, t, alpha, betas, eps, bias_correction, amsgrad)

    return follow(theta, grads, update, s, lr=lr, **common)


def amsgrad(theta, grads, **hyper):
    """Reddi, Kale & Kumar 2018, Algorithm 2, with Adam's bias correction."""
    return adam(theta, grads, amsgrad=True, **hyper)


def adamw(
    theta,
    grads,
    *,
    lr=1e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=1e-2,
    bias_correction=True,
    amsgrad=False,
    **common,
):
    """Loshchilov & Hutter 2019, Algorithm 2, the decay scaled by the learning rate."""
    s = zeros(theta, "exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if amsgrad else []))

    def update(theta, g, t, alpha):
        step = adam_step(s, g, t, alpha, betas, eps, bias_correction, amsgrad)
        return theta - (alpha * weight_decay * theta + step)

    return follow(theta, grads, update, s, lr=lr, decoupled=True, **common)


def adagrad(
    theta, grads, *, lr=1e-2, lr_decay=0.0, initial_accumulator_value=0.0, eps=1e-10, **common
):
    """Duchi, Hazan & Singer 2011, the diagonal form."""
    s = {"sum": np.full(np.shape(theta), float(initial_accumulator_value))}

    def update(theta, g, t, alpha):
        s["sum"] = s["sum"] + g**2
        return theta - alpha / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s["sum"]) + eps)

    return follow(theta, grads, update, s, lr=lr, **common)


def adadelta(theta, grads, *, lr=1.0, rho=0.9, eps=1e-6, **common):
    """Zeiler 2012, Algorithm 1."""
    s = zeros(theta, "square_avg", "acc_delta")

    def update(theta, g, t, alpha):
        v = s["square_avg"] = rho * s["square_avg"] + (1 - rho) * g**2
        d = np.sqrt(s["acc_delta"] + eps) / np.sqrt(v + eps) * g
        s["acc_delta"] = rho * s["acc_delta"] + (1 - rho) * d**2
        return theta - alpha * d

    return follow(theta, grads, update, s, lr=lr, **common)


def adamax(theta, grads, *, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, **common):
    """Kingma & Ba 2015, Algorithm 2; eps keeps 0/0 away."""
    (beta1, beta2), s = betas, zeros(theta, "exp_avg", "exp_inf")

    def update(theta, g, t, alpha):
        m = s["exp_avg"] = beta1 * s["exp_avg"] + (1 - beta1) * g
        u = s["exp_inf"] = np.maximum(beta2 * s["exp_inf"], np.abs(g) + eps)
        return theta - alpha / (1 - beta1**t) * m / u

    return follow(theta, grads, update, s, lr=lr, **common)


def nadam(theta, grads, *, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, momentum_decay=4e-3, **common):
    """Dozat 2016, Algorithm 2, with the mu of its section 3.2; m by beta1, as in PyTorch."""
    (beta1, beta2), s = betas, zeros(theta, "exp_avg", "exp_avg_sq")
    s["mu_product"] = 1.0

    def mu(t):
        return beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))

    def update(theta, g, t, alpha):
        now = s["mu_product"] = s["mu_product"] * mu(t)
        m = s["exp_avg"] = beta1 * s["exp_avg"] + (1 - beta1) * g
        v = s["exp_avg_sq"] = beta2 * s["exp_avg_sq"] + (1 - beta2) * g**2
        m_hat = mu(t + 1) * m / (1 - now * mu(t + 1)) + (1 - mu(t)) * g / (1 - now)
        return theta - alpha * m_hat / (np.sqrt(v / (1 - beta2**t)) + eps)

    return follow(theta, grads, update, s, lr=lr, **common)


def radam(theta, grads, *, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, **common):
    """Liu et al. 2020, Algorithm 2; the switch stands at 5, as in the authors' code."""
    (beta1, beta2), s = betas, zeros(theta, "exp_avg", "exp_avg_sq")

    def update(theta, g, t, alpha):
        m = s["exp_avg"] = beta1 * s["exp_avg"] + (1 - beta1) * g
        v = s["exp_avg_sq"] = beta2 * s["exp_avg_sq"] + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        if rho <= 5:
            return theta - alpha * m_hat
        r = np.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        return theta - alpha * m_hat * r * np.sqrt(1 - beta2**t) / (np.sqrt(v) + eps)

    return follow(theta, grads, update, s, lr=lr, **common)


def lion(theta, grads, *, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, **common):
    """Chen et al. 2023, Algorithm 2."""
    (beta1, beta2), s = betas, zeros(theta, "exp_avg")

    def update(theta, g, t, alpha):
        c = beta1 * s["exp_avg"] + (1 - beta1) * g
        s["exp_avg"] = beta2 * s["exp_avg"] + (1 - beta2) * g
        return theta - alpha * (np.sign(c) + weight_decay * theta)

    return follow(theta, grads, update, s, lr=lr, decoupled=True, **common)


def unscale_and_clip(grads, *, grad_scale=1.0, max_norm=None):
    """The first two stages over all tensors of a step; returns the gradients and their norm.

    Pascanu, Mikolov & Bengio 2013, Algorithm 1: the norm is over all tensors together, after
    unscaling and before clipping.
    """
    grads = [None if g is None else np.asarray(g, np.float64) / grad_scale for g in grads]
    norm = float(np.sqrt(sum(np.sum(g**2) for g in grads if g is not None)))
    if max_norm is not None and not norm <= max_norm:
        grads = [None if g is None else g * (max_norm / norm) for g in grads]
    return grads, norm


def train(rule, thetas, steps, *, grad_scale=1.0, max_norm=None, nonfinite="propagate", **hyper):
    """All tensors through all steps; steps[k] is the list of gradients of step k.

    Returns the list of (theta, state), the norms of the steps taken, and the steps skipped.
    """
    seen, norms, skipped = [], [], 0
    for grads in steps:
        finite = all(np.isfinite(g).all() for g in grads if g is not None)
        if nonfinite == "skip" and not finite:
            seen.append([SKIPPED] * len(thetas))
            skipped += 1
            continue
        grads, norm = unscale_and_clip(grads, grad_scale=grad_scale, max_norm=max_norm)
        seen.append(grads)
        norms.append(norm)
    ends = [rule(theta, [g[i] for g in seen], **hyper) for i, theta in enumerate(thetas)]
    return ends, norms, skipped


def rounded(hyper, dtype):
    """Hyperparameters as the compute type holds them: 0.999 is 0.99900001 in float32.

    The learning rate stays: it is folded in double and rounded once.
    """
    keep = ("lr", "lr_decay", "momentum_decay")

    def round_one(x):
        return tuple(map(round_one, x)) if isinstance(x, tuple) else float(np.dtype(dtype).type(x))

    return {
        name: x if isinstance(x, bool) or x is None or name in keep else round_one(x)
        for name, x in hyper.items()
    }
