"""Both stages of a tiny run without scores, for processes that tests start with `-m`."""

import ast
import os
import sys

import jax

from drnet_jax.base import processes
from drnet_jax.commands import train
from drnet_jax.runs.run import create_run
from tests.conftest import tiny_config

# The tests' own number of devices is set by the import above.
jax.config.update("jax_num_cpu_devices", int(os.environ["JAX_NUM_CPU_DEVICES"]))


def main() -> None:
    """Takes `--name=value` for settings, folders and the connection to other processes."""
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
    numbers = (int(flags[n]) if n in flags else None for n in ("num_processes", "process_id"))
    with processes.connected(flags.get("coordinator_address"), *numbers):
        config = tiny_config(flags["data_dir"])
        for name, value in flags.items():
            if name.startswith("config."):
                setting = {name.removeprefix("config."): ast.literal_eval(value)}
                config.update_from_flattened_dict(setting)
        run = create_run(config, flags["workdir"])
        if processes.is_first():
            train.write_settings(run)
        drnet = train.fit_stage(run, train.drnet_stage(run), run.init_drnet())
        train.fit_stage(run, train.predictor_stage(run, drnet), run.init_predictor())


if __name__ == "__main__":
    main()
