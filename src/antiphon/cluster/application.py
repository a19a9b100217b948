"""The application that Ray Serve runs: how many replicas of what, and by what each number grows.

    serve run antiphon.cluster.application:build config=/etc/antiphon/antiphon.toml

or as `import_path` in a Serve configuration: deploy/serve.yaml.
"""

from __future__ import annotations

from msgspec import Struct, convert
from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig

from antiphon.cluster.neighbours import Doorplates
from antiphon.cluster.replicas import Ears, Sessions, Voices, configuration


class Sizes(Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of the application. "Most" and "least" are numbers of replicas."""

    config: str | None = None
    """Path of the configuration file, the same on every machine. Without one, the environment is all."""
    sessions_each: int = 100
    """Sessions of a replica at which another one is started; server.max_sessions is where it takes no more."""
    least_sessions: int = 1
    most_sessions: int = 4
    sessions_per_machine: int | None = None
    """At most so many replicas for sessions on a machine: what may be lost at once."""
    ears_each: int = 4
    """Utterances that a replica works at when another one is started."""
    least_ears: int = 1
    most_ears: int = 2
    voices_each: int = 8
    """Clauses, likewise."""
    least_voices: int = 1
    most_voices: int = 2
    cores_each: float = 1.0
    """That Ray sets aside for a replica."""


def build(args: dict[str, object]) -> Application:
    """The application. Raises `ConfigError`, and `msgspec.ValidationError` for arguments that nobody knows."""
    sizes = convert(args, Sizes, strict=False)
    config = configuration(sizes.config)
    cores = {"num_cpus": sizes.cores_each}
    ears, voices = (
        serve.deployment(
            engine,
            name=engine.__name__,
            autoscaling_config=_between(least, most, each),
            max_ongoing_requests=each * 16,
            ray_actor_options=cores,
        )
        for engine, least, most, each in (
            (Ears, sizes.least_ears, sizes.most_ears, sizes.ears_each),
            (Voices, sizes.least_voices, sizes.most_voices, sizes.voices_each),
        )
    )
    sessions = serve.deployment(
        Sessions,
        name="Sessions",
        autoscaling_config=_between(sizes.least_sessions, sizes.most_sessions, sizes.sessions_each),
        # Beyond max_sessions it still answers, with a refusal that says when to come again.
        max_ongoing_requests=config.server.max_sessions * 2,
        max_replicas_per_node=sizes.sessions_per_machine,
        graceful_shutdown_timeout_s=config.server.drain_s + 5,
        ray_actor_options=cores,
    )
    plates = serve.deployment(Doorplates, name="Doorplates", num_replicas=1, ray_actor_options={"num_cpus": 0})
    return sessions.bind(sizes.config, ears.bind(sizes.config), voices.bind(sizes.config), plates.bind())


def _between(least: int, most: int, each: int) -> AutoscalingConfig:
    return AutoscalingConfig(min_replicas=least, max_replicas=most, target_ongoing_requests=each)
