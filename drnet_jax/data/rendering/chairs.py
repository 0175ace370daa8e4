"""Chairs from a small grammar: a base, a seat, a back, perhaps arms; no two identities alike.

Every chair has a back, so that its azimuth can be told from its picture.
"""

import dataclasses
import itertools

import numpy as np

from drnet_jax.data.rendering.scene import Material, Model, rotation

BASES = (
    "straight",
    "round",
    "splayed",
    "pedestal",
    "star",
    "sled",
    "cantilever",
    "block",
    "high",
)
_BASE_ODDS = (0.2, 0.14, 0.15, 0.07, 0.13, 0.08, 0.07, 0.11, 0.05)
BACKS = ("panel", "slats", "ladder", "curve", "hoop", "spindles")
_BACK_ODDS = (0.27, 0.2, 0.18, 0.15, 0.1, 0.1)
_METAL_BASES = ("pedestal", "star", "sled", "cantilever")

_WOODS = (
    (0.55, 0.36, 0.20),
    (0.74, 0.54, 0.33),
    (0.38, 0.23, 0.14),
    (0.82, 0.67, 0.46),
    (0.48, 0.21, 0.13),
    (0.27, 0.18, 0.13),
    (0.63, 0.44, 0.25),
)
_METALS = (
    (0.72, 0.73, 0.75),
    (0.30, 0.31, 0.33),
    (0.15, 0.15, 0.17),
    (0.55, 0.56, 0.60),
    (0.66, 0.58, 0.40),
)
_FABRICS = (
    (0.72, 0.15, 0.14),
    (0.14, 0.29, 0.62),
    (0.18, 0.47, 0.25),
    (0.88, 0.66, 0.17),
    (0.52, 0.53, 0.55),
    (0.20, 0.21, 0.24),
    (0.84, 0.78, 0.66),
    (0.47, 0.25, 0.52),
    (0.12, 0.52, 0.56),
    (0.92, 0.44, 0.16),
    (0.42, 0.25, 0.17),
    (0.88, 0.50, 0.60),
)


@dataclasses.dataclass(frozen=True)
class Chair:
    """A chair and the names of its parts: `base` of `BASES`, `back` of `BACKS`."""

    model: Model
    base: str
    back: str


class _Plan:
    """The measures of one chair in metres, and the model that its parts are added to.

    Attributes:
      width, depth: half sizes of the seat.
      height: of the middle of the seat; `thick` is half its thickness.
      radius: of a leg.
      frame, fabric: materials.
      round_seat: whether the seat is a disc.
    """

    def __init__(self, rng: np.random.Generator):
        self.model = Model()
        self.rng = rng
        self.base = str(rng.choice(BASES, p=_BASE_ODDS))
        self.back = str(rng.choice(BACKS, p=_BACK_ODDS))
        if self.base in ("star", "block") and self.back not in ("panel", "curve"):
            self.back = "panel"
        if self.base == "block":
            self.back = "panel"
        is_metal = self.base in _METAL_BASES or self.chance(0.12)
        self.frame = self._metal() if is_metal else self._wood()
        self.fabric = self._fabric()
        self.width, self.depth = self.draw(0.19, 0.26), self.draw(0.19, 0.25)
        self.height = self.draw(0.62, 0.72) if self.base == "high" else self.draw(0.4, 0.48)
        self.thick, self.radius = self.draw(0.014, 0.032), self.draw(0.014, 0.026)
        self.round_seat = self.base in ("pedestal", "splayed", "high") and self.chance(0.45)

    def draw(self, low: float, high: float) -> float:
        """Returns a number between the two."""
        return float(self.rng.uniform(low, high))

    def chance(self, odds: float) -> bool:
        """Returns True in `odds` of all cases."""
        return bool(self.rng.random() < odds)

    def _color(self, palette):
        color = np.asarray(palette[self.rng.integers(len(palette))])
        return tuple(np.clip(color + self.rng.normal(0, 0.03, 3), 0.03, 0.95))

    def _wood(self) -> Material:
        return Material(self._color(_WOODS), 0.12, contrast=0.13, wavelength=self.draw(0.05, 0.08))

    def _metal(self) -> Material:
        return Material(self._color(_METALS), shine=0.5)

    def _fabric(self) -> Material:
        striped = self.chance(0.2)
        color = self._color(_FABRICS)
        return Material(color, 0.02, 0.3 * striped, wavelength=self.draw(0.08, 0.12), across=0)

    @property
    def under_seat(self) -> float:
        """Height where the legs meet the seat."""
        return self.height - self.thick

    def corners(self) -> list[np.ndarray]:
        """Returns the tops of four legs: front left, back left, front right, back right."""
        inset = 0.66 if self.round_seat else 1.0
        x, z = inset * (self.width - self.radius), inset * (self.depth - self.radius)
        return [np.array([a * x, self.under_seat, b * z]) for a in (-1, 1) for b in (1, -1)]


def _legs(plan: _Plan) -> None:
    """Four legs, perhaps with rungs between them and an apron under the seat."""
    spread = plan.draw(0.02, 0.09) if plan.base in ("splayed", "high") else plan.draw(0, 0.02)
    legs = []
    for top in plan.corners():
        foot = top + spread * np.sign(top)
        foot[1] = 0
        legs.append((foot, top))
        if plan.base == "straight":
            half = [plan.radius, plan.under_seat / 2, plan.radius]
            plan.model.box([top[0], plan.under_seat / 2, top[2]], half, plan.frame)
        else:
            plan.model.cylinder(foot, top, plan.radius, plan.frame)
    rungs = "ring" if plan.base == "high" else plan.rng.choice(["none", "h", "ring", "front"])
    height = plan.draw(0.3, 0.6)
    at = [foot * (1 - height) + top * height for foot, top in legs]
    pairs = {"none": (), "front": ((0, 2),), "ring": ((0, 1), (2, 3), (0, 2), (1, 3))}
    for a, b in pairs.get(rungs, ((0, 1), (2, 3))):
        plan.model.cylinder(at[a], at[b], plan.radius * 0.7, plan.frame)
    if rungs == "h":
        middles = (at[0] + at[1]) / 2, (at[2] + at[3]) / 2
        plan.model.cylinder(*middles, plan.radius * 0.7, plan.frame)
    if plan.base in ("straight", "round") and plan.chance(0.5):
        x, z, y = *legs[3][1][[0, 2]], plan.under_seat - 0.03
        for side in (-1, 1):
            plan.model.box([0, y, side * z], [x, 0.03, 0.008], plan.frame)
            plan.model.box([side * x, y, 0], [0.008, 0.03, abs(z)], plan.frame)


def _pedestal(plan: _Plan) -> None:
    top = [0, plan.under_seat, 0]
    plan.model.cylinder([0, 0, 0], top, plan.draw(0.022, 0.035), plan.frame)
    plan.model.cylinder([0, 0, 0], [0, 0.022, 0], plan.draw(0.17, 0.23), plan.frame)


def _star(plan: _Plan) -> None:
    """A column on four or five castors."""
    plan.model.cylinder([0, 0.09, 0], [0, plan.under_seat, 0], 0.026, plan.frame)
    number, reach = int(plan.rng.integers(4, 6)), plan.draw(0.22, 0.28)
    castor = Material((0.1, 0.1, 0.11), shine=0.2)
    for turn in 2 * np.pi * (np.arange(number) + 0.25) / number:
        tip = np.array([reach * np.sin(turn), 0.05, reach * np.cos(turn)])
        plan.model.cylinder([0, 0.1, 0], tip, 0.018, plan.frame)
        plan.model.ellipsoid(tip - [0, 0.02, 0], [0.03, 0.03, 0.03], castor)


def _tube(plan: _Plan, *points) -> None:
    for start, end in itertools.pairwise(points):
        plan.model.cylinder(start, end, 0.014, plan.frame)


def _sled(plan: _Plan) -> None:
    x, z, top = plan.width - 0.02, plan.depth - 0.01, plan.under_seat
    for side in (-x, x):
        feet = [side, 0.014, -z - 0.02], [side, 0.014, z + 0.02]
        _tube(plan, [side, top, -z], *feet, [side, top, z])


def _cantilever(plan: _Plan) -> None:
    """A bent tube that stands on two rails, open at the back."""
    x, z, top = plan.width - 0.02, plan.depth - 0.01, plan.under_seat - 0.01
    for side in (-x, x):
        bend = [side, 0.014, z], [side, top, z]
        _tube(plan, [side, 0.014, -z], *bend, [side, top, -z])
    _tube(plan, [-x, 0.014, -z], [x, 0.014, -z])


def _block(plan: _Plan) -> None:
    """An upholstered body on short feet; the seat's cushions lie on it."""
    plan.width = plan.draw(0.38, 0.5) if plan.chance(0.35) else plan.draw(0.25, 0.32)
    plan.depth, plan.thick = plan.draw(0.26, 0.31), plan.draw(0.05, 0.075)
    body, feet = plan.draw(0.1, 0.14), plan.draw(0.04, 0.1)
    plan.height = feet + 2 * body + plan.thick
    plan.model.box([0, feet + body, 0], [plan.width, body, plan.depth], plan.fabric)
    wood = plan._wood()
    for x in (0.04 - plan.width, plan.width - 0.04):
        for z in (0.04 - plan.depth, plan.depth - 0.04):
            plan.model.cylinder([x, 0, z], [x, feet, z], 0.022, wood)


_BASE_PARTS = dict(
    straight=_legs,
    round=_legs,
    splayed=_legs,
    high=_legs,
    pedestal=_pedestal,
    star=_star,
    sled=_sled,
    cantilever=_cantilever,
    block=_block,
)


def _seat(plan: _Plan) -> None:
    size = np.array([plan.width, plan.thick, plan.depth])
    if plan.base == "block":
        number = 2 if plan.width > 0.36 else 1
        cushion = plan._fabric() if plan.chance(0.3) else plan.fabric
        for i in range(number):
            x = plan.width * (2 * i + 1 - number) / number
            half = size * [0.97 / number, 1, 0.95]
            plan.model.box([x, plan.height, 0.015], half, cushion)
    elif plan.round_seat:
        material = plan.fabric if plan.chance(0.5) else plan.frame
        bottom, top = [0, plan.under_seat, 0], [0, plan.height + plan.thick, 0]
        plan.model.cylinder(bottom, top, plan.width, material)
    else:
        material = plan.fabric if plan.chance(0.35) else plan.frame
        plan.model.box([0, plan.height, 0], size, material)
        if plan.chance(0.5):
            cushion = [plan.width * 0.93, plan.draw(0.014, 0.03), plan.depth * 0.93]
            plan.model.box([0, plan.height + plan.thick + 0.014, 0], cushion, plan.fabric)


class _Back:
    """The plane that a back lies in: it leans backwards from the rear edge of the seat."""

    def __init__(self, plan: _Plan):
        self.height = plan.draw(0.24, 0.32) if plan.base == "high" else plan.draw(0.34, 0.54)
        self.width = plan.width * plan.draw(0.82, 1.0)
        if plan.round_seat:
            self.width *= 0.85
        self.turn = rotation("x", -plan.draw(0.04, 0.26))
        inset = 0.72 if plan.round_seat else 1.0
        self.foot = np.array([0, plan.height, inset * (plan.radius - plan.depth)])

    def at(self, x: float, y: float, z: float = 0.0) -> np.ndarray:
        """Returns the place `x` to the left, `y` up the back and `z` to its front."""
        return self.foot + self.turn @ np.array([x, y, z])


def _posts(plan: _Plan, back: _Back, gap: float) -> None:
    for side in (-0.7, 0.7):
        start, end = back.at(side * back.width, -0.02), back.at(side * back.width, gap + 0.05)
        plan.model.cylinder(start, end, 0.014, plan.frame)


def _panel(plan: _Plan, back: _Back) -> None:
    soft = plan.base == "block"
    gap = 0.0 if soft else plan.draw(0, 0.14)
    thick = plan.draw(0.05, 0.075) if soft else plan.draw(0.013, 0.028)
    material = plan.fabric if soft or plan.chance(0.55) else plan.frame
    half = np.array([plan.width if soft else back.width, (back.height - gap) / 2, thick])
    middle = (back.height + gap) / 2
    plan.model.box(back.at(0, middle), half, material, back.turn)
    if gap > 0.02:
        _posts(plan, back, gap)
    if plan.chance(0.3) and not soft:
        pad = half * [0.84, 0.84, 0] + [0, 0, 0.014]
        plan.model.box(back.at(0, middle, thick + 0.01), pad, plan.fabric, back.turn)


def _rails(plan: _Plan, back: _Back) -> float:
    """Two uprights and a top rail; returns the rail's lower edge."""
    rail = plan.draw(0.02, 0.055)
    for side in (plan.radius - back.width, back.width - plan.radius):
        if plan.back == "spindles":
            bottom, top = back.at(side, -0.02), back.at(side, back.height)
            plan.model.cylinder(bottom, top, plan.radius, plan.frame)
        else:
            half = [plan.radius, back.height / 2, plan.radius]
            plan.model.box(back.at(side, back.height / 2), half, plan.frame, back.turn)
    half = [back.width, rail, plan.radius * 0.8]
    plan.model.box(back.at(0, back.height - rail), half, plan.frame, back.turn)
    return back.height - 2 * rail


def _slats(plan: _Plan, back: _Back) -> None:
    top, number = _rails(plan, back), int(plan.rng.integers(2, 6))
    half = min(plan.draw(0.012, 0.035), back.width / number * 0.6)
    for x in np.linspace(-1, 1, number + 2)[1:-1] * back.width:
        size = [half, top / 2, plan.radius * 0.5]
        plan.model.box(back.at(x, top / 2), size, plan.frame, back.turn)


def _ladder(plan: _Plan, back: _Back) -> None:
    top, number = _rails(plan, back), int(plan.rng.integers(2, 5))
    half = min(plan.draw(0.016, 0.04), top / number * 0.3)
    for y in np.linspace(0.25, 0.85, number) * top:
        size = [back.width - plan.radius, half, plan.radius * 0.5]
        plan.model.box(back.at(0, y), size, plan.frame, back.turn)


def _spindles(plan: _Plan, back: _Back) -> None:
    top, number = _rails(plan, back), int(plan.rng.integers(3, 7))
    for x in np.linspace(-1, 1, number + 2)[1:-1] * back.width:
        plan.model.cylinder(back.at(x, 0), back.at(x, top), 0.009, plan.frame)


def _curve(plan: _Plan, back: _Back) -> None:
    """A shell of seven boards around the sitter."""
    number, angle = 7, plan.draw(0.5, 1.2)
    radius, gap = back.width / np.sin(angle), plan.draw(0, 0.14)
    material = plan.fabric if plan.chance(0.6) else plan.frame
    half = [radius * np.sin(angle / (number - 1)) * 1.08, (back.height - gap) / 2, 0.013]
    for turn in np.linspace(-angle, angle, number):
        place = radius * np.sin(turn), (back.height + gap) / 2, radius * (1 - np.cos(turn))
        plan.model.box(back.at(*place), half, material, back.turn @ rotation("y", -turn))
    if gap > 0.02:
        _posts(plan, back, gap)


def _hoop(plan: _Plan, back: _Back) -> None:
    """A bent bow with thin sticks in it."""

    def bow(turn):
        return back.at(back.width * np.cos(turn), back.height * np.sin(turn) ** 0.8)

    turns = np.linspace(0, np.pi, 9)
    for start, end in itertools.pairwise(turns):
        plan.model.cylinder(bow(start), bow(end), plan.radius * 0.8, plan.frame)
    for x in np.linspace(-0.7, 0.7, int(plan.rng.integers(3, 6))):
        start = back.at(x * back.width * 0.8, 0)
        plan.model.cylinder(start, bow(np.arccos(x)), 0.009, plan.frame)


_BACK_PARTS = dict(
    panel=_panel, slats=_slats, ladder=_ladder, curve=_curve, hoop=_hoop, spindles=_spindles
)


def _arms(plan: _Plan) -> None:
    if plan.base == "block" and plan.chance(0.8):
        rise, half = plan.draw(0.06, 0.11), plan.draw(0.045, 0.075)
        bottom = 0.06
        top = plan.height + plan.thick + rise
        for side in (-1, 1):
            center = [side * (plan.width + half), (bottom + top) / 2, 0]
            plan.model.box(center, [half, (top - bottom) / 2, plan.depth], plan.fabric)
    elif plan.base not in ("high", "block") and not plan.round_seat and plan.chance(0.35):
        top, reach = plan.height + plan.draw(0.17, 0.24), plan.depth * plan.draw(0.6, 0.95)
        material = plan.frame if plan.chance(0.7) else plan.fabric
        half = [plan.draw(0.016, 0.028), 0.015, reach]
        for x in (-plan.width, plan.width):
            front = 2 * reach - plan.depth - 0.03
            plan.model.box([x, top, reach - plan.depth], half, material)
            plan.model.cylinder([x, plan.height, front], [x, top, front], 0.014, plan.frame)


def make_chair(seed: int, identity: int) -> Chair:
    """Returns chair number `identity`, the same one every time.

    Args:
      seed: another one gives other chairs.
      identity: any number from 0 on.
    """
    plan = _Plan(np.random.default_rng([seed, 1, identity]))
    _BASE_PARTS[plan.base](plan)
    _seat(plan)
    _BACK_PARTS[plan.back](plan, _Back(plan))
    _arms(plan)
    return Chair(plan.model, plan.base, plan.back)
