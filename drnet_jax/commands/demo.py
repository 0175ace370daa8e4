"""A page in the browser of this machine to play with a trained model."""

import importlib.util
import os
import pathlib
import shutil
import socket
import threading

from drnet_jax import api
from drnet_jax.base import local_copy, stopping
from drnet_jax.base.errors import InputError, input_errors
from drnet_jax.demo.playground import Playground

HOST = "127.0.0.1"

NUM_CLIPS = 8
"""Clips of the data set to choose from; there may be fewer."""

OFFLINE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
"""Variables that keep Gradio from counting its users and from asking for its newest version."""


def run(source: str, port: int) -> None:
    """Serves the page until the program is stopped.

    Args:
      source: what `drnet_jax.load` takes.
      port: of this machine; nothing is served to others.

    Raises:
      InputError: without Gradio, for a model that cannot be loaded, or a port that is in use.
    """
    if importlib.util.find_spec("gradio") is None:
        raise InputError("--mode=demo needs the extra demo: pip install 'drnet_jax[demo]'.")
    _check_port(port)  # Before the model, which may take a while to load.
    with input_errors():
        model = api.load(source)
        print(model)
        playground = Playground(model, source, NUM_CLIPS)
    # What an earlier page on this port has left, such as videos that were dropped in.
    folder = pathlib.Path(local_copy.cache_folder()) / "demo" / str(port)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    # After the model, which may come from a hub; before Gradio, which reads them when imported.
    os.environ |= OFFLINE | {"GRADIO_TEMP_DIR": str(folder / "gradio")}
    from drnet_jax.demo import page

    with input_errors():
        served = page.launch(playground, HOST, port, folder)
    print(f"Open {served.local_url} in a browser on this machine. Ctrl-C ends it.", flush=True)
    stopping.doing("showing the page", "there was nothing to save")
    threading.Event().wait()


def _check_port(port: int) -> None:
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        raise InputError(f"--port={port} cannot be used: {error.strerror}.") from error
