"""The thirteen first-order rules: a class names hyperparameters; its formula is in csrc/rules."""

from steepest.rules.accumulated import Adadelta, Adagrad, RMSProp
from steepest.rules.adam import Adam, AdamW, AMSGrad
from steepest.rules.adam_family import AdaMax, NAdam, RAdam
from steepest.rules.descent import SGD, Lion, Momentum, Nesterov

__all__ = [
    "SGD",
    "Momentum",
    "Nesterov",
    "Lion",
    "Adagrad",
    "Adadelta",
    "RMSProp",
    "Adam",
    "AMSGrad",
    "AdamW",
    "AdaMax",
    "NAdam",
    "RAdam",
]
