"""A process that finds out whether it is alone."""

import pytest

from drnet_jax.base import processes
from drnet_jax.base.errors import InputError


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in ("JAX_COORDINATOR_ADDRESS", *processes._ALONE):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "variables", [{}, {"SLURM_NTASKS": "1"}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}]
)
def test_a_lone_process_starts_no_service(variables, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(processes, "_give_up", lambda *_: pytest.fail("it waited for others"))
    with processes.connected():
        assert (processes.count(), processes.is_first()) == (1, True)
        processes.barrier()
        processes.agree({"a": 1})
        processes.fail("nobody to tell", 1)
        assert processes.everywhere(True)
        assert not processes.everywhere(False)
    with processes.connected("127.0.0.1:1", 1, 0):
        assert processes.count() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("host:1", None, None), "--num_processes and --process_id missing; give all of"),
        ((None, 2, 0), "--coordinator_address missing"),
        (("host:1", 2, 2), "--process_id=2; allowed: 0 to 1"),
    ],
)
def test_a_connection_needs_all_of_its_numbers(arguments, message):
    with pytest.raises(InputError, match=message), processes.connected(*arguments):
        pass
