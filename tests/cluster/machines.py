"""Two machines under Ray Serve, both on this one, and what is deployed on them.

They are the same for all tests of a run: to start them takes longer than most of those.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import serve
from ray.cluster_utils import Cluster
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

KEY = "a-key-for-tests"
PORT = 18_765
NAME = "antiphon"
CORES = 4  # that each machine says it has: nothing here computes for long
MEMORY_BYTES = 100 * 2**20
ONE_EACH = {"least_sessions": 2, "most_sessions": 2, "sessions_per_machine": 1}
"""Arguments of the application for one replica with conversations on each machine."""
PATIENCE_S = 240.0  # with Ray, on a machine whose cores are others' for the moment
LOOK_S = 0.25
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_agent_register_timeout_ms": "240000",
    "RAY_worker_register_timeout_seconds": "240",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",  # likewise: one that is later is killed
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60",
    "RAY_prestart_worker_first_driver": "0",  # processes that nobody needs, all of them in the first seconds
    "RAY_SERVE_ENABLE_HA_PROXY": "1",  # as docs/how-to/cluster.md recommends
    "ANTIPHON_SERVER__KEYS": KEY,
    "ANTIPHON_SERVER__DRAIN_S": "1",
    "ANTIPHON_SERVER__MAX_LAG_MS": "0",  # nobody is turned away because a core was another's
}


class Two:
    """The machines. The first has the controller and the proxy; the second may be lost."""

    def __init__(self) -> None:
        self._cluster = Cluster()
        self._add(include_dashboard=False)
        self._second: Any = None
        self.complete()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def complete(self) -> None:
        """Both of them are there, whatever was lost."""
        if self._second is None:
            self._second = self._add()
            self._cluster.wait_for_nodes(timeout=PATIENCE_S)

    def lose_the_second(self) -> None:
        """With all that runs on it: what Ray started would notice in a second or two that it is alone, and end."""
        raylet = self._second.all_processes["raylet"][0].process.pid
        started = [path.read_text().split() for path in Path(f"/proc/{raylet}/task").glob("*/children")]
        self._cluster.remove_node(self._second, allow_graceful=False)
        for worker in chain.from_iterable(started):
            with suppress(ProcessLookupError):
                os.kill(int(worker), signal.SIGKILL)
        self._second = None

    def end(self) -> None:
        self._cluster.shutdown()

    def _add(self, **more: Any) -> Any:
        return self._cluster.add_node(wait=False, num_cpus=CORES, object_store_memory=MEMORY_BYTES, **more)


@contextmanager
def _two_machines() -> Iterator[Two]:
    """Serve listens on the port until the block is left, and nothing is deployed."""
    os.environ |= ENVIRONMENT
    two = Two()
    try:
        ray.init(address=two.address, logging_level="WARNING", log_to_driver=False)
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": PORT})
        yield two
    finally:
        serve.shutdown()
        ray.shutdown()
        two.end()
        for name in ENVIRONMENT:
            del os.environ[name]


@pytest.fixture(scope="session")
def machines() -> Iterator[Two]:
    with _two_machines() as two:
        yield two


@pytest.fixture
def two(machines: Two) -> Two:
    """Both are there. What is deployed on them is what was there before."""
    machines.complete()
    return machines


def deploy(**arguments: object) -> None:
    """As `serve deploy` does with a file that has these arguments. Nothing has changed yet when it returns."""
    application = {
        "name": NAME,
        "route_prefix": "/",
        "import_path": "antiphon.cluster.application:build",
        "args": arguments,
    }
    client = _get_global_client()
    assert client is not None
    client.deploy_apps(ServeDeploySchema.model_validate({"applications": [application]}))


def deployed_anew(**arguments: object) -> None:
    """This alone is there, and ready."""
    serve.delete(NAME)
    deploy(**arguments)
    until_ready()


def until_ready() -> None:
    """Until what was deployed last runs."""
    end = time.monotonic() + PATIENCE_S
    while (application := serve.status().applications[NAME]).status != "RUNNING":
        assert application.status not in ("DEPLOY_FAILED", "UNHEALTHY"), application
        assert time.monotonic() < end, application
        time.sleep(LOOK_S)


def replicas(name: str) -> list[Any]:
    """Handles of the actors of a deployment."""
    named = [actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)]
    return [ray.get_actor(each, namespace="serve") for each in named if f"{NAME}#{name}#" in each]
