"""`antiphon serve`: run the server in the foreground."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from antiphon.cli.options import engine_options, load_config, set_up_log

if TYPE_CHECKING:
    from antiphon.config import Config
    from antiphon.server.run import Running


@click.command("serve")
@engine_options
@click.option("--host", help="Address to listen on; 127.0.0.1. Any other needs a key.")
@click.option("--port", type=int, help="Port; 8765. 0 takes a free one.")
@click.option("--key", "keys", multiple=True, help="An API key that opens the door. May be given several times.")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate (PEM).")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its key (PEM).")
@click.option("--tls-self-signed", is_flag=True, default=None, help="Make a certificate for this run.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that share the port; 1.")
@click.option("--trace", type=click.Path(path_type=Path), help="Write each session's trace into this folder.")
@click.option("--trace-scores", is_flag=True, default=None, help="Also write what the voice detector thinks.")
@click.option("--trace-redact", is_flag=True, default=None, help="Cross out all words in traces.")
def command(
    config_path: Path | None, stt: str | None, llm: str | None, tts: str | None, verbose: bool, **flags: object
) -> None:
    """Run the server. Clients connect to ws://HOST:PORT/v1/realtime."""
    from antiphon.server.run import serve

    set_up_log(verbose=verbose)

    def load() -> Config:
        config: Config = load_config(
            config_path,
            stt__engine=stt,
            llm__engine=llm,
            tts__engine=tts,
            server__host=flags["host"],
            server__port=flags["port"],
            server__keys=flags["keys"],
            server__tls_cert=flags["tls_cert"],
            server__tls_key=flags["tls_key"],
            server__tls_self_signed=flags["tls_self_signed"],
            server__workers=flags["workers"],
            trace__folder=flags["trace"],
            trace__redact=flags["trace_redact"],
            trace__scores=flags["trace_scores"],
        )
        return config

    config = load()
    set_up_log(verbose=verbose, form=config.server.log_format)
    if config.server.workers > 1:
        from antiphon.server.workers import serve_together

        _run(serve_together(config, load, _announce_workers, verbose=verbose))
    else:
        _run(serve(config, load, _announce))


def _run(coroutine: object) -> None:
    """On uvloop where there is one: it carries about half again as many messages."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(coroutine)  # type: ignore[arg-type]
    else:
        uvloop.run(coroutine)  # type: ignore[arg-type]


def _announce_workers(url: str, workers: int) -> None:
    click.echo(f"Antiphon listens on {url} with {workers} workers")
    click.echo("Ctrl-C ends them.")


def _announce(server: Running) -> None:
    from antiphon.server.relay import address_from

    state = server.state
    click.echo(f"Antiphon listens on {server.url}")
    page = server.url.replace("ws", "http", 1).removesuffix("v1/realtime")
    click.echo(f"  to talk to it, open {page}")
    if not state.config.server.all_keys:
        click.echo("  without a key: from this machine only")
    address = address_from(state.config.relay)
    if address is not None:
        click.echo(f"  conversations: another server's voice, {address.origin} (relay.url is set); beside them:")
    for choice in state.engines.choices:
        click.echo(f"  {choice.role}: {choice.name} ({choice.reason})")
        if choice.caveat and address is None:
            click.echo(f"       {choice.caveat}")
    if state.config.turns.model is not None:
        click.echo(f"  turns: smart-turn ({state.config.turns.model})")
    click.echo("Ctrl-C ends it.")
