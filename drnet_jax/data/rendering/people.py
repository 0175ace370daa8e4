"""A person made of cylinders and ellipsoids who walks, jogs, runs, boxes, claps and waves."""

import dataclasses

import numpy as np

from drnet_jax.data.rendering.scene import Material, Model, rotation

ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")

_SHOE = Material((0.16,))


@dataclasses.dataclass(frozen=True)
class Person:
    """What stays the same about a person: build and clothes."""

    height: float  # In meters.
    girth: float  # Thickness of body and limbs; 1 is usual.
    reach: float  # Size of the movements; 1 is usual.
    skin: Material
    hair: Material
    shirt: Material
    trousers: Material
    long_sleeves: bool  # Whether the shirt covers the lower arms.
    coat: bool  # Whether the shirt covers the thighs.


@dataclasses.dataclass(frozen=True)
class Gait:
    """How a person walks or runs; angles in radians."""

    speed: float  # In meters per second.
    frequency: float  # Double steps per second.
    swing: float  # Amplitude of the thighs.
    knee: float  # Greatest bend of the knees.
    lean: float  # Forward lean of the trunk.
    elbow: float  # Constant bend of the elbows.
    bounce: float  # Rise of the body in a step, as a fraction of the height.


# Slower than real people, so that they do not cross the picture too soon.
GAITS = {
    "walking": Gait(0.95, 0.8, 0.42, 0.65, 0.04, 0.25, 0.0),
    "jogging": Gait(1.45, 1.2, 0.5, 1.15, 0.12, 1.35, 0.012),
    "running": Gait(2.05, 1.4, 0.78, 1.65, 0.22, 1.6, 0.03),
}

FREQUENCIES = dict(boxing=1.1, handclapping=1.0, handwaving=0.6)
FREQUENCIES |= {name: gait.frequency for name, gait in GAITS.items()}
"""Cycles of an action per second."""

# Directions in which people look when they face left or right, in degrees from the camera.
_YAWS = dict(boxing=72, handclapping=16, handwaving=16, jogging=90, running=90, walking=90)


def make_person(seed: int, identity: int, outfit: int) -> Person:
    """Returns person number `identity` of a seed in one of their outfits, the same every time."""
    # Second number: the kind of draw, so that no two kinds share a stream.
    build = np.random.default_rng([seed, 3, identity])
    height, girth, reach = build.uniform([1.58, 1.05, 0.9], [1.88, 1.6, 1.1])
    skin, hair = (Material((gray,)) for gray in build.uniform([0.5, 0.1], [0.72, 0.5]))
    clothes = np.random.default_rng([seed, 4, identity, outfit])
    # Darker or brighter than the backdrops, so that people stand out.
    shirt, trousers = clothes.uniform([0.1, 0.1], [0.4, 0.4])
    if clothes.random() < 0.35:
        shirt = clothes.uniform(0.9, 1.0)
    stripes = 0.35 * (clothes.random() < 0.25)
    shirt = Material((shirt,), contrast=stripes, wavelength=0.14, across=0)
    trousers = Material((trousers,))
    long_sleeves = bool(clothes.random() < 0.5 + 0.4 * (outfit > 0))
    coat = bool(outfit > 0 and clothes.random() < 0.6)
    return Person(height, girth, reach, skin, hair, shirt, trousers, long_sleeves, coat)


class _Pose:
    """Joints at one moment, as fractions of the height: x to their left, y up, z to the front.

    Attributes:
      hip, chest, head: `[3]`.
      knees, ankles, shoulders, elbows, hands: `[2, 3]`, right side first.
      toes: `[2]`, angles by which the feet point down, in radians.
    """

    def __init__(self, person: Person, action: str, phase: float):
        self.action, self.phase, self.reach = action, phase, person.reach
        self.gait = GAITS.get(action)
        # Proportions of an adult.
        knees, ankles, self.toes = [], [], []
        for side, shift in ((-1, 0), (1, np.pi)):
            turn = self.phase + shift
            swing, bend = 0.05 + 0.25 * side * (self.action == "boxing"), 0.1
            if self.gait:
                swing = self.gait.swing * self.reach * np.sin(turn) + 0.5 * self.gait.lean
                # The knee bends most while the leg comes forward.
                bend += self.gait.knee * max(0.0, np.cos(turn + 0.35)) ** 1.5
            knee = np.array([0.052 * side, -0.245 * np.cos(swing), 0.245 * np.sin(swing)])
            shin = swing - bend
            ankle = knee + 0.235 * np.array([0, -np.cos(shin), np.sin(shin)])
            knees.append(knee)
            ankles.append(ankle)
            self.toes.append(max(-shin, 0.0) * 0.8 if self.gait else 0.0)
        # The lower foot stands on the floor, except while a runner is in the air.
        lowest = min(ankle[1] for ankle in ankles)
        bounce = self.gait.bounce * (1 - np.cos(2 * self.phase + 0.6)) if self.gait else 0.0
        self.hip = np.array([0, 0.035 - lowest + bounce, 0])
        self.knees, self.ankles = self.hip + knees, self.hip + ankles
        lean = self.gait.lean if self.gait else 0.02
        up = np.array([0, np.cos(lean), np.sin(lean)])
        self.chest = self.hip + 0.285 * up
        self.head = self.chest + 0.115 * up + [0, 0.01, 0.01]
        self.shoulders = self.chest + np.array([[-0.11, 0, 0], [0.11, 0, 0]]) * person.girth
        right, left = self._arm(-1, self.shoulders[0]), self._arm(1, self.shoulders[1])
        self.elbows, self.hands = zip(right, left, strict=True)

    def _arm(self, side: int, shoulder: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns elbow and hand of the arm on `side`: -1 is right, 1 is left."""
        upper, lower = 0.165, 0.17
        phase = self.phase + (0 if side < 0 else np.pi)
        if self.gait:
            # Arms swing against the legs, and less.
            swing = -0.75 * self.gait.swing * self.reach * np.sin(phase)
            elbow = shoulder + upper * np.array([0.12 * side, -np.cos(swing), np.sin(swing)])
            bent = swing + self.gait.elbow
            return elbow, elbow + lower * np.array([-0.1 * side, -np.cos(bent), np.sin(bent)])
        if self.action == "boxing":
            out = self.reach * max(0.0, np.sin(phase)) ** 0.7
            elbow = shoulder + np.array([0.02 * side, -0.13 + 0.1 * out, 0.06 + 0.1 * out])
            blow = np.array([-0.05 * side, 0.13 * (1 - out) + 0.02, 0.06 + 0.12 * out])
            return elbow, elbow + blow
        if self.action == "handclapping":
            # Both hands meet in front of the chest.
            apart = self.reach * (0.5 - 0.5 * np.cos(self.phase))
            elbow = shoulder + np.array([side * (0.03 + 0.08 * apart), -0.12 + 0.04 * apart, 0.09])
            inside = np.array([side * (0.012 + 0.26 * apart), shoulder[1] - 0.04, 0.24])
            towards = inside - elbow
            return elbow, elbow + lower * (towards / np.linalg.norm(towards))
        # Waving: stretched arms rise sideways, from the thighs to above the head.
        rise = np.pi * (0.06 + 0.9 * (0.5 - 0.5 * np.cos(self.phase)))
        elbow = shoulder + upper * np.array([side * np.sin(rise), -np.cos(rise), 0.08])
        rise += 0.15 * self.reach
        return elbow, elbow + lower * np.array([side * np.sin(rise), -np.cos(rise), 0.12])


def pose_person(person: Person, action: str, phase: float, facing: int) -> Model:
    """Returns the person at `phase` of an action, standing on the floor at the origin.

    `phase` is in radians: 2 pi is a double step, two blows, one clap or one wave. `facing` is -1 to
    the left of the picture, 1 to its right; people who clap or wave turn only a little.
    """
    pose, model = _Pose(person, action, phase), Model()
    height, girth = person.height, person.girth * person.height
    hip, chest, head = (height * joint for joint in (pose.hip, pose.chest, pose.head))
    side, deep = 0.084 * girth, 0.056 * girth
    model.cylinder(hip - [0, 0.01, 0], chest, side, person.shirt, deep)
    model.ellipsoid(chest, [1.3 * side, 0.04 * height, 1.05 * deep], person.shirt)
    model.ellipsoid(hip, [1.04 * side, 0.06 * height, 1.06 * deep], person.trousers)
    if person.coat:
        start = hip - [0, 0.15 * height, 0]
        model.cylinder(start, hip + np.array([0, 0.05, 0]), 1.12 * side, person.shirt, 1.35 * deep)
    model.cylinder(chest, head, 0.026 * height, person.skin)
    face = np.array([0.046, 0.064, 0.056]) * height
    model.ellipsoid(head, face, person.skin)
    model.ellipsoid(head + np.array([0, 0.02, -0.02]), face * [1.08, 1.0, 0.98], person.hair)
    model.ellipsoid(head + np.array([0, -0.01, face[2]]), [0.013, 0.016, 0.02], person.skin)
    size = 0.034 * person.girth * height  # Of a limb.
    sleeve = person.shirt if person.long_sleeves else person.skin
    for i, side in enumerate((-1, 1)):
        hip = height * (pose.hip + np.array([0.052 * side, 0, 0]))
        # A ball in each joint closes the gap between two cylinders that meet at an angle.
        knee, ankle = height * pose.knees[i], height * pose.ankles[i]
        model.cylinder(hip, knee, 1.15 * size, person.trousers)
        model.ellipsoid(knee, [1.1 * size] * 3, person.trousers)
        model.cylinder(knee, ankle, 0.9 * size, person.trousers)
        foot = np.array([0.026, 0.02, 0.062]) * height
        turn = rotation("x", pose.toes[i])
        model.box(ankle + turn @ [0, -0.012 * height, 0.035 * height], foot, _SHOE, turn)
        joints = pose.shoulders[i], pose.elbows[i], pose.hands[i]
        shoulder, elbow, hand = (height * joint for joint in joints)
        model.ellipsoid(shoulder, [0.95 * size] * 3, person.shirt)
        model.cylinder(shoulder, elbow, 0.8 * size, person.shirt)
        model.ellipsoid(elbow, [0.76 * size] * 3, sleeve)
        model.cylinder(elbow, hand, 0.66 * size, sleeve)
        model.ellipsoid(hand, [0.028 * height] * 3, person.skin)
    return model.moved(rotation("y", np.radians(_YAWS[action] * facing)), np.zeros(3))
