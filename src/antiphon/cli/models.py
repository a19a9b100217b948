"""`antiphon models list|pull|rm|path`: the local models, which nothing else ever downloads."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from antiphon.cli.options import load_config

config_option = click.option("--config", "config_path", type=click.Path(path_type=Path), help="A TOML file.")


@click.group("models")
def command() -> None:
    """List, fetch and remove local models."""


@command.command("list")
@config_option
def list_models(config_path: Path | None) -> None:
    """All models that we know, and which are here."""
    from antiphon.models.catalog import MODELS
    from antiphon.models.store import Store

    store = Store(load_config(config_path).models.folder)
    here = set(store.names())
    rows = [("", "model", "engine", "size", "languages", "licence", "note")]
    for name, model in MODELS.items():
        contents = store.contents(name)
        size = f"{contents.size_bytes / 1e6:,.0f} MB" if contents else f"~{model.about_mb:,} MB"
        rows.append(("*" if name in here else "", name, model.engine, size, model.languages, model.licence, model.note))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo(f"\n* is here, in {store.folder}. Others: antiphon models pull NAME")


@command.command("pull")
@config_option
@click.argument("name")
@click.option(
    "--from", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A folder with it."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def pull(config_path: Path | None, name: str, folder: Path | None, yes: bool) -> None:
    """Fetch a model. It goes on where it was interrupted."""
    from antiphon.models.catalog import model_named
    from antiphon.models.pull import Hub, copy_from, plan_from
    from antiphon.models.store import Store

    model = model_named(name)
    store = Store(load_config(config_path).models.folder)
    if store.contents(name) is not None:
        click.echo(f"{name} is here already: {store.folder / name}", err=True)
        return
    with Hub() as hub:
        plan = plan_from(folder, name) if folder is not None else hub.plan(name, model)
        click.echo(
            f"{name}: {plan.size_bytes / 1e6:,.1f} MB from {plan.source}\n"
            f"languages: {model.languages}; licence: {model.licence}" + (f"\n{model.note}" if model.note else ""),
            err=True,
        )
        if not yes and folder is None:
            click.confirm("Download it?", abort=True, err=True)
        with click.progressbar(length=plan.size_bytes, label=name, file=sys.stderr) as bar:
            if folder is not None:
                copy_from(plan, store, bar.update)
            else:
                hub.pull(plan, store, bar.update)
    click.echo(str(store.folder / name))


@command.command("rm")
@config_option
@click.argument("name")
def remove(config_path: Path | None, name: str) -> None:
    """Delete a model from this machine."""
    from antiphon.models.store import Store

    size = Store(load_config(config_path).models.folder).remove(name)
    click.echo(f"{name}: {size / 1e6:,.1f} MB freed", err=True)


@command.command("path")
@config_option
@click.argument("name")
def path(config_path: Path | None, name: str) -> None:
    """Where a model is."""
    from antiphon.models.store import Store

    click.echo(str(Store(load_config(config_path).models.folder).find(name)))
