"""How far training steps may be from their golden files."""

import dataclasses

FORCED_BIAS = 2e-3  # How far, per iteration, Adam may move a bias without a gradient.


@dataclasses.dataclass(frozen=True)
class Limits:
    """What is allowed, by iteration.

    Attributes:
      losses: relative.
      gradients: relative to the norm of a tensor's gradient.
      parameters: absolute, of a tensor's mean and standard deviation after the update.
      elements: absolute, of single elements after the update.
      statistics: relative and absolute, of running statistics.
      forced_bias: how far a bias in front of a norm, whose true gradient is zero, may wander.
    """

    losses: tuple[float, ...]
    gradients: tuple[float, ...]
    parameters: tuple[float, ...]
    elements: tuple[float, ...]
    statistics: tuple[float, ...]
    forced_bias: float

    def at(self, iteration: int, kind: str) -> float:
        """Returns the limit of `kind`; the last one holds for all further iterations."""
        limits = getattr(self, kind)
        return limits[min(iteration, len(limits) - 1)]


FLOAT64 = Limits(
    losses=(1e-10, 1e-9, 1e-9),
    gradients=(1e-9, 1e-8, 1e-8),
    parameters=(1e-10, 1e-10, 1e-10),
    elements=(1e-9, 1e-8, 1e-8),
    statistics=(1e-9, 1e-9, 1e-9),
    forced_bias=0.0,
)
DRNET = {
    "float32": Limits(
        losses=(1e-5, 5e-3, 2e-2),
        gradients=(3e-3, 0.1, 0.3),
        parameters=(1e-5, 1e-4, 1e-3),
        elements=(4e-3, 8e-3, 12e-3),  # A random direction: twice the learning rate each time.
        statistics=(2e-5, 1e-3, 1e-2),
        forced_bias=FORCED_BIAS,
    ),
    "float64": FLOAT64,
}
LSTM = {
    "float32": Limits(
        losses=(1e-5, 1e-5, 1e-5),
        gradients=(1e-4, 1e-4, 1e-4),
        parameters=(1e-5, 1e-4, 1e-3),
        elements=(1e-6, 1e-6, 1e-6),
        statistics=(2e-5, 2e-5, 2e-5),
        forced_bias=0.0,  # The encoders are frozen.
    ),
    "float64": FLOAT64,
}
