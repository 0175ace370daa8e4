"""The laws of motion of Moving MNIST: exact positions at any time, without stepping there.

On each axis a digit has an integer position in `[0, span)` and an integer velocity. A step adds the
velocity; the laws differ in what happens where that leaves the range.

Sources: `clamped_positions`: drnet-py, data/moving_mnist/generator.py. `reflected_positions`: Dona
et al. 2021, "PDE-driven spatiotemporal disentanglement", and its code.
"""

import flax.struct
import jax
import numpy as np

NUM_PLACES = 4
PLACE_BITS = 5
"""A time has 4 places in base 32: few look-ups, in tables of 32 rows each."""

NUM_TIMES = 2 ** (PLACE_BITS * NUM_PLACES)
"""Times are below this, 2^20."""


@flax.struct.dataclass
class Tracks:
    """Digits and motion of a batch of clips; the last axis of vectors is (row, column)."""

    digits: jax.Array  # int32 `[batch, num_digits]`, indices of pictures in the split.
    positions: jax.Array  # int32 `[batch, num_digits, 2]`, upper left corners at time 0, in pixels.
    velocities: jax.Array  # int32 `[batch, num_digits, 2]`, pixels per step.
    front: jax.Array  # int32 `[batch]`, index of the digit that hides the others.


def jump_tables(span: int, max_speed: int) -> np.ndarray:
    """Returns tables that advance a state, int32 `[NUM_PLACES, 32, num_states]`.

    Row `[i, n]` maps a state to the state `32^i n` steps later. A state is
    `position * (2 * max_speed + 1) + velocity + max_speed`, positions in `[0, span)`, velocities in
    `[-max_speed, max_speed]`.
    """
    num_velocities = 2 * max_speed + 1
    position, velocity = np.divmod(np.arange(span * num_velocities), num_velocities)
    velocity = velocity - max_speed
    moved = position + velocity
    outside = (moved < 0) | (moved >= span)
    velocity = np.where(outside, -velocity, velocity)
    jump = np.clip(moved, 0, span - 1) * num_velocities + velocity + max_speed
    tables = []
    for _ in range(NUM_PLACES):
        table = [np.arange(len(jump))]
        for _ in range(2**PLACE_BITS):
            table.append(jump[table[-1]])
        jump = table.pop()  # 32 steps of this place are one step of the next.
        tables.append(table)
    return np.array(tables, np.int32)


def clamped_positions(tracks: Tracks, times: jax.Array, span: int, max_speed: int) -> jax.Array:
    """Returns positions, int32 `[batch, time, num_digits, 2]`, that stop at the border for a step.

    Where a step leaves the range, the position is clamped and the velocity flips. Position and
    velocity are therefore a small finite state, and a table look-up gives its successor. A look-up
    could give the state after any number of steps, but would need large tables. Instead, a time is
    written in base 32, and the table of each place advances a state by the steps of that place.

    `times` are int32 `[batch, time]` in `[0, NUM_TIMES)`; an axis has `span` positions.
    """
    num_velocities = 2 * max_speed + 1
    state = tracks.positions * num_velocities + tracks.velocities + max_speed
    state, times = state[:, None], times[:, :, None, None]  # [batch, time, digits, 2]
    # NumPy for clips on the host, where compiling would take longer than looking up.
    tables = state.__array_namespace__().asarray(jump_tables(span, max_speed))
    for i, table in enumerate(tables):
        state = table[times >> (i * PLACE_BITS) & (2**PLACE_BITS - 1), state]
    return state // num_velocities


def reflected_positions(tracks: Tracks, times: jax.Array, span: int) -> jax.Array:
    """Returns positions, int32 `[batch, time, num_digits, 2]`, that bounce as a ray of light does.

    They are `start + velocity * time` reflected into the range, a triangle wave. The arguments are
    those of `clamped_positions`.
    """
    last = span - 1
    # [batch, digits, 2] and [batch, time] -> [batch, time, digits, 2]
    unfolded = tracks.positions[:, None] + tracks.velocities[:, None] * times[:, :, None, None]
    return last - abs(unfolded % (2 * last) - last)
