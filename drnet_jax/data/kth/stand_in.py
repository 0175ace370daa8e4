"""People who do the six actions of KTH in its four scenarios, rendered: a stand-in for KTH.

Every frame is a function of content (person, scenario) and pose (action, facing, phase, place),
both among the factors of a clip. So the truth of a swap is known: see `render_swap`.
"""

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from drnet_jax.data.preparation.builder import Card, Clip, ClipBuilder, ClipConfig, Job
from drnet_jax.data.rendering import backdrops, limits, people
from drnet_jax.data.rendering.scene import Camera, Light, draw

SCENARIOS = ("d1", "d2", "d3", "d4")
"""Outdoors; outdoors, nearer or farther; outdoors in other clothes; indoors."""

FRAMES_PER_SECOND = 25

CONTENT = ("person", "scenario")
"""Factors of a clip that stay: they give build, clothes, background and light."""

POSE = ("action", "facing", "phase", "position", "scale")
"""Factors of a clip that move, or say how."""

# 160 x 120 pixels, squeezed into a square as is usual for KTH.
_HALF_HEIGHT, _HALF_WIDTH, _DISTANCE = 1.36, 1.36 * 4 / 3, 8.0
_CAMERA = Camera((0.0, 1.07, 0.0), 0, 3, _DISTANCE, _HALF_WIDTH, _HALF_HEIGHT)
_EDGE = 0.1  # Nearest that the middle of a person comes to the picture's edge, in widths.


@dataclasses.dataclass(kw_only=True)
class StandInKthConfig(ClipConfig):
    """Settings.

    Attributes:
      num_people: the first four of five are for training, as in KTH 20 of 25.
      num_repeats: clips of each person, action and scenario; they look to both sides in turn.
      clip_length: most frames of a clip; who crosses the picture is seen for less.
      seed: another one gives other people and places.
    """

    name: str = ""
    image_size: int = 64
    num_people: int = 25
    num_repeats: int = 1
    clip_length: int = 100
    seed: int = 0

    def __post_init__(self):
        least = dict(image_size=8, num_people=2, num_repeats=1, clip_length=2, seed=0)
        limits.at_least(self, **least)
        self.name = (
            f"size{self.image_size}_people{self.num_people}_repeats{self.num_repeats}"
            f"_length{self.clip_length}_seed{self.seed}"
        )


class StandInKth(ClipBuilder):
    """Clips of rendered people; a job is a person in a scenario, doing all six actions."""

    builder_config: StandInKthConfig
    name = "procedural_kth"  # As on disk since the first version.
    CONTENT = CONTENT
    LABEL = "action"
    CARD = Card(
        title="Rendered people (stand-in for KTH)",
        description=(
            "A stand-in for the KTH actions data set (Schuldt, Laptev and Caputo 2004), rendered "
            "by drnet_jax: nothing in it is filmed, and numbers on it cannot be compared with the "
            "paper's. Jointed people do six actions in four scenarios: d1 outdoors, d2 outdoors "
            "nearer and farther, d3 outdoors in other clothes, d4 indoors, at 25 frames a second. "
            "Who walks, jogs or runs crosses the picture once and is seen in every frame. The "
            "first four fifths of the people are for training, the others for the test."
        ),
        license="Apache-2.0, as drnet_jax",
        homepage="",
        citation="",
        stand_in=True,
        periodic=False,
    )

    def factor_features(self) -> dict[str, Any]:
        """Returns the features; `POSE` tells what the last five mean.

        `phase` is in radians from 0 to 2 pi, `position` is where the middle of the person is
        from the left (0) to the right edge (1), `scale` is the size, about 1, and `facing` is
        -1 to the left, 1 to the right.
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
        """Returns the jobs by split; people count from 1, as in KTH."""
        number = self.builder_config.num_people
        first_of_test = min(max(number * 4 // 5, 1), number - 1) + 1
        splits = dict(train=range(1, first_of_test), test=range(first_of_test, number + 1))
        return {
            split: [
                Job(f"person {person:02d} {SCENARIOS[scenario]}", (person, scenario))
                for person, scenario in itertools.product(numbers, range(len(SCENARIOS)))
            ]
            for split, numbers in splits.items()
        }

    def make(self, job: Job) -> list[Clip]:
        """Returns the clips of a person in a scenario."""
        config, (person, scenario) = self.builder_config, job.arguments
        clips = []
        for action, repeat in itertools.product(range(6), range(config.num_repeats)):
            factors = dict(person=person, scenario=scenario, repeat=repeat, action=action)
            factors |= _track(config, **factors)
            parts = f"{person:02d}", people.ACTIONS[action], SCENARIOS[scenario], str(repeat)
            frames = render_swap(config, factors, factors)
            clips.append(Clip("person" + "_".join(parts), frames, factors))
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
    """Returns facing, and phase, position and scale of every frame, of a clip."""
    rng = np.random.default_rng([config.seed, 5, person, scenario, repeat, action])
    name = people.ACTIONS[action]
    # As many look to the left as to the right, whatever the order of the clips.
    facing = 1 if (person + scenario + action + repeat) % 2 else -1
    tempo = rng.uniform(0.88, 1.12)
    ends = rng.uniform(0.7, 1.1, 2) if scenario == 1 else np.repeat(rng.uniform(0.94, 1.06), 2)
    longest = max(2, round(config.clip_length * rng.uniform(0.85, 1)))
    start = rng.uniform(0, 2 * np.pi)
    if gait := people.GAITS.get(name):
        speed = gait.speed * tempo * ends.mean() / (2 * _HALF_WIDTH * FRAMES_PER_SECOND)
        length = min(longest, int((1 - 2 * _EDGE) / speed))
        steps = np.arange(length) - (length - 1) / 2
        position = 0.5 + facing * speed * steps
    else:
        length = longest
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
    """Returns what a perfect model makes of the content of one clip and the pose of another.

    Args:
      config: the settings that both clips were made with.
      content: the factors of one clip, of which those in `CONTENT` count.
      pose: the factors of another, of which those in `POSE` count.

    Returns:
      uint8 `[time, image_size, image_size, 1]`, as long as the clip of `pose`; the clip itself
      if both factors are its own.
    """
    person_number, scenario = int(content["person"]), int(content["scenario"])
    outfit = 1 if SCENARIOS[scenario] == "d3" else 0
    person = people.make_person(config.seed, person_number, outfit)
    action, facing = people.ACTIONS[int(pose["action"])], int(pose["facing"])
    view = _CAMERA.view(_light(config.seed, person_number, scenario), floor=0.0)
    scenes = []
    for phase, position, scale in zip(pose["phase"], pose["position"], pose["scale"], strict=True):
        # Who looks larger stands nearer to the camera.
        place = [(2 * position - 1) * _HALF_WIDTH / scale, 0, _DISTANCE * (1 - 1 / scale)]
        model = people.pose_person(person, action, float(phase), facing)
        scenes.append(model.moved(np.eye(3), np.asarray(place, float)).scene())
    place = _backdrop(config.seed, person_number, scenario, config.image_size)
    return draw(scenes, [view] * len(scenes), place)


def _light(seed: int, person: int, scenario: int) -> Light:
    rng = np.random.default_rng([seed, 6, person, scenario])
    azimuth = rng.uniform(-70, 70)
    if SCENARIOS[scenario] == "d4":
        return Light(azimuth, 62, size=0.2, key=0.45, sky=0.4, fill=0.3)
    return Light(azimuth, rng.uniform(42, 60), size=0.06, key=0.8, sky=0.3, fill=0.2)


@functools.lru_cache(maxsize=8)
def _backdrop(seed: int, person: int, scenario: int, image_size: int) -> np.ndarray:
    make = backdrops.indoors if SCENARIOS[scenario] == "d4" else backdrops.outdoors
    return make((seed, 7, person, scenario), image_size)
