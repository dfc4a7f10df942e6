"""Agents: processes that carry orders out, beside what they drive."""

from __future__ import annotations

import typer

agent = typer.Typer(name="agent", help="Carry orders out: a process beside what it drives.", no_args_is_help=True)
