"""Toys of five categories for a turntable, each painted in one gray with darker details.

The front of a toy looks like no other side, so its azimuth can be told from a picture.
"""

from collections.abc import Sequence

import numpy as np

from drnet_jax.data.rendering.scene import Material, Model, RandomModel, rotation

CATEGORIES = ("animal", "human", "plane", "truck", "car")

# sRGB gray.
_DARK = Material((0.16,), shine=0.2)
_GLASS = Material((0.24,), shine=0.5)


class _Toy(RandomModel):
    """A toy in the making; `body` is the paint of most of it."""

    def __init__(self, rng: np.random.Generator):
        super().__init__(rng)
        self.body = self.paint(0.4, 0.78)

    def paint(self, low: float, high: float) -> Material:
        """Returns paint of a gray between the two."""
        return Material((self.draw(low, high),), shine=0.15)

    def pair(self, start: Sequence, end: Sequence, radius: float, paint: Material) -> None:
        """Adds a cylinder and its mirror image on the other side."""
        for side in ([1, 1, 1], [-1, 1, 1]):
            self.cylinder(np.multiply(start, side), np.multiply(end, side), radius, paint)

    def wheels(self, places: Sequence[float], width: float, radius: float) -> None:
        """Adds a pair of dark wheels with bright hubs at each of `places` along a vehicle."""
        for z in places:
            self.pair([width - 0.05, radius, z], [width + 0.015, radius, z], radius, _DARK)
            hub = radius * 0.45
            self.pair([width, radius, z], [width + 0.025, radius, z], hub, self.body)


def _animal(toy: _Toy) -> None:
    """Adds an animal on four legs, with head and tail, and ears or horns."""
    length, width, girth = toy.draw(0.3, 0.48), toy.draw(0.11, 0.19), toy.draw(0.12, 0.19)
    leg, radius = toy.draw(0.14, 0.4), toy.draw(0.03, 0.055)
    middle, hoof = leg + girth * 0.8, toy.paint(0.2, 0.4)
    toy.ellipsoid([0, middle, 0], [width, girth, length], toy.body)
    for z in (-0.6 * length, 0.6 * length):
        foot = [width * 0.6, 0, z]
        toy.pair(foot, [width * 0.6, middle, z * 0.9], radius, toy.body)
        toy.pair(foot, [width * 0.6, 0.05, z], radius * 1.2, hoof)
    neck, size = toy.draw(0.08, 0.42), toy.draw(0.075, 0.12)
    head = np.array([0, middle + neck, length + toy.draw(0.04, 0.16)])
    toy.cylinder([0, middle, length * 0.72], head, toy.draw(0.055, 0.09), toy.body)
    muzzle = toy.draw(1.1, 1.9)
    toy.ellipsoid(head, [size, size, size * muzzle], toy.body)
    toy.ellipsoid(head + np.array([0, -0.02, size * muzzle * 0.8]), [size * 0.5] * 3, hoof)
    for side in (-1, 1):
        eye = head + np.array([side * size * 0.72, size * 0.45, size * 0.55])
        toy.ellipsoid(eye, [size * 0.22] * 3, _DARK)
    kind = toy.pick(4)
    for side in (-1, 1):
        scale = np.array([side * size, size, 1])  # Multiples of the head's size, except z.
        if kind == 0:  # Upright ears.
            toy.ellipsoid(head + scale * [0.7, 0.95, 0], [0.025, size * 0.6, 0.035], toy.body)
        elif kind == 1:  # Wide horns.
            base, tip = head + scale * [0.5, 0.6, 0], head + scale * [1.7, 2.2, -0.03]
            toy.cylinder(base, tip, 0.017, hoof)
        elif kind == 2:  # Hanging ears.
            toy.ellipsoid(head + scale * [1.1, 0, -0.03], [size * 0.45, size * 0.95, 0.03], hoof)
        else:  # Horns that point back.
            base, tip = head + scale * [0.4, 0.5, 0], head + scale * [0.6, 1.8, -0.09]
            toy.cylinder(base, tip, 0.022, hoof)
    tail = [0, middle + toy.draw(-0.22, 0.25), -length - toy.draw(0.08, 0.22)]
    toy.cylinder([0, middle + girth * 0.3, -length * 0.88], tail, toy.draw(0.018, 0.035), hoof)
    if toy.pick(10) < 3:  # One hump or two.
        for z in ((0.0,), (-0.13, 0.13))[toy.pick(2)]:
            hump = [width * 0.55, girth * 0.8, length * 0.25]
            toy.ellipsoid([0, middle + girth, z], hump, toy.body)


def _human(toy: _Toy) -> None:
    """Adds a walking person in trousers, with a hat, spear, backpack or shield."""
    height, width = toy.draw(0.85, 1.05), toy.draw(0.12, 0.17)
    shoulder, cloth = 0.62 * height, toy.paint(0.25, 0.5)
    toy.ellipsoid([0, 0.52 * height, 0], [width, 0.17 * height, width * 0.65], toy.body)
    face, size = np.array([0, 0.78 * height, 0.0]), 0.085 * height
    toy.ellipsoid(face, [size, size * 1.2, size], toy.body)
    toy.ellipsoid(face + np.array([0, 0.03, -0.025]), [size * 1.06, size * 1.15, size], cloth)
    toy.ellipsoid(face + np.array([0, -0.005, size]), [0.018, 0.022, 0.025], toy.body)
    toy.cylinder([0, 0.6 * height, 0], [0, 0.74 * height, 0], 0.045, toy.body)
    for side in (-1, 1):
        stride, hip = toy.draw(-0.16, 0.16), side * width
        knee = np.array([hip * 0.7, 0.2 * height, stride])
        ankle = np.array([hip * 0.8, 0.03, stride - toy.draw(0, 0.12)])
        toy.cylinder([hip * 0.5, 0.42 * height, 0], knee, 0.062, cloth)
        toy.cylinder(knee, ankle, 0.052, cloth)
        toy.box(ankle + np.array([0, 0, 0.045]), [0.045, 0.03, 0.09], _DARK)
        out, rise = width + toy.draw(0.05, 0.18), toy.draw(-0.18, 0.08)
        elbow = np.array([side * out, shoulder + rise, toy.draw(0, 0.2)])
        inwards = side * toy.draw(-0.08, 0.08)
        hand = elbow + np.array([inwards, toy.draw(-0.16, 0.2), toy.draw(0.08, 0.22)])
        toy.cylinder([side * width * 0.9, shoulder, 0], elbow, 0.045, toy.body)
        toy.cylinder(elbow, hand, 0.038, toy.body)
    kind = toy.pick(4)
    if kind == 0:  # A hat.
        toy.cylinder([0, 0.84 * height, 0], [0, 0.86 * height, 0], 0.15, _DARK)
        toy.cylinder([0, 0.85 * height, 0], [0, 0.95 * height, 0], 0.085, _DARK)
    elif kind == 1:  # A spear in the right hand.
        start, end = [-width - 0.16, 0.1, 0.24], [-width - 0.16, 0.98 * height, 0.28]
        toy.cylinder(start, end, 0.022, _DARK)
    elif kind == 2:  # A backpack.
        toy.box([0, 0.55 * height, -width * 0.85], [width * 0.8, 0.13, 0.06], _DARK)
    else:  # A shield on the left arm.
        toy.box([width + 0.2, 0.5 * height, 0.2], [0.02, 0.16, 0.13], toy.paint(0.3, 0.45))


def _plane(toy: _Toy) -> None:
    """Adds a plane on its wheels."""
    length, radius = toy.draw(0.45, 0.58), toy.draw(0.06, 0.1)
    height, trim = toy.draw(0.16, 0.26), toy.paint(0.3, 0.5)
    toy.ellipsoid([0, height, 0], [radius, radius, length], toy.body)
    toy.ellipsoid([0, height, length * 0.83], [radius * 0.58] * 3, trim)
    canopy = [radius * 0.65, radius * 0.7, length * 0.2]
    toy.ellipsoid([0, height + radius * 0.85, length * 0.42], canopy, _GLASS)
    span, chord, sweep = toy.draw(0.36, 0.6), toy.draw(0.08, 0.14), toy.draw(0.0, 0.5)
    wing = height + radius * (-0.5, 0.0, 0.8)[toy.pick(3)]
    dihedral = toy.draw(-0.05, 0.12)
    for side in (-1, 1):
        turn = rotation("y", side * sweep * 0.6) @ rotation("z", side * dihedral)
        center = [side * span / 2, wing, 0.06 - sweep * span / 2]
        toy.box(center, [span / 2, 0.016, chord], toy.body, turn)
    if toy.pick(5) == 0:  # A biplane.
        above = height + radius + 0.14
        toy.box([0, above, 0.06], [span, 0.014, chord], toy.body)
        toy.pair([span * 0.6, wing, 0.05], [span * 0.6, above, 0.05], 0.012, trim)
    fin, tail = toy.draw(0.09, 0.14), toy.draw(0.14, 0.22)
    toy.box([0, height + fin, -length * 0.86], [0.014, fin, 0.075], trim)
    rise = (0.02, 2 * fin - 0.02)[toy.pick(2)]
    toy.box([0, height + rise, -length * 0.88], [tail, 0.014, 0.06], toy.body)
    kind = toy.pick(3)
    if kind == 0:  # Engines under the wings.
        x, y = span * 0.45, wing - 0.05
        toy.pair([x, y, -0.04], [x, y, 0.2], 0.048, trim)
    elif kind == 1:  # A propeller.
        toy.box([0, height, length], [0.19, 0.02, 0.012], _DARK, rotation("z", toy.draw(0, 3)))
    else:  # Engines at the tail.
        x, y = radius + 0.05, height + 0.03
        toy.pair([x, y, -length * 0.7], [x, y, -length * 0.35], 0.048, trim)
    for x, z in ((0, 0.6), (-0.12, -0.1), (0.12, -0.1)):
        toy.cylinder([x, 0.03, z * length], [x, height, z * length], 0.014, trim)
        toy.cylinder([x - 0.014, 0.03, z * length], [x + 0.014, 0.03, z * length], 0.032, _DARK)


def _lights(toy: _Toy, width: float, height: float, front: float) -> None:
    """Adds bright lamps and a dark grille, which tell the front from the back."""
    lamp = Material((0.98,), shine=0.3)
    for x in (-0.7 * width, 0.7 * width):
        toy.ellipsoid([x, height, front], [0.032, 0.032, 0.02], lamp)
    toy.box([0, height - 0.01, front], [width * 0.42, 0.025, 0.008], _DARK)


def _truck(toy: _Toy) -> None:
    """Adds a truck with its load; its front is at positive z, like that of all vehicles."""
    length, width, radius = toy.draw(0.42, 0.56), toy.draw(0.14, 0.19), toy.draw(0.065, 0.095)
    cab, tall, low = toy.draw(0.1, 0.15), toy.draw(0.13, 0.19), radius * 1.5
    toy.box([0, radius * 1.3, 0], [width * 0.8, 0.03, length], _DARK)
    toy.box([0, low + tall, length - cab], [width, tall, cab], toy.body)
    glass = low + 1.45 * tall
    toy.box([0, glass, length], [width * 0.86, tall * 0.3, 0.006], _GLASS)
    toy.box([0, glass, length - cab], [width + 0.004, tall * 0.28, cab * 0.55], _GLASS)
    bonnet = 0.15 * toy.pick(2)
    if bonnet:
        half = [width * 0.85, tall * 0.45, 0.075]
        toy.box([0, low + tall * 0.45, length + 0.075], half, toy.body)
    _lights(toy, width * 0.85, low + tall * 0.45, length + bonnet)
    kind, middle, half = toy.pick(4), -cab - 0.02, length - cab - 0.03
    paint = toy.paint(0.5, 0.9)
    if kind == 0:  # A box.
        height = toy.draw(0.17, 0.26)
        toy.box([0, low + height, middle], [width, height, half], paint)
    elif kind == 1:
        tank = toy.draw(0.14, 0.19)
        toy.cylinder([0, low + tank, middle - half], [0, low + tank, middle + half], tank, paint)
    elif kind == 2:  # An open bed.
        height = toy.draw(0.06, 0.11)
        for x in (-width, width):
            toy.box([x, low + height, middle], [0.018, height, half], toy.body)
        toy.box([0, low + 0.01, middle], [width, 0.02, half], _DARK)
        toy.box([0, low + height, middle - half], [width, height, 0.018], toy.body)
    else:  # A crane.
        toy.box([0, low + 0.06, middle], [width * 0.75, 0.09, half * 0.5], paint)
        turn, arm = rotation("x", -toy.draw(0.1, 0.4)), [0, low + 0.3, middle + 0.05]
        toy.box(arm, [0.045, 0.045, half * 1.35], paint, turn)
        toy.cylinder([0, low, middle], [0, low + 0.3, middle], 0.09, _DARK)
    axles = ([0.7, -0.5, -0.8], [0.7, -0.65], [0.7, 0.3, -0.5, -0.8])[toy.pick(3)]
    toy.wheels(np.multiply(axles, length), width, radius)


def _car(toy: _Toy) -> None:
    """Adds a car of one of five kinds."""
    length, width, half = toy.draw(0.4, 0.52), toy.draw(0.16, 0.21), toy.draw(0.055, 0.08)
    radius = toy.draw(0.065, 0.09)
    deck = radius + 2 * half
    toy.box([0, radius + half, 0], [width, half, length], toy.body)
    _lights(toy, width, radius + half * 1.2, length)
    kind, place = toy.pick(5), toy.draw(-0.16, -0.06)
    cabin, tall = toy.draw(0.48, 0.58) * length, toy.draw(0.06, 0.085)
    if kind == 0:  # A round roof.
        dome = [width * 0.92, tall * 1.9, cabin * 1.1]
        toy.ellipsoid([0, deck, place - 0.02], dome, toy.body)
        dome[0] *= 0.93
        toy.ellipsoid([0, deck, place + 0.035], dome, _GLASS)
    elif kind == 1:  # A sedan.
        _cabin(toy, place, cabin, width, deck, tall)
    elif kind == 2:  # A van.
        _cabin(toy, -length * 0.28, length * 0.7, width, deck, tall * 1.3)
    elif kind == 3:  # An open sports car.
        toy.box([0, deck + tall * 0.6, 0.08], [width * 0.85, tall * 0.7, 0.012], _GLASS)
        toy.box([0, deck, place - 0.05], [width * 0.8, 0.01, cabin * 0.55], _DARK)
        for x in (-0.4 * width, 0.4 * width):
            toy.box([x, deck + 0.05, place - 0.15], [0.055, 0.06, 0.025], _DARK)
    else:  # A race car.
        toy.ellipsoid([0, deck, place - 0.05], [width * 0.55, 0.09, cabin * 0.5], _GLASS)
        toy.box([0, deck + 0.11, -length * 0.93], [width, 0.014, 0.06], _DARK)
        x = width * 0.6
        toy.pair([x, deck, -length * 0.93], [x, deck + 0.11, -length * 0.93], 0.014, _DARK)
    if toy.pick(2):
        toy.ellipsoid([0, radius + half, length], [width * 0.95, half, 0.07], toy.body)
    toy.wheels([length * 0.62, -length * 0.62], width, radius)


def _cabin(toy: _Toy, place: float, half: float, width: float, deck: float, tall: float) -> None:
    """Adds a band of windows under a roof, with a slanted windshield."""
    toy.box([0, deck + tall * 0.8, place], [width * 0.86, tall * 0.8, half], _GLASS)
    roof = [width * 0.88, tall * 0.25, half * 0.92]
    toy.box([0, deck + tall * 1.7, place - 0.02], roof, toy.body)
    center = [0, deck + tall * 0.75, place + half + tall * 0.35]
    toy.box(center, [width * 0.84, 0.012, tall * 1.3], _GLASS, rotation("x", 0.8))


_MAKERS = dict(animal=_animal, human=_human, plane=_plane, truck=_truck, car=_car)


def make_toy(seed: int, category: str, instance: int) -> Model:
    """Returns toy number `instance` of a seed and category, the same one every time."""
    # Second number: the kind of draw, so that no two kinds share a stream.
    toy = _Toy(np.random.default_rng([seed, 2, CATEGORIES.index(category), instance]))
    _MAKERS[category](toy)
    return toy
