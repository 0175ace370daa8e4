"""A fake Google Cloud Storage on this machine, with one empty bucket."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator

NAME = "bucket"

_SERVER = f"""
import sys
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import objects

download = objects.download

def with_generation(request, response, storage, **kwargs):
    # The header in which the real service names the version of an object, which tensorstore needs.
    try:
        object = storage.get_file_obj(request.params["bucket_name"], request.params["object_id"])
        response["x-goog-generation"] = object["generation"]
    except NotFound:
        pass
    download(request, response, storage, **kwargs)

objects.download = with_generation  # Before the server looks it up.

from gcp_storage_emulator.server import create_server

server = create_server("127.0.0.1", int(sys.argv[1]), in_memory=True, default_bucket={NAME!r})
server.start()
print("ready", flush=True)
sys.stdin.read()  # Until the pipe closes, even if the tests are killed.
server.stop()
"""


@contextlib.contextmanager
def serving() -> Iterator[dict[str, str]]:
    """Runs a server in a process of its own; yields environment variables that lead to it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert server.stdout.readline() == b"ready\n", "the server did not start"
        yield variables(f"http://127.0.0.1:{port}")
    finally:
        server.stdin.close()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        server.stdout.close()


def variables(address: str) -> dict[str, str]:
    """Returns what makes every library look for buckets at `address`, without logging in."""
    return {
        "STORAGE_EMULATOR_HOST": address,
        "TENSORSTORE_GCS_HTTP_URL": address,
        "GOOGLE_AUTH_TOKEN_FOR_TESTING": "none",
        "GOOGLE_CLOUD_PROJECT": "test",
        "FSSPEC_GCS_TOKEN": "anon",
        # gcsfs would ask the real network what kind of bucket it is.
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        "EPATH_USE_TF": "false",
    }
