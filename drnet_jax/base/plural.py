"""Numbers with their nouns in messages."""


def count(number: int, noun: str, plural: str = "") -> str:
    """Returns `number` with its noun: "1 video", "2,000 videos".

    Args:
      number: how many.
      noun: the singular.
      plural: by default, the singular with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
