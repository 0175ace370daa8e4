"""The command line: flags to the function of a mode, and a user's mistake to one line.

python -m drnet_jax.main --config=configs/mnist.py:quick --workdir=runs/quick
"""

import importlib.util
import os
import pathlib
import sys
from collections.abc import Sequence

# Before anything imports TensorFlow's or XLA's C++ code, which log on their own.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags, logging
from ml_collections import config_flags

from drnet_jax.runs import renamed

MODES = ("train", "evaluate", "generate", "prepare", "import_torch")

_CONFIG_HINT = "give a file of settings, such as --config=configs/mnist.py:quick"

_CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "Settings: a file of configs/, maybe with a variant, such as configs/mnist.py:quick. "
    "Single ones are changed by --config.<name>=<value>, such as --config.drnet.num_steps=1000.",
    lock_config=True,
)
_MODE = flags.DEFINE_enum(
    "mode",
    "train",
    MODES,
    "train: both stages, scores, rollouts and report; goes on where it stopped. "
    "evaluate: scores of a trained workdir. generate: rollouts and grids from a trained workdir. "
    "prepare: the data set of --config made ahead, with a card and a contact sheet. "
    "import_torch: a workdir from --torch_checkpoint, a file of the authors' PyTorch code.",
)
_WORKDIR = flags.DEFINE_string(
    "workdir", "runs/latest", "The run's folder: logs, checkpoints, pictures, report."
)


_TORCH_CHECKPOINT = flags.DEFINE_string(
    "torch_checkpoint", None, "For import_torch: what the authors' train_drnet.py wrote."
)
_TORCH_LSTM = flags.DEFINE_string(
    "torch_lstm", None, "For import_torch, optional: what the authors' train_lstm.py wrote."
)


class _UsageError(Exception):
    """A mistake of the user's, told in one line."""


def main(argv: Sequence[str]) -> None:
    """Runs the chosen mode; exits with 2 after a user's mistake and with 1 after a failed run."""
    del argv
    # Not before: `--help` is to be quick, and JAX takes a second to import.
    from drnet_jax.commands import evaluate, generate, import_torch, train
    from drnet_jax.commands import prepare_data as prepare
    from drnet_jax.runs import memory, programs

    memory.keep_freed()
    programs.keep_compiled()
    arguments = (_CONFIG.value, _WORKDIR.value)
    try:
        if _MODE.value == "import_torch":
            job = import_torch.prepare(*arguments, _TORCH_CHECKPOINT.value, _TORCH_LSTM.value)
        else:
            modes = {
                "train": train,
                "evaluate": evaluate,
                "generate": generate,
                "prepare": prepare,
            }
            job = modes[_MODE.value].prepare(*arguments)
    except (ValueError, OSError) as error:
        _exit(error, 2)
    except KeyboardInterrupt:  # Data are prepared job by job.
        print("Stopped. The same command goes on from there.", file=sys.stderr)
        sys.exit(130)
    try:
        job()
    except FloatingPointError as error:
        _exit(error, 1)
    except train.StoppedError as error:
        print(f"{error} The same command goes on from there.")
        sys.exit(130)


def _parse(argv: Sequence[str]) -> list[str]:
    """Parses flags; unknown flags, settings and values are a line with the allowed ones."""
    try:
        _check_settings(argv)
        arguments = flags.FLAGS(argv)
        if len(arguments) > 1:
            raise _UsageError(f"Unexpected arguments: {' '.join(arguments[1:])}.")
        if _CONFIG.value is None:
            raise _UsageError(f"--config is missing; {_CONFIG_HINT}.")
        if _MODE.value == "import_torch" and not _TORCH_CHECKPOINT.value:
            raise _UsageError("--torch_checkpoint is missing; give a file of the authors' code.")
    except Exception as error:  # Whatever a settings file or config_flags makes of the flags.
        _exit(error, 2)
    return arguments


def _joined(argv: Sequence[str]) -> list[str]:
    """Returns `argv` with `--flag value` written as `--flag=value`, for flags that take values."""
    known = ("config", "mode", "workdir", "torch_checkpoint", "torch_lstm")
    joined: list[str] = []
    for argument in argv:
        name = joined[-1].lstrip("-") if joined and joined[-1].startswith("--") else ""
        if (name in known or name.startswith("config.")) and "=" not in name:
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _with_present_names(argv: Sequence[str]) -> list[str]:
    """Returns `argv` with old names and values of settings replaced by the present ones."""
    present = []
    for argument in argv:
        flag, equals, value = argument.partition("=")
        if flag.startswith("--config."):
            name = renamed.present_name(flag.removeprefix("--config."))
            argument = f"--config.{name}{equals}{renamed.present_value(name, value)}"
        present.append(argument)
    return present


def _with_default_settings(argv: Sequence[str]) -> list[str]:
    """Returns `argv` with the settings file that its mode takes when none is given."""
    given = dict(a.lstrip("-").split("=", 1) for a in argv if a.startswith("--") and "=" in a)
    mode, workdir = given.get("mode", _MODE.default), given.get("workdir", _WORKDIR.default)
    configs = pathlib.Path(__file__).parent.parent / "configs"
    defaults = {
        "evaluate": f"{configs / 'stored.py'}:{workdir}",
        "generate": f"{configs / 'stored.py'}:{workdir}",
        "import_torch": str(configs / "mnist.py"),
    }
    if "config" in given or mode not in defaults:
        return list(argv)
    return [argv[0], f"--config={defaults[mode]}", *argv[1:]]


def _check_settings(argv: Sequence[str]) -> None:
    """Raises an error that names the known settings, which config_flags' own does not."""
    files = [a.removeprefix("--config=") for a in argv if a.startswith("--config=")]
    if not files:
        return
    path, _, variant = files[-1].partition(":")
    if not pathlib.Path(path).is_file():
        raise _UsageError(f"There is no file {path!r}; {_CONFIG_HINT}.")
    spec = importlib.util.spec_from_file_location("settings_file", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config(variant) if variant else module.get_config()
    for argument in argv:
        if argument.startswith("--config."):
            _require_setting(config, argument.lstrip("-").partition("=")[0])


def _require_setting(config, flag: str) -> None:
    """Raises _UsageError unless `config` has the setting that `flag`, as `config.a.b`, names."""
    section = config
    for key in flag.split(".")[1:]:
        if not hasattr(section, "keys") or key not in section:
            known = ", ".join(sorted(section.keys())) if hasattr(section, "keys") else "none below"
            raise _UsageError(f"Unknown setting --{flag}: there is no {key!r}; known: {known}.")
        section = section[key]


def _exit(error: Exception, code: int) -> None:
    """Ends the program with the first line of `error` on stderr."""
    text = str(error).strip() or type(error).__name__
    print(f"drnet_jax: {text.splitlines()[0]}", file=sys.stderr)
    sys.exit(code)


def run() -> None:
    """Entry point of `python -m drnet_jax.main`."""
    logging.set_verbosity(logging.WARNING)
    # In place: config_flags looks there for `--config.<name>=<value>`.
    sys.argv = _with_default_settings(_with_present_names(_joined(sys.argv)))
    app.run(main, flags_parser=_parse)


if __name__ == "__main__":
    run()
