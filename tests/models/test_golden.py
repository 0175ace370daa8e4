"""Our networks and steps against arrays recorded once from the reference code.

The files are those of `tests/golden`, or of the folder that the environment variable DRNET_GOLDEN
names. Every file is read to the last field; one that is not understood fails.
"""

import os
import pathlib
import re

import pytest

from tests.golden import networks, steps
from tests.golden.compare import Comparison
from tests.golden.reader import Golden

FOLDER = pathlib.Path(
    os.environ.get("DRNET_GOLDEN", pathlib.Path(__file__).parent.parent / "golden")
)
FILES = sorted(FOLDER.glob("*.npz"))
CHECKS = {
    r".+\.content_encoder": networks.content_encoder,
    r".+\.pose_encoder": networks.pose_encoder,
    r".+\.decoder": networks.decoder,
    r"classifiers\.scene_discriminator": networks.discriminator,
    r"lstm\.lstm": networks.lstm,
    r"checkpoint": networks.checkpoint,
    r"train_drnet": steps.drnet,
    r"train_lstm": steps.predictor,
}


@pytest.fixture(scope="module")
def compare(request):
    comparison = Comparison()
    yield comparison
    # Shown in every run, not only in those that fail.
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("", *comparison.lines(), sep="\n")


def test_there_are_files():
    assert FILES, f"No golden files in {FOLDER}."


def test_no_file_is_overlooked():
    stems = tuple(path.stem for path in FILES)
    for path in FOLDER.iterdir():
        assert path.is_dir() or path.suffix in (".npz", ".pth", ".py", ".md"), f"Unknown {path}."
        assert path.suffix != ".pth" or path.stem.startswith(stems), f"{path} belongs to no file."


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_matches_reference(path, compare):
    golden = Golden(path)
    checks = [check for kind, check in CHECKS.items() if re.fullmatch(kind, golden.module)]
    assert len(checks) == 1, f"{path.name} is of unknown kind {golden.module!r}."
    checks[0](golden, compare)
    assert golden.unused() == [], f"{path.name} has fields that nothing was compared with."
