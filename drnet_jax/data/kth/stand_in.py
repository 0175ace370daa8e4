"""People who do the six actions of KTH in its four scenarios, rendered: a stand-in for KTH.

Every frame is a function of content (person, scenario) and pose (action, facing, phase, place),
both among the factors of a clip. `render_swap` therefore draws the true frames of any swap.
"""

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from drnet_jax.data.preparation.builder import Clip, ClipBuilder, ClipConfig, Job
from drnet_jax.data.rendering import backdrops, people, stand_in
from drnet_jax.data.rendering.scene import Camera, Light, draw

SCENARIOS = ("d1", "d2", "d3", "d4")
"""Outdoors; outdoors, nearer or farther; outdoors in other clothes; indoors."""

FRAMES_PER_SECOND = 25

# KTH's 160 x 120 pixels, squeezed into a square as usual: half the picture in meters, at the
# distance of a person whose scale is 1. People are up to 1.9 m tall and have some room above.
_HALF_HEIGHT, _HALF_WIDTH, _DISTANCE = 1.36, 1.36 * 4 / 3, 8.0
_CAMERA = Camera((0.0, 1.07, 0.0), 0, 3, _DISTANCE, _HALF_WIDTH, _HALF_HEIGHT)
# Least distance of a person's middle from an edge, in picture widths: limbs stay visible.
_EDGE = 0.1


@dataclasses.dataclass(kw_only=True)
class StandInKthConfig(ClipConfig):
    """Settings of the rendered people."""

    num_people: int  # The first four fifths are for training, like 20 of 25 in KTH.
    num_repeats: int  # Clips of each person, action and scenario; facing left and right in turn.
    clip_length: int  # Greatest length of a clip; people who cross the picture leave earlier.
    seed: int  # Seed of people and places.

    def __post_init__(self):
        least = dict(image_size=8, num_people=2, num_repeats=1, clip_length=2, seed=0)
        stand_in.check_at_least(self, **least)
        self.name = (
            f"size{self.image_size}_people{self.num_people}_repeats{self.num_repeats}"
            f"_length{self.clip_length}_seed{self.seed}"
        )


class StandInKth(ClipBuilder):
    """Clips of rendered people; a job is a person in a scenario, doing all six actions."""

    builder_config: StandInKthConfig
    name = "procedural_kth"  # The folder's name since the first version: never changes.
    CONTENT = ("person", "scenario")  # They determine build, clothes, background and light.
    CLUSTER = ("person",)
    LABEL = "action"
    CARD = stand_in.card(
        "Rendered people (stand-in for KTH)",
        "A stand-in for the KTH actions data set (Schuldt, Laptev and Caputo 2004), rendered "
        "by drnet_jax: nothing in it is filmed, and numbers on it cannot be compared with the "
        "paper's. Jointed people do six actions in four scenarios: d1 outdoors, d2 outdoors "
        "nearer and farther, d3 outdoors in other clothes, d4 indoors, at 25 frames a second. "
        "Who walks, jogs or runs crosses the picture once and is seen in every frame. The "
        "first four fifths of the people are for training, the others for the test.",
    )

    def factor_features(self) -> dict[str, Any]:
        """Returns the features: content, repeat, and the pose from `action` on.

        `facing` is -1 to the left and 1 to the right. In every frame, `phase` is in radians from
        0 to 2 pi, `position` is the person's middle from the left (0) to the right edge (1), and
        `scale` is the size, about 1.
        """
        track = tfds.features.Tensor(shape=(None,), dtype=np.float32)
        return {
            "person": np.int32,
            "scenario": tfds.features.ClassLabel(names=SCENARIOS),
            "repeat": np.int32,
            "action": tfds.features.ClassLabel(names=people.ACTIONS),
            "facing": np.int32,
            "phase": track,
            "position": track,
            "scale": track,
        }

    def jobs(self) -> dict[str, list[Job]]:
        # People count from 1, as in KTH.
        number = self.builder_config.num_people
        first_of_test = min(max(number * 4 // 5, 1), number - 1) + 1
        splits = dict(train=range(1, first_of_test), test=range(first_of_test, number + 1))
        return {
            split: [
                Job(f"person {person:02d} {name}", (person, scenario))
                for person in persons
                for scenario, name in enumerate(SCENARIOS)
            ]
            for split, persons in splits.items()
        }

    def make(self, job: Job) -> list[Clip]:
        config, (person, scenario) = self.builder_config, job.arguments
        clips = []
        for action, repeat in itertools.product(range(6), range(config.num_repeats)):
            factors = dict(person=person, scenario=scenario, repeat=repeat, action=action)
            factors |= _track(config, **factors)
            name = f"person{person:02d}_{people.ACTIONS[action]}_{SCENARIOS[scenario]}_{repeat}"
            clips.append(Clip(name, render_swap(config, factors, factors), factors))
        return clips

    def swap_truth(
        self, content: Mapping[str, Any], pose: Mapping[str, Any], time: int
    ) -> np.ndarray:
        """Returns the frame with the content of one clip and the pose of another at `time`."""
        moment = {key: pose[key][time : time + 1] for key in ("phase", "position", "scale")}
        return render_swap(self.builder_config, content, dict(pose) | moment)[0]


def _track(
    config: StandInKthConfig, person: int, scenario: int, repeat: int, action: int
) -> dict[str, Any]:
    """Returns the factors of a clip's pose: facing, and phase, position and scale by frame."""
    # Second number: the kind of draw, so that no two kinds share a stream.
    rng = np.random.default_rng([config.seed, 5, person, scenario, repeat, action])
    name = people.ACTIONS[action]
    # By parity, not at random, so that any run of clips faces each side equally often.
    facing = 1 if (person + scenario + action + repeat) % 2 else -1
    tempo = rng.uniform(0.88, 1.12)
    # In d2 a person comes nearer or walks away.
    ends = rng.uniform(0.7, 1.1, 2) if scenario == 1 else np.repeat(rng.uniform(0.94, 1.06), 2)
    length = max(2, round(config.clip_length * rng.uniform(0.85, 1)))
    start = rng.uniform(0, 2 * np.pi)
    if gait := people.GAITS.get(name):
        # Meters per second to picture widths per frame.
        speed = gait.speed * tempo * ends.mean() / (2 * _HALF_WIDTH * FRAMES_PER_SECOND)
        length = min(length, int((1 - 2 * _EDGE) / speed))
        position = 0.5 + facing * speed * (np.arange(length) - (length - 1) / 2)
    else:
        position = np.full(length, rng.uniform(0.42, 0.58))
    turns = people.FREQUENCIES[name] * tempo * np.arange(length) / FRAMES_PER_SECOND
    return {
        "facing": facing,
        "phase": np.float32((start + 2 * np.pi * turns) % (2 * np.pi)),
        "position": position.astype(np.float32),
        "scale": np.linspace(*ends, length, dtype=np.float32),
    }


def render_swap(
    config: StandInKthConfig, content: Mapping[str, Any], pose: Mapping[str, Any]
) -> np.ndarray:
    """Returns the frames that a perfect model makes of one clip's content and another's pose.

    They are uint8 `[time, image_size, image_size, 1]`, as long as the clip of `pose`. If both are
    the factors of one clip, they are that clip. Only `person` and `scenario` of `content` matter,
    and of `pose` only `action`, `facing`, `phase`, `position` and `scale`.
    """
    place = config.seed, int(content["person"]), int(content["scenario"])
    seed, number, scenario = place
    person = people.make_person(seed, number, outfit=int(SCENARIOS[scenario] == "d3"))
    action, facing = people.ACTIONS[int(pose["action"])], int(pose["facing"])
    view = _CAMERA.view(_light(*place), floor=0.0)
    scenes = []
    for phase, position, scale in zip(pose["phase"], pose["position"], pose["scale"], strict=True):
        # A person appears larger by standing nearer to the camera.
        shift = [(2 * position - 1) * _HALF_WIDTH / scale, 0, _DISTANCE * (1 - 1 / scale)]
        model = people.pose_person(person, action, float(phase), facing)
        scenes.append(model.moved(np.eye(3), np.asarray(shift, float)).scene())
    return draw(scenes, [view] * len(scenes), _backdrop(*place, config.image_size))


def _light(seed: int, person: int, scenario: int) -> Light:
    rng = np.random.default_rng([seed, 6, person, scenario])
    azimuth = rng.uniform(-70, 70)
    # Indoors, a wide lamp on the ceiling; outdoors, the sun.
    if SCENARIOS[scenario] == "d4":
        return Light(azimuth, 62, size=0.2, key=0.45, sky=0.4, fill=0.3)
    return Light(azimuth, rng.uniform(42, 60), size=0.06, key=0.8, sky=0.3, fill=0.2)


@functools.lru_cache(maxsize=8)  # All clips of a job, and some swaps, share a place.
def _backdrop(seed: int, person: int, scenario: int, image_size: int) -> np.ndarray:
    make = backdrops.indoors if SCENARIOS[scenario] == "d4" else backdrops.outdoors
    return make((seed, 7, person, scenario), image_size)
