"""What tests of bad input share: an optimizer under way, and the messages that are due."""

from __future__ import annotations

import re

import numpy as np
import pytest

import steepest as st
from runs import snapshot

S, G = "state_dict['state']", "state_dict['param_groups']"


def says(error, message):
    return pytest.raises(error, match="^" + re.escape(message))


def under_way():
    """An optimizer under way, and a function that shows it has not changed."""
    params = {"layer1": [np.ones(3), np.ones((2, 3))], "layer2": {"w": np.ones(5)}}
    leaves = [*params["layer1"], params["layer2"]["w"]]
    opt = st.Adam(params, lr=0.1, ema_decay=0.5)
    opt.step(grads_of(params), max_norm=9.0)
    before = snapshot(opt, leaves)

    def unchanged():
        assert snapshot(opt, leaves) == before

    return opt, params, unchanged


def grads_of(params, **replaced):
    """Gradients for ``under_way``, with one replaced: layer1_0, layer1_1 or layer2_w."""
    grads = {"layer1": [np.ones(3), np.ones((2, 3))], "layer2": {"w": np.ones(5)}}
    for name, value in replaced.items():
        layer, key = name.split("_")
        grads[layer][int(key) if key.isdigit() else key] = value
    return grads
