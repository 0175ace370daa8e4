"""Both stages of a tiny run without scores, for processes that tests start with `-m`."""

import ast
import os
import sys

import jax

from drnet_jax.base import processes
from drnet_jax.commands import train
from drnet_jax.runs.run import create_run
from tests.conftest import tiny_config
from tests.helpers.finished import people_config

# Imports above have set the tests' own number of devices.
jax.config.update("jax_num_cpu_devices", int(os.environ["JAX_NUM_CPU_DEVICES"]))

MAKE = {"digits": tiny_config, "people": people_config}


def main() -> None:
    """Takes `--name=value` for data, folders, settings and the connection to other processes."""
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
    numbers = (int(flags[n]) if n in flags else None for n in ("num_processes", "process_id"))
    with processes.connected(flags.get("coordinator_address"), *numbers):
        config = MAKE[flags["data"]](flags["data_dir"])
        for name, value in flags.items():
            if name.startswith("config."):
                setting = {name.removeprefix("config."): ast.literal_eval(value)}
                config.update_from_flattened_dict(setting)
        run = create_run(config, flags["workdir"])
        drnet = train.fit_stage(run, train.drnet_stage(run), run.init_drnet())
        train.fit_stage(run, train.predictor_stage(run, drnet), run.init_predictor())


if __name__ == "__main__":
    main()
