"""Chairs from a small grammar: a base, a seat, a back, perhaps arms; no two identities are alike.

Every chair has a back, so that its azimuth can be told from its picture. Sizes are in meters.
"""

import itertools

import numpy as np

from drnet_jax.data.rendering.scene import Material, RandomModel, rotation

BASES = ("straight", "round", "splayed", "pedestal", "star", "sled", "cantilever", "block", "high")
_BASE_ODDS = (0.2, 0.14, 0.15, 0.07, 0.13, 0.08, 0.07, 0.11, 0.05)
BACKS = ("panel", "slats", "ladder", "curve", "hoop", "spindles")
_BACK_ODDS = (0.27, 0.2, 0.18, 0.15, 0.1, 0.1)
_METAL_BASES = ("pedestal", "star", "sled", "cantilever")
_TUBE = 0.014  # Radius of the bent tubes of sleds and cantilevers, and of posts.

# sRGB in percent: red, green and blue of each color. The colors of each chair differ a little.
_WOODS = "55 36 20, 74 54 33, 38 23 14, 82 67 46, 48 21 13, 27 18 13, 63 44 25"
_METALS = "72 73 75, 30 31 33, 15 15 17, 55 56 60, 66 58 40"
_FABRICS = (
    "72 15 14, 14 29 62, 18 47 25, 88 66 17, 52 53 55, 20 21 24, "
    "84 78 66, 47 25 52, 12 52 56, 92 44 16, 42 25 17, 88 50 60"
)


class Chair(RandomModel):
    """A model of a chair, and the measures that its parts share."""

    def __init__(self, rng: np.random.Generator):
        super().__init__(rng)
        self.base = str(rng.choice(BASES, p=_BASE_ODDS))
        self.back = str(rng.choice(BACKS, p=_BACK_ODDS))
        # A block carries a cushion, and a thin frame would not stand on castors.
        if self.base == "block" or (self.base == "star" and self.back != "curve"):
            self.back = "panel"
        # A few chairs on legs are of metal as well.
        is_metal = self.base in _METAL_BASES or self.chance(0.12)
        self.frame = Material(self._color(_METALS), shine=0.5) if is_metal else self.wood()
        self.fabric = self.cloth()
        # Half the width and depth of the seat, its height, half its thickness; radius of a leg.
        self.width, self.depth = self.draw(0.19, 0.26), self.draw(0.19, 0.25)
        self.height = self.draw(0.62, 0.72) if self.base == "high" else self.draw(0.4, 0.48)
        self.thick, self.radius = self.draw(0.014, 0.032), self.draw(0.014, 0.026)
        self.round_seat = self.base in ("pedestal", "splayed", "high") and self.chance(0.45)

    def _color(self, palette: str) -> tuple[float, ...]:
        colors = palette.split(", ")
        color = np.array(colors[self.pick(len(colors))].split(), float) / 100
        return tuple(np.clip(color + self.rng.normal(0, 0.03, 3), 0.03, 0.95))

    def wood(self) -> Material:
        """Returns wood of some color, with a grain."""
        return Material(self._color(_WOODS), 0.12, contrast=0.13, wavelength=self.draw(0.05, 0.08))

    def cloth(self) -> Material:
        """Returns fabric of some color, sometimes striped."""
        stripes, color = 0.3 * self.chance(0.2), self._color(_FABRICS)
        return Material(color, 0.02, stripes, wavelength=self.draw(0.08, 0.12), across=0)

    @property
    def under_seat(self) -> float:
        """Height where the legs meet the seat."""
        return self.height - self.thick

    def rod(self, start, end, radius: float) -> None:
        """Adds a rod of the frame's material."""
        self.cylinder(start, end, radius, self.frame)

    def tube(self, *points) -> None:
        """Adds a bent tube through `points`."""
        for start, end in itertools.pairwise(points):
            self.rod(start, end, _TUBE)


def _legs(chair: Chair) -> None:
    """Adds four legs, perhaps with rungs between them and an apron under the seat."""
    spread = chair.draw(0.02, 0.09) if chair.base in ("splayed", "high") else chair.draw(0, 0.02)
    inset = 0.66 if chair.round_seat else 1.0  # Legs stay under a disc.
    x, z = inset * (chair.width - chair.radius), inset * (chair.depth - chair.radius)
    middle = chair.under_seat / 2
    legs = []
    # Front left, back left, front right, back right.
    for a, b in itertools.product((-1, 1), (1, -1)):
        top = np.array([a * x, chair.under_seat, b * z])
        foot = top + spread * np.sign(top)
        foot[1] = 0
        legs.append((foot, top))
        if chair.base == "straight":
            chair.box([top[0], middle, top[2]], [chair.radius, middle, chair.radius], chair.frame)
        else:
            chair.rod(foot, top, chair.radius)
    rungs = "ring" if chair.base == "high" else chair.rng.choice(["none", "h", "ring", "front"])
    # Rungs meet all legs at the same fraction of their length.
    height = chair.draw(0.3, 0.6)
    at = [foot * (1 - height) + top * height for foot, top in legs]
    pairs = {"none": (), "front": ((0, 2),), "ring": ((0, 1), (2, 3), (0, 2), (1, 3))}
    for a, b in pairs.get(rungs, ((0, 1), (2, 3))):
        chair.rod(at[a], at[b], chair.radius * 0.7)
    if rungs == "h":
        chair.rod((at[0] + at[1]) / 2, (at[2] + at[3]) / 2, chair.radius * 0.7)
    if chair.base in ("straight", "round") and chair.chance(0.5):
        y = chair.under_seat - 0.03
        for side in (-1, 1):
            chair.box([0, y, side * -z], [x, 0.03, 0.008], chair.frame)
            chair.box([side * x, y, 0], [0.008, 0.03, abs(z)], chair.frame)


def _pedestal(chair: Chair) -> None:
    """Adds a column on a disc."""
    chair.rod([0, 0, 0], [0, chair.under_seat, 0], chair.draw(0.022, 0.035))
    chair.rod([0, 0, 0], [0, 0.022, 0], chair.draw(0.17, 0.23))


def _star(chair: Chair) -> None:
    """Adds a column on four or five castors."""
    chair.rod([0, 0.09, 0], [0, chair.under_seat, 0], 0.026)
    number, reach = int(chair.rng.integers(4, 6)), chair.draw(0.22, 0.28)
    castor = Material((0.1, 0.1, 0.11), shine=0.2)
    for turn in 2 * np.pi * (np.arange(number) + 0.25) / number:
        tip = np.array([reach * np.sin(turn), 0.05, reach * np.cos(turn)])
        chair.rod([0, 0.1, 0], tip, 0.018)
        chair.ellipsoid(tip - [0, 0.02, 0], [0.03, 0.03, 0.03], castor)


def _sled(chair: Chair) -> None:
    """Adds two bent tubes that stand on their runners."""
    x, z, top = chair.width - 0.02, chair.depth - 0.01, chair.under_seat
    for side in (-x, x):
        # Runners reach beyond the seat, or the chair would tip over.
        feet = [side, _TUBE, -z - 0.02], [side, _TUBE, z + 0.02]
        chair.tube([side, top, -z], *feet, [side, top, z])


def _cantilever(chair: Chair) -> None:
    """Adds a bent tube that stands on two rails, open at the back."""
    x, z, top = chair.width - 0.02, chair.depth - 0.01, chair.under_seat - 0.01
    for side in (-x, x):
        chair.tube([side, _TUBE, -z], [side, _TUBE, z], [side, top, z], [side, top, -z])
    chair.tube([-x, _TUBE, -z], [x, _TUBE, -z])


def _block(chair: Chair) -> None:
    """Adds an upholstered body on short feet; the seat's cushions will lie on it."""
    chair.width = chair.draw(0.38, 0.5) if chair.chance(0.35) else chair.draw(0.25, 0.32)
    chair.depth, chair.thick = chair.draw(0.26, 0.31), chair.draw(0.05, 0.075)
    body, feet = chair.draw(0.1, 0.14), chair.draw(0.04, 0.1)
    chair.height = feet + 2 * body + chair.thick
    chair.box([0, feet + body, 0], [chair.width, body, chair.depth], chair.fabric)
    wood = chair.wood()
    for x in (0.04 - chair.width, chair.width - 0.04):
        for z in (0.04 - chair.depth, chair.depth - 0.04):
            chair.cylinder([x, 0, z], [x, feet, z], 0.022, wood)


# All other bases have four legs.
_BASE_PARTS = dict(pedestal=_pedestal, star=_star, sled=_sled, cantilever=_cantilever, block=_block)


def _seat(chair: Chair) -> None:
    size = np.array([chair.width, chair.thick, chair.depth])
    if chair.base == "block":
        number = 2 if chair.width > 0.36 else 1  # A sofa has two cushions.
        cushion = chair.cloth() if chair.chance(0.3) else chair.fabric
        for i in range(number):
            x = chair.width * (2 * i + 1 - number) / number
            # Narrower than the body, so that the cushions show as cushions.
            chair.box([x, chair.height, 0.015], size * [0.97 / number, 1, 0.95], cushion)
    elif chair.round_seat:
        material = chair.fabric if chair.chance(0.5) else chair.frame
        bottom, top = [0, chair.under_seat, 0], [0, chair.height + chair.thick, 0]
        chair.cylinder(bottom, top, chair.width, material)
    else:
        material = chair.fabric if chair.chance(0.35) else chair.frame
        chair.box([0, chair.height, 0], size, material)
        if chair.chance(0.5):
            cushion = [chair.width * 0.93, chair.draw(0.014, 0.03), chair.depth * 0.93]
            chair.box([0, chair.height + chair.thick + 0.014, 0], cushion, chair.fabric)


class _Back:
    """The plane of a back, which leans backwards from the rear edge of the seat."""

    def __init__(self, chair: Chair):
        self.chair = chair
        self.height = chair.draw(0.24, 0.32) if chair.base == "high" else chair.draw(0.34, 0.54)
        self.width = chair.width * chair.draw(0.82, 1.0)
        if chair.round_seat:
            self.width *= 0.85
        self.turn = rotation("x", -chair.draw(0.04, 0.26))
        inset = 0.72 if chair.round_seat else 1.0
        self.foot = np.array([0, chair.height, inset * (chair.radius - chair.depth)])

    def at(self, x: float, y: float, z: float = 0.0) -> np.ndarray:
        """Returns the place `x` to the left, `y` up the back and `z` to its front."""
        return self.foot + self.turn @ np.array([x, y, z])

    def board(self, x: float, y: float, half, material: Material | None = None) -> None:
        """Adds a box in the plane, by default of the frame's material."""
        self.chair.box(self.at(x, y), half, material or self.chair.frame, self.turn)

    def posts(self, gap: float) -> None:
        """Adds two posts that carry a back which begins `gap` above the seat."""
        if gap > 0.02:
            # From inside the seat to inside the board, so that neither end shows a gap.
            for x in (-0.7 * self.width, 0.7 * self.width):
                self.chair.rod(self.at(x, -0.02), self.at(x, gap + 0.05), _TUBE)


def _panel(chair: Chair, back: _Back) -> None:
    """Adds one board: on a block as wide as the seat, on other chairs perhaps with a pad."""
    soft = chair.base == "block"
    gap = 0.0 if soft else chair.draw(0, 0.14)
    thick = chair.draw(0.05, 0.075) if soft else chair.draw(0.013, 0.028)
    material = chair.fabric if soft or chair.chance(0.55) else chair.frame
    half = np.array([chair.width if soft else back.width, (back.height - gap) / 2, thick])
    middle = (back.height + gap) / 2
    back.board(0, middle, half, material)
    back.posts(gap)
    if chair.chance(0.3) and not soft:
        pad = half * [0.84, 0.84, 0] + [0, 0, 0.014]
        chair.box(back.at(0, middle, thick + 0.01), pad, chair.fabric, back.turn)


def _open(chair: Chair, back: _Back) -> None:
    """Adds two uprights and a top rail, and between them slats, a ladder's steps or spindles."""
    rail, radius = chair.draw(0.02, 0.055), chair.radius
    for side in (radius - back.width, back.width - radius):
        if chair.back == "spindles":
            chair.rod(back.at(side, -0.02), back.at(side, back.height), radius)
        else:
            back.board(side, back.height / 2, [radius, back.height / 2, radius])
    back.board(0, back.height - rail, [back.width, rail, radius * 0.8])
    top = back.height - 2 * rail
    least, most = dict(slats=(2, 5), ladder=(2, 4), spindles=(3, 6))[chair.back]
    number = int(chair.rng.integers(least, most + 1))
    columns = np.linspace(-1, 1, number + 2)[1:-1] * back.width
    if chair.back == "slats":
        half = min(chair.draw(0.012, 0.035), back.width / number * 0.6)
        for x in columns:
            back.board(x, top / 2, [half, top / 2, radius * 0.5])
    elif chair.back == "ladder":
        half = min(chair.draw(0.016, 0.04), top / number * 0.3)
        for y in np.linspace(0.25, 0.85, number) * top:
            back.board(0, y, [back.width - radius, half, radius * 0.5])
    else:
        for x in columns:
            chair.rod(back.at(x, 0), back.at(x, top), 0.009)


def _curve(chair: Chair, back: _Back) -> None:
    """Adds a shell of seven boards around the sitter."""
    number, angle = 7, chair.draw(0.5, 1.2)
    radius, gap = back.width / np.sin(angle), chair.draw(0, 0.14)
    material = chair.fabric if chair.chance(0.6) else chair.frame
    # A little wider than its part of the arc, so that no light shows between two boards.
    half = [radius * np.sin(angle / (number - 1)) * 1.08, (back.height - gap) / 2, 0.013]
    for turn in np.linspace(-angle, angle, number):
        place = radius * np.sin(turn), (back.height + gap) / 2, radius * (1 - np.cos(turn))
        chair.box(back.at(*place), half, material, back.turn @ rotation("y", -turn))
    back.posts(gap)


def _hoop(chair: Chair, back: _Back) -> None:
    """Adds a bent bow with thin sticks in it."""

    def bow(turn):
        # The exponent makes the bow a little squarer than an ellipse.
        return back.at(back.width * np.cos(turn), back.height * np.sin(turn) ** 0.8)

    for start, end in itertools.pairwise(np.linspace(0, np.pi, 9)):
        chair.rod(bow(start), bow(end), chair.radius * 0.8)
    for x in np.linspace(-0.7, 0.7, int(chair.rng.integers(3, 6))):
        chair.rod(back.at(x * back.width * 0.8, 0), bow(np.arccos(x)), 0.009)


# All other backs are open.
_BACK_PARTS = dict(panel=_panel, curve=_curve, hoop=_hoop)


def _arms(chair: Chair) -> None:
    if chair.base == "block" and chair.chance(0.8):
        rise, half = chair.draw(0.06, 0.11), chair.draw(0.045, 0.075)
        # The arms end above the floor, as the body does.
        bottom, top = 0.06, chair.height + chair.thick + rise
        for side in (-1, 1):
            center = [side * (chair.width + half), (bottom + top) / 2, 0]
            chair.box(center, [half, (top - bottom) / 2, chair.depth], chair.fabric)
    elif chair.base not in ("high", "block") and not chair.round_seat and chair.chance(0.35):
        top, reach = chair.height + chair.draw(0.17, 0.24), chair.depth * chair.draw(0.6, 0.95)
        material = chair.frame if chair.chance(0.7) else chair.fabric
        half = [chair.draw(0.016, 0.028), 0.015, reach]
        front = 2 * reach - chair.depth - 0.03
        for x in (-chair.width, chair.width):
            chair.box([x, top, reach - chair.depth], half, material)
            chair.rod([x, chair.height, front], [x, top, front], _TUBE)


def make_chair(seed: int, identity: int) -> Chair:
    """Returns chair number `identity` of a seed, the same one every time."""
    # The order of the parts is the order of the random draws.
    chair = Chair(np.random.default_rng([seed, 1, identity]))
    _BASE_PARTS.get(chair.base, _legs)(chair)
    _seat(chair)
    _BACK_PARTS.get(chair.back, _open)(chair, _Back(chair))
    _arms(chair)
    return chair
