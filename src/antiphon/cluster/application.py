"""The application that Ray Serve runs: how many replicas of what, and by what each number grows.

    serve run antiphon.cluster.application:build config=/etc/antiphon/antiphon.toml

or as `import_path` in a Serve configuration: deploy/serve.yaml.
"""

from __future__ import annotations

from msgspec import Struct, convert
from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy

from antiphon.audio.units import Seconds
from antiphon.cluster.neighbours import Doorplates
from antiphon.cluster.replicas import Ears, Sessions, Voices, configuration
from antiphon.cluster.scaling import by_conversations

ONE_MORE = 1  # percent: it is rounded up
NOTICE_S: Seconds = 5.0  # until a replica that is to go knows it, and has told those who were left
LAST_WORDS_S: Seconds = 10.0  # to write down what was said
STAYING = "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S"
"""So long a replica that is to go keeps its connections; then Serve cuts them off."""


class Sizes(Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of the application. "Most" and "least" are numbers of replicas."""

    config: str | None = None
    """Path of the configuration file, the same on every machine. Without one, the environment is all."""
    version: str = ""
    """Of what is installed and configured on the machines, in any words. Serve starts nothing anew as long as all
    arguments are what they were."""
    spare: bool = True
    """There is room for one replica more of each kind: one of a new version starts before an old one is told to end,
    and after it otherwise. Where `sessions_per_machine` is set, those with sessions always start after."""
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
    grow_after_s: Seconds = 30.0
    """So long there has to be more work than that before another replica is started."""
    shrink_after_s: Seconds = 600.0
    """Likewise, less work before one is ended."""


def build(args: dict[str, object]) -> Application:
    """The application. Raises `ConfigError`, and `msgspec.ValidationError` for arguments that nobody knows."""
    sizes = convert(args, Sizes, strict=False)
    config = configuration(sizes.config)
    cores = {"num_cpus": sizes.cores_each}
    surge = ONE_MORE if sizes.spare else 0
    ears, voices = (
        serve.deployment(
            engine,
            name=engine.__name__,
            autoscaling_config=_between(least, most, each, sizes),
            max_ongoing_requests=each * 16,
            max_surge_percent=surge,
            ray_actor_options=cores,
        )
        for engine, least, most, each in (
            (Ears, sizes.least_ears, sizes.most_ears, sizes.ears_each),
            (Voices, sizes.least_voices, sizes.most_voices, sizes.voices_each),
        )
    )
    staying_s = config.server.drain_s + NOTICE_S
    scaling = _between(sizes.least_sessions, sizes.most_sessions, sizes.sessions_each, sizes)
    sessions = serve.deployment(
        Sessions,
        name="Sessions",
        autoscaling_config=scaling.model_copy(update={"policy": AutoscalingPolicy(policy_function=by_conversations)}),
        # Beyond max_sessions it still answers, with a refusal that says when to come again.
        max_ongoing_requests=config.server.max_sessions * 2,
        max_replicas_per_node=sizes.sessions_per_machine,
        max_surge_percent=surge if sizes.sessions_per_machine is None else 0,
        graceful_shutdown_timeout_s=staying_s + LAST_WORDS_S,
        ray_actor_options=cores | {"runtime_env": {"env_vars": {STAYING: str(staying_s)}}},
    )
    plates = serve.deployment(Doorplates, name="Doorplates", num_replicas=1, ray_actor_options={"num_cpus": 0})
    return sessions.bind(sizes.config, ears.bind(sizes.config), voices.bind(sizes.config), plates.bind())


def _between(least: int, most: int, each: int, sizes: Sizes) -> AutoscalingConfig:
    return AutoscalingConfig(
        min_replicas=least,
        max_replicas=most,
        target_ongoing_requests=each,
        upscale_delay_s=sizes.grow_after_s,
        downscale_delay_s=sizes.shrink_after_s,
    )
