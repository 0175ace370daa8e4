"""Trains, evaluates and samples DrNET models.

python -m drnet_jax.main --config=configs/mnist.py:quick --workdir=runs/quick
"""

import importlib.util
import os
import pathlib
import sys
import traceback
from collections.abc import Mapping, Sequence

# Before anything imports TensorFlow's or XLA's C++ code, which log on their own.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import ml_collections
from absl import app, flags, logging
from ml_collections import config_flags

from drnet_jax import __version__
from drnet_jax.base import stopping, timings
from drnet_jax.base.errors import InputError, first_line, input_errors
from drnet_jax.runs import renamed, values

MODES = (
    "train",
    "evaluate",
    "generate",
    "swap",
    "embed",
    "export",
    "demo",
    "prepare",
    "import_torch",
)
WITHOUT_CONFIG = ("evaluate", "generate", "swap", "embed", "export")
"""The modes that read the settings of the workdir if no file is given."""

_CONFIG_HINT = "give a settings file, such as --config=configs/mnist.py:quick"

_CONFIG_HELP = (
    "Settings file, with an optional variant, such as configs/mnist.py:quick or mnist:quick. "
    "--config.<name>=<value> changes one setting, as in --config.drnet.num_steps=1000. "
    "evaluate, generate, swap, embed and export read the settings of --workdir when no file is "
    "given."
)
_MODE = flags.DEFINE_enum(
    "mode",
    "train",
    MODES,
    "train: both stages, then scores, rollouts and a report; resumes an interrupted run. "
    "evaluate: scores of a trained workdir. generate: rollouts and swap grids of a trained "
    "workdir, or of --input. swap: the content of the video --content with the motion of --pose. "
    "embed: content and pose of every frame of the data set, or of --input. "
    "demo: a page in the browser to play with the model of --workdir, or with one that ships. "
    "export: the model of --workdir in the new folder --output, for other machines and runtimes. "
    "prepare: only the data set of --config, with a card and a contact sheet. "
    "import_torch: a workdir from --torch_checkpoint, a file of the authors' PyTorch code.",
)
_WORKDIR = flags.DEFINE_string(
    "workdir", "runs/latest", "The run's folder: logs, checkpoints, pictures, report."
)
_EXTEND = flags.DEFINE_bool(
    "extend", False, "For train: a run of --workdir may go on to more steps than it had."
)
_INPUT = flags.DEFINE_string(
    "input", None, "For generate: a clip to continue. For embed: a video or a folder of videos."
)
_PORT = flags.DEFINE_integer(
    "port", 7860, "For demo: the port of this machine.", lower_bound=1, upper_bound=65535
)
_CONTENT = flags.DEFINE_string("content", None, "For swap: a video, or an image file.")
_POSE = flags.DEFINE_string("pose", None, "For swap: a video, or a folder of numbered images.")
_OUTPUT = flags.DEFINE_string("output", None, "For export: the new folder.")
_FORMATS = flags.DEFINE_list(
    "formats", [], "For export: programs that come with it, of stablehlo and onnx."
)
_COORDINATOR_ADDRESS = flags.DEFINE_string(
    "coordinator_address",
    None,
    "For several processes: host and port of process 0. Found automatically on Cloud TPU, Slurm, "
    "Open MPI and in indexed Kubernetes jobs.",
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes there are.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "The number of this one, from 0 on.")
_CONNECT_SECONDS = flags.DEFINE_integer(
    "connect_seconds", 300, "How long to wait for the other processes.", lower_bound=1
)
_TORCH_CHECKPOINT = flags.DEFINE_string(
    "torch_checkpoint", None, "For import_torch: the file that the authors' train_drnet.py wrote."
)
_TORCH_LSTM = flags.DEFINE_string(
    "torch_lstm", None, "For import_torch, optional: the file that their train_lstm.py wrote."
)


def run() -> None:
    """Entry point of `python -m drnet_jax.main`."""
    stopping.watch()
    logging.set_verbosity(logging.WARNING)
    sys.argv = _normalize(sys.argv)
    if "--version" in sys.argv[1:]:
        print(f"drnet_jax {__version__}")
        return
    app.run(main, flags_parser=_parse)


def main(argv: Sequence[str]) -> None:
    """Runs the chosen mode; exits with 2 after a user's mistake and with 1 after a failed run."""
    del argv
    # Imported here because JAX takes a second, and `--help` should be quick.
    from drnet_jax.base import processes

    arguments = (_COORDINATOR_ADDRESS.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
    try:
        with processes.connected(*arguments, seconds=_CONNECT_SECONDS.value):
            if not processes.is_first():
                logging.set_verbosity(logging.ERROR)  # The first process warns for all.
            if processes.count() > 1:
                stopping.unwatch()
            code = _run_mode()
    except InputError as error:
        _exit(error, 2)
    stopping.leave(code)


def _run_mode() -> int:
    """Runs the chosen mode; returns the exit code. A failure ends all processes."""
    from drnet_jax.base import processes
    from drnet_jax.runs import memory, runtime

    timings.watch_compiler()
    runtime.keep_freed_memory()
    runtime.keep_compiled_programs()
    runtime.silence_failed_checkpoints()
    try:
        _call_mode()
    except stopping.StoppedError as error:
        processes.say(f"{error} {stopping.GOES_ON}")
        return 128 + error.signal
    except KeyboardInterrupt:
        line, code = stopping.line(), 130
        print(line, file=sys.stderr)
    except (InputError, FloatingPointError) as error:
        line, code = first_line(error), 2 if isinstance(error, InputError) else 1
        print(f"drnet_jax: {line}", file=sys.stderr)
    except OSError as error:  # A full disk, a folder that is gone: nothing that a traceback tells.
        logging.info("", exc_info=True)
        line, code = f"{first_line(error).rstrip('.')}. {stopping.line()}", 1
        print(f"drnet_jax: {line}", file=sys.stderr)
    except Exception as error:
        line, code = memory.out_of_memory(error, stopping.current()), 1
        if line:
            print(f"drnet_jax: {line}", file=sys.stderr)
        elif processes.count() == 1:
            raise
        else:
            line = first_line(error)
            traceback.print_exc()
    else:
        return 0
    processes.fail(line, code)
    return code


def _call_mode() -> None:
    from drnet_jax.commands import evaluate, generate, import_torch, prepare_data, swap, train

    config, workdir = flags.FLAGS["config"].value, _WORKDIR.value
    match _MODE.value:
        case "train":
            train.run(config, workdir, extend=_EXTEND.value)
        case "evaluate":
            evaluate.run(config, workdir)
        case "generate" if _INPUT.value:
            generate.run_on_input(config, workdir, _INPUT.value)
        case "generate":
            generate.run(config, workdir)
        case "swap":
            swap.run(config, workdir, _CONTENT.value, _POSE.value)
        case "embed":
            from drnet_jax.commands import embed  # PyArrow takes half a second.

            embed.run(config, workdir, _INPUT.value)
        case "demo":
            from drnet_jax.commands import demo

            demo.run(workdir if _WORKDIR.present else "mnist", _PORT.value)
        case "export":
            from drnet_jax.commands import export

            export.run(workdir, _OUTPUT.value, _FORMATS.value)
        case "prepare":
            prepare_data.run(config)
        case "import_torch":
            import_torch.run(config, workdir, _TORCH_CHECKPOINT.value, _TORCH_LSTM.value)


def _normalize(argv: Sequence[str]) -> list[str]:
    """Returns `argv` with `--flag value` as `--flag=value` and settings under today's names."""
    known = ("config", "mode", "workdir", "torch_checkpoint", "torch_lstm", "coordinator_address")
    known += ("input", "content", "pose", "port", "num_processes", "process_id", "connect_seconds")
    known += ("output", "formats")
    joined: list[str] = []
    for argument in argv:
        argument = "--help" if argument == "-h" else argument
        name = joined[-1].lstrip("-") if joined and joined[-1].startswith("-") else ""
        if (name in known or name.startswith("config.")) and "=" not in name:
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return [_with_present_name(argument) for argument in joined]


def _with_present_name(argument: str) -> str:
    flag, equals, value = argument.partition("=")
    if not flag.startswith("--config."):
        return argument
    name = renamed.present_name(flag.removeprefix("--config."))
    return f"--config.{name}{equals}{renamed.present_value(name, value)}"


def _parse(argv: Sequence[str]) -> list[str]:
    """Defines --config, parses all flags, and returns what is left of `argv`."""
    try:
        # absl would read these files only after the settings file is loaded.
        argv = _normalize(flags.FLAGS.read_flags_from_files(argv, force_gnu=False))
        given = _flag_values(argv)
        if given.get("workdir") == "":  # As from a variable of the shell that is not set.
            raise InputError("--workdir is empty; give a folder, as in --workdir=runs/quick.")
        config = _load_config(given)
        argv = [_with_plain_value(config, argument) for argument in argv]
        # The file is loaded by now: the flag --config takes the settings themselves.
        argv = [a for a in argv if not a.startswith(("--config=", "-config="))]
        config_flags.DEFINE_config_dict("config", config, _CONFIG_HELP, sys_argv=argv)
        flags.FLAGS["config"].default_as_str = None  # Settings in full say little in --help.
        try:
            arguments = flags.FLAGS(argv)
        except SystemExit:  # absl has printed the help that was asked for, and would end with 1.
            sys.exit(0)
        if len(arguments) > 1:
            raise InputError(f"Unexpected arguments: {' '.join(arguments[1:])}.")
        if config and _MODE.value == "demo":
            raise InputError("--config with --mode=demo; allowed: the settings of --workdir.")
        if not config and _MODE.value != "demo":
            raise InputError(f"--config is missing; {_CONFIG_HINT}.")
        if _EXTEND.value and _MODE.value != "train":
            raise InputError(f"--extend with --mode={_MODE.value}; allowed: --mode=train.")
        for flag, value in (("content", _CONTENT.value), ("pose", _POSE.value)):
            if _MODE.value == "swap" and not value:
                raise InputError(f"--{flag} is missing; give a video, as in --{flag}=clip.mp4.")
        if _MODE.value == "export" and not _OUTPUT.value:
            raise InputError("--output is missing; give a new folder, as in --output=exported.")
        if _MODE.value == "import_torch" and not _TORCH_CHECKPOINT.value:
            raise InputError("--torch_checkpoint is missing; give a file of the authors' code.")
    except Exception as error:  # Whatever a settings file or a flag parser raises.
        _exit(error, 2)
    return arguments


def _flag_values(argv: Sequence[str]) -> dict[str, str]:
    """Returns the value of every `--name=value` in `argv` by name; the last one counts."""
    return dict(a.lstrip("-").split("=", 1) for a in argv if a.startswith("-") and "=" in a)


def _load_config(given: Mapping[str, str]) -> ml_collections.ConfigDict:
    """Returns the settings in --config, or else those that --mode uses; empty if it has none."""
    if "config" in given:
        path, _, variant = given["config"].partition(":")
        if pathlib.PurePath(path).name == "stored.py":  # In version 0.1: those of a workdir.
            return _load_trained(variant)
        path = _settings_file(path)
        spec = importlib.util.spec_from_file_location("settings_file", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        config = module.get_config(variant) if variant else module.get_config()
        present = renamed.present_settings(config.to_dict())
        # Only files for version 0.1 are copied: a copy no longer has references to other settings.
        return config if present == config.to_dict() else ml_collections.ConfigDict(present)
    if given.get("mode") in WITHOUT_CONFIG:
        return _load_trained(given.get("workdir", _WORKDIR.default))
    if given.get("mode") == "import_torch":
        return _load_config({"config": "configs/mnist.py"})
    return ml_collections.ConfigDict()


def _load_trained(workdir: str) -> ml_collections.ConfigDict:
    from drnet_jax.runs.workdir import trained_settings  # Imports JAX.

    with input_errors():
        return ml_collections.ConfigDict(trained_settings(workdir))


def _settings_file(path: str) -> pathlib.Path:
    """Returns the file at `path`; configs/ may also be the folder that ships with the package.

    A name alone, such as `mnist`, is that of a file in configs/.
    """
    if path.isidentifier():
        path = f"configs/{path}.py"
    package = pathlib.Path(__file__).parent
    # An installed package has configs/ inside, a checkout has it beside the package.
    for folder in (pathlib.Path(), package, package.parent):
        if (folder / path).is_file():
            return folder / path
    raise InputError(f"There is no file {path!r}; {_CONFIG_HINT}.")


def _with_plain_value(config: ml_collections.ConfigDict, argument: str) -> str:
    """Returns `argument` with its value as absl reads it, if it changes a setting of `config`.

    Raises:
      InputError: there is no such setting.
      ValueError: the value is of another kind than the setting's.
    """
    flag, equals, value = argument.partition("=")
    name = flag.lstrip("-")
    if not argument.startswith("-") or not name.startswith("config."):
        return argument
    present = config
    for key in name.split(".")[1:]:
        if not hasattr(present, "keys") or key not in present:
            known = ", ".join(sorted(present.keys())) if hasattr(present, "keys") else "none below"
            raise InputError(f"Unknown setting --{name}: there is no {key!r}; known: {known}.")
        present = present[key]
    if not equals:  # absl allows `--config.data.consecutive`.
        return argument
    present = present.to_dict() if hasattr(present, "to_dict") else present
    return f"{flag}={values.plain(name, value, present)}"


def _exit(error: Exception, code: int) -> None:
    """Ends the program with the first line of `error` on stderr."""
    print(f"drnet_jax: {first_line(error)}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    run()
