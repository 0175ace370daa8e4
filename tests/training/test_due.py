import pytest

from drnet_jax.training.due import is_due


@pytest.mark.parametrize(
    ("every_steps", "expected"),
    [(3, [3, 6, 9, 10]), (5, [5, 10]), (10, [10]), (0, [10]), (99, [10])],
)
def test_due_steps(every_steps, expected):
    assert [step for step in range(11) if is_due(step, every_steps, 10)] == expected
