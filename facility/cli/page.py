"""The command that serves the operators' page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facility.cli.options import Broker, Settings, SiteFile


def console(
    site: SiteFile,
    broker: Broker = None,
    host: Annotated[str, typer.Option(help="address to listen on; one that others reach needs --users")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on; 0: any that is free", min=0, max=65535)] = 8080,
    users: Annotated[Path | None, typer.Option(metavar="FILE", help="who may look and who may act; made by --add-user")] = None,
    add_user: Annotated[str | None, typer.Option(metavar="NAME", help="add a user to --users, ask for a password, and end")] = None,
    role: Annotated[str, typer.Option(help="of the user that is added: operator or viewer")] = "viewer",
    proxied: Annotated[bool, typer.Option("--proxied", help="the user that is added has no password: a proxy brings the name")] = False,
    trust_header: Annotated[
        str | None, typer.Option(metavar="HEADER", help="where a reverse proxy tells who it is, such as X-Forwarded-User")
    ] = None,
    trust_from: Annotated[list[str] | None, typer.Option(metavar="ADDRESS", help="the proxy's address; nobody else's header is believed")] = None,
    session: Annotated[str, typer.Option(metavar="TIME", help="how long a login lasts")] = "12h",
    history: Annotated[str | None, typer.Option(metavar="F", help="the daemon's history, a file or postgresql://..., for what was measured")] = None,
    shift_log: Annotated[Path | None, typer.Option(metavar="F", help="the shift log; default: SITE_ID.shift.sqlite here")] = None,
    keys: Annotated[Path | None, typer.Option(metavar="F", help="keys of operators to sign with, where the site asks for signatures")] = None,
    settings: Settings = None,
) -> None:
    """Show the site in the browser and let operators overrule it; needs the extra `console`."""
    from facility.commands.console import Options, run_add_user, run_console

    if add_user is not None:
        raise typer.Exit(run_add_user(add_user, role, users, proxied=proxied))
    options = Options(broker, host, port, users, trust_header, tuple(trust_from or ()), session, history, shift_log, keys)
    raise typer.Exit(run_console(site, tuple(settings or ()), options))
