"""A page in the browser of this machine to play with a trained model."""

import importlib.util
import os
import threading

from drnet_jax import api
from drnet_jax.base import stopping
from drnet_jax.base.errors import InputError, input_errors

NUM_CLIPS = 8

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
    from drnet_jax.demo.playground import Playground

    with input_errors():
        model = api.load(source)
        print(model)
        playground = Playground(model, source, NUM_CLIPS)
    os.environ |= OFFLINE  # After the model, which may come from a hub.
    from drnet_jax.demo import page  # Takes seconds, which a mistake should not have to wait for.

    with input_errors():
        try:
            served = page.launch(playground, port)
        except OSError as error:
            raise ValueError(f"--port={port} is in use; choose another.") from error
    print(f"Open {served.local_url} in a browser on this machine. Ctrl-C ends it.", flush=True)
    stopping.doing("showing the page", "there was nothing to save")
    threading.Event().wait()
