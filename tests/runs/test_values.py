import pytest

from drnet_jax.runs import values


@pytest.mark.parametrize(
    ("text", "present", "plain"),
    [
        *((text, 5, "1000") for text in ("1000", "1_000", "1e3", "1000.0", " 1E3 ", "+1000")),
        ("-7", 5, "-7"),
        ("99999999999999999999", 5, "99999999999999999999"),
        ("1e-3", 0.5, "0.001"),
        ("1_000.5", 0.5, "1000.5"),
        *((text, True, "False") for text in ("false", "False", "0", "f")),
        ("TRUE", False, "True"),
        ("(-4, 3)", (0, 1), "(-4, 3)"),
        ("(-4,3.0)", (0, 1), "(-4, 3)"),
        ("26", (10, 18), "(26,)"),
        ("[10, 26.5]", (10.0, 18), "(10, 26.5)"),
        ("a = b", "text", "a = b"),
    ],
)
def test_numbers_are_read_however_they_are_written(text, present, plain):
    assert values.plain("config.x", text, present) == plain


@pytest.mark.parametrize(
    ("text", "present", "allowed"),
    [
        *(
            (text, 5, "whole numbers, such as 1000, 1_000 or 1e3")
            for text in ("1.5", "", "many", "inf", "nan", "1e999999999", "9" * 5000, "0x10")
        ),
        ("fast", 0.5, "numbers, such as 0.002 or 2e-3"),
        ("maybe", True, "True, False"),
        ("2", True, "True, False"),
        *(
            (text, (-4, 3), "whole numbers in parentheses, such as (-4, 3)")
            for text in ("(a, b)", "('a', 'b')", "(1.5, 2)", "(1,", "(True, 2)", "{1: 2}", "")
        ),
    ],
)
def test_other_values_are_refused_with_what_is_allowed(text, present, allowed):
    with pytest.raises(ValueError) as error:
        values.plain("config.x", text, present)
    assert str(error.value) == f"config.x={text!r}; allowed: {allowed}."


def test_a_section_is_no_setting():
    with pytest.raises(ValueError, match=r"config.rollout is a section; .*of num_clips, num_steps"):
        values.plain("config.rollout", "3", {"num_steps": 1, "num_clips": 2})
