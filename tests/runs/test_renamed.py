"""Names of version 0.1 are read as the present ones; each table entry is covered."""

import pytest

from drnet_jax.runs import renamed


def nested(name, value):
    """Returns settings with one entry, from its dotted name."""
    for key in reversed(name.split(".")):
        value = {key: value}
    return value


@pytest.mark.parametrize(("old", "new"), renamed.SETTINGS.items())
def test_an_old_setting_is_read_under_its_present_name(old, new):
    assert renamed.present_settings(nested(old, 7)) == nested(new, 7)
    assert renamed.present_settings(nested(new, 7)) == nested(new, 7)


def test_an_old_section_keeps_what_is_in_it():
    assert renamed.present_name("data.procedural.seed") == "data.stand_in.seed"
    old = {"data": {"procedural": {"seed": 3}, "name": "kth"}}
    assert renamed.present_settings(old) == {"data": {"stand_in": {"seed": 3}, "name": "kth"}}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [(name, *pair) for name, values in renamed.VALUES.items() for pair in values.items()],
)
def test_an_old_value_is_read_as_its_present_spelling(name, old, new):
    assert renamed.present_settings(nested(name, old)) == nested(name, new)
    assert renamed.present_settings(nested("data.name", old)) == nested("data.name", old)


def test_old_scores_are_read_at_any_depth():
    for old, new in renamed.SCORES.items():
        record = {"rollout": [{old: {"mean": 1.0}}]}
        assert renamed.present_scores(record) == {"rollout": [{new: {"mean": 1.0}}]}
