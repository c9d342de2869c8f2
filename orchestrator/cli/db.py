"""`db`: the database's schema."""

from __future__ import annotations

import typer

from orchestrator.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="The database: bring its schema up to date.")


@app.callback()
def _group() -> None:
    """Keep `upgrade` a verb of its own."""


@app.command()
def upgrade() -> None:
    """Bring the database to this program's schema; an up-to-date one stays as it is."""
    from orchestrator.bootstrap.databases import upgrade_database

    before, after = upgrade_database(load_settings())
    typer.echo(f"The database was {before} and is {after} now.")
