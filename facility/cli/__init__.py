"""Command line: options in, exit codes out. Everything heavy is imported inside the command that needs it.

Exit codes: 0 fine, 1 the answer is no, 2 wrong use or bad input, 3 a fault. No traceback reaches a user unless FACILITY_DEBUG is
set.
"""

from __future__ import annotations

import os
import sys

import typer

from facility.cli import agents, business, journals, page, people, planning, running, site_files
from facility.errors import InputError

BAD_INPUT, FAULT = 2, 3

app = typer.Typer(
    name="facility",
    help="Runs the power of a GPU data centre: caps and deferrals that cost the least inside every limit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS = (
    *(planning.plan, planning.backtest, planning.sweep, planning.compare),
    *(business.quote, business.capacity, business.bill, business.contract, business.maintain, business.report),
    *(site_files.check, site_files.fit),
    *(running.run, running.demo),
    page.console,
    *(people.override, people.why, people.status, people.tail, people.alarms, people.audit, people.history),
    *(journals.replay, journals.backup, journals.restore),
)
"""In the order of `facility --help`."""
for command in COMMANDS:
    app.command()(command)
app.add_typer(agents.agent)


def main() -> None:
    """Run the command line; every outcome is an exit code and, where it is bad, a sentence."""
    try:
        if (code := agents.straight(sys.argv[1:])) is not None:
            sys.exit(code)
        app(standalone_mode=True)
    except InputError as error:
        for fault in error.faults:
            print(f"facility: {fault}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        print("facility: stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if os.environ.get("FACILITY_DEBUG"):
            raise
        print(
            f"facility: a fault of the program, not of your input: {type(error).__name__}: {error}; "
            "set FACILITY_DEBUG=1 to see where, and report it",
            file=sys.stderr,
        )
        sys.exit(FAULT)
