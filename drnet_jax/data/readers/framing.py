"""How a picture of any shape becomes a square frame."""

import dataclasses
from fractions import Fraction

from PIL import ImageColor

from drnet_jax.data.preparation.builder import UnreadableError

CROPS = ("center", "none")

_MAX_PIXELS = 2**26  # Twice 8K video; a header that promises more is damaged or hostile.
_MAX_ASPECT = 32  # A crop or a squeeze of a longer picture would show nothing useful.


@dataclasses.dataclass(frozen=True)
class Framing:
    """The form into which readers bring frames."""

    image_size: int  # Side of a frame in pixels.
    channels: int  # 1 is gray, 3 is RGB.
    crop: str  # `center` takes the largest centered square, `none` squeezes the whole picture.
    background: str = "white"  # Shows through transparent parts: a name or `#rrggbb`.
    bits: int = 16  # Of the values in pictures with 16 bits; cameras often use 10, 12 or 14.

    def __post_init__(self):
        if self.crop not in CROPS:
            raise ValueError(f"crop={self.crop!r}; allowed: {', '.join(CROPS)}.")
        if not 8 <= self.bits <= 16:
            raise ValueError(f"bits={self.bits}; allowed: 8 to 16.")
        try:
            opaque = len(ImageColor.getrgb(self.background)) == 3
        except (ValueError, AttributeError):  # The latter for what is no text.
            opaque = False
        if not opaque:
            raise ValueError(
                f"background={self.background!r}; allowed: a color such as white or #80c0ff."
            )

    def scaled(self, width: Fraction | int, height: int) -> tuple[int, int]:
        """Returns the width and height to scale a picture to before its center is cut out."""
        if self.crop == "none":
            return self.image_size, self.image_size
        short = min(width, height)
        return tuple(
            max(self.image_size, round(s * self.image_size / short)) for s in (width, height)
        )


def check_picture(name: str, width: int, height: int) -> None:
    """Raises UnreadableError if pictures in the file `name` are empty, too large or too narrow."""
    if width < 1 or height < 1 or width * height > _MAX_PIXELS:
        raise UnreadableError(
            f"{name} holds pictures of {width}x{height}; allowed: 1 to {_MAX_PIXELS:,} pixels."
        )
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise UnreadableError(
            f"{name} holds pictures of {width}x{height}; allowed: one side at most "
            f"{_MAX_ASPECT} times the other."
        )
