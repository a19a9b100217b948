"""A cluster of two machines, both on this one, with the application on it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ray
from ray import serve
from ray.cluster_utils import Cluster

from antiphon.cluster.application import build

KEY = "a-key-for-tests"
CORES = 4  # that each machine says it has: nothing here computes for long
MEMORY_BYTES = 100 * 2**20
TWO_OF_A_KIND = {"least_sessions": 2, "most_sessions": 2, "sessions_per_machine": 1}
"""Arguments of the application for one replica with conversations on each machine."""


class Two:
    """The machines. The first has the controller and the proxy; the second may be lost."""

    def __init__(self) -> None:
        self.cluster = Cluster(initialize_head=True, head_node_args=self._size(include_dashboard=False))
        self.second: Any = self.cluster.add_node(**self._size())

    def lose_the_second(self) -> None:
        self.cluster.remove_node(self.second, allow_graceful=False)

    def add_a_second(self) -> None:
        self.second = self.cluster.add_node(**self._size())

    def _size(self, **more: Any) -> dict[str, Any]:
        return {"num_cpus": CORES, "object_store_memory": MEMORY_BYTES, **more}


@contextmanager
def two_machines(port: int, environ: Mapping[str, str], **arguments: object) -> Iterator[Two]:
    """They have this environment, and serve on the port until the block is left."""
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_agent_register_timeout_ms": "120000",  # of a machine whose cores are others' for the moment
        "RAY_worker_register_timeout_seconds": "180",
        "RAY_SERVE_ENABLE_HA_PROXY": "1",  # as docs/how-to/cluster.md recommends
        "ANTIPHON_SERVER__KEYS": KEY,
        "ANTIPHON_SERVER__DRAIN_S": "1",
        **environ,
    }
    two = Two()
    try:
        ray.init(address=two.cluster.address, logging_level="WARNING", log_to_driver=False)
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        serve.run(build({**TWO_OF_A_KIND, **arguments}), name="antiphon")
        yield two
    finally:
        serve.shutdown()
        ray.shutdown()
        two.cluster.shutdown()
        for name in environ:
            del os.environ[name]


def replicas(name: str) -> list[Any]:
    """Handles of the actors of a deployment."""
    named = [actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)]
    return [ray.get_actor(each, namespace="serve") for each in named if f"antiphon#{name}#" in each]
