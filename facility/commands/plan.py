"""`facility plan`: plan, write the files, print a short table."""

from __future__ import annotations

import json
import logging
import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from facility.commands.commit import run_commit
from facility.commands.progress import shown
from facility.decide import Undecided
from facility.errors import Fault, InputError
from facility.explain import explain
from facility.planner import Planned, Request, plan
from facility.report.html import write_report
from facility.report.summary import short_table, summary
from facility.report.tables import write_tables
from models.solving.child import Child
from models.solving.exact import Proof

FINE, NO, FAULT = 0, 1, 3


def run_plan(
    request: Request,
    out: Path | None,
    explained: Sequence[str] = (),
    *,
    as_json: bool,
    opened: bool = False,
    commit: bool = False,
    broker: str | None = None,
    by: str | None = None,
    key_file: Path | None = None,
) -> int:
    """Plan and tell; 0 where every limit holds, 1 where one is broken, 3 where there is no plan.

    With `opened` the report is shown in the browser; without `out` its files stay in a temporary folder. With `commit` the plan is handed
    to the daemon on `broker` (None: the site file's), signed where `by` has a `key_file`, and the answer decides.
    """
    logging.getLogger("pyomo").setLevel(logging.CRITICAL)
    said = Console(stderr=True)
    if broker is not None and not commit:
        raise InputError(Fault("--broker", "there is no --commit", "hand the plan over with it, or leave --broker out"))
    if opened and out is None:
        out = Path(tempfile.mkdtemp(prefix="facility-plan-"))
    _make_folder(out)
    with said.status("planning: reading and stating the problem") as status, Child() as solver:
        planned = plan(request, shown(solver, status.update))
        if isinstance(planned, Undecided):
            said.print(f"facility: no plan: {planned.reason}", markup=False, highlight=False, soft_wrap=True)
            return FAULT
        numbers = summary(planned)
        if explained:
            numbers["explanations"] = [explain(planned, asked, request.budget_s).as_json() for asked in explained]
        if out is not None:
            _write(planned, numbers, out)
    if as_json:
        print(json.dumps(numbers, indent=2, allow_nan=False))
    else:
        _print(Console(), planned, numbers, out)
    if opened and out is not None:
        _open(out / "report.html", said)
    if commit:
        return run_commit(planned, broker, by, key_file)
    return NO if numbers["status"] == "breached" else FINE


def _write(planned: Planned, numbers: dict[str, Any], out: Path) -> None:
    """Write the files beside their places, then move them there together, so that no plan is left half new."""
    try:
        with tempfile.TemporaryDirectory(prefix=".plan-", dir=out) as new:
            folder = Path(new)
            write_tables(planned, folder)
            (folder / "summary.json").write_text(json.dumps(numbers, indent=2, allow_nan=False) + "\n", encoding="utf-8")
            write_report(planned, numbers, folder / "report.html")
            for file in sorted(folder.iterdir()):
                file.replace(out / file.name)
    except OSError as error:
        raise InputError(
            Fault(f"--out {out}", f"cannot be written: {error.strerror}", "name a folder that you may write")
        ) from None


def _open(report: Path, said: Console) -> None:
    if not webbrowser.open(report.absolute().as_uri()):
        said.print(f"facility: no browser could be opened here; the report is {report}", markup=False, highlight=False, soft_wrap=True)


def _explain(console: Console, told: dict[str, Any], currency: str) -> None:
    """One explanation: its sentences, the limits that bind and what they cost, the remedies."""
    lines = [f"explain {told['kind']} {told['asked']}:", *(f"  {sentence}" for sentence in told["says"])]
    lines += [f"  binds: {limit['says']}, {limit['cost']:.4g} {currency}" for limit in told["limits"][:5]]
    lines += [f"  {'cheapest remedy' if i == 0 else 'or'}: {cure['says']}" for i, cure in enumerate(told["remedies"])]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _make_folder(out: Path | None) -> None:
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(Fault(f"--out {out}", f"cannot be made: {error.strerror}", "name a folder that you may write")) from None


def _print(console: Console, planned: Planned, numbers: dict[str, Any], out: Path | None) -> None:
    console.print(f"{numbers['site']}, {numbers['start']} to {numbers['end']}", highlight=False, markup=False)
    table = Table(show_edge=False)
    table.add_column("")
    table.add_column("plan", justify="right")
    table.add_column("baseline", justify="right")
    for row in short_table(planned):
        table.add_row(*row)
    console.print(table)
    saving = numbers["saving_pct"]
    compared = saving is not None and numbers["status"] != "breached"
    saved = f", energy cost {abs(saving):.1f} % {'below' if saving >= 0 else 'above'} the baseline's" if compared else ""
    saved += ", fuel apart" if saved and numbers["costs"].get("fuel") else ""
    console.print(f"status: {numbers['status']}{saved}", highlight=False)
    if broken := sorted({breach["family"] for breach in numbers["baseline"]["breaches"]}):
        console.print(f"the baseline breaks limits: {', '.join(broken)}", highlight=False)
    if proof := planned.decided.plan.record.proof:
        console.print(_exactness(proof, numbers["currency"]), highlight=False, markup=False, soft_wrap=True)
    for event in numbers["events"]:
        asked = f"{event['target_kw']:g} kW" if event["reduction_pct"] is None else f"{event['reduction_pct']:g} % less"
        console.print(
            f"event: {asked} from {event['start']} to {event['end']}: {event['minutes_over_target']:g} min above the target, "
            f"{event['mean_over_delivery_pct']:.2f} % more delivered than asked",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    for breach in numbers["breaches"][:10]:
        cause = f"; cause: {breach['cause']}" if breach["cause"] else ""
        console.print(
            f"breach: {breach['family']} of {breach['asset']} by {breach['amount']:.3f} {breach['unit']} "
            f"from {breach['from']} to {breach['to']}{cause}; remedy: {breach['remedy']}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    if len(numbers["breaches"]) > 10:
        console.print(f"... and {len(numbers['breaches']) - 10} more breaches (--json lists them all)", highlight=False)
    for told in numbers.get("explanations", []):
        _explain(console, told, numbers["currency"])
    for assumption in numbers["assumed"]:
        console.print(f"assumed: {assumption}", highlight=False, markup=False, soft_wrap=True)
    if out is not None:
        console.print(
            f"written: {out}/plan.csv caps.csv jobs.csv summary.json report.html", highlight=False, markup=False, soft_wrap=True
        )


def _exactness(proof: Proof, currency: str) -> str:
    if proof.exact is None or proof.gap is None:
        return f"not exact: no better than the rounded plan was found in time ({proof.missed}); a longer --budget may find it"
    return (
        f"exact: proven to {proof.gap:.2f} {currency}; {round(proof.exact, 2) + 0.0:.2f} {currency} above the linear program's bound, "
        f"the rounded plan {proof.rounded:.2f}"
    )
