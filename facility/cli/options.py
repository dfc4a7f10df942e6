"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SiteFile = Annotated[str, typer.Argument(help="site file, YAML", metavar="SITE", show_default=False)]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="change a key of the site file, such as grid.import_limit_kw=900"),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
By = Annotated[str | None, typer.Option(help="your name; default: the login name")]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", metavar="F", envvar="FACILITY_KEY_FILE", help="your key, to sign with, where the site asks for it")
]
Broker = Annotated[str | None, typer.Option(help="mqtt[s]://[user:password@]host[:port]; default: the site file's")]
Start = Annotated[str | None, typer.Option(help="a bare date (that local calendar day) or an instant; default: tomorrow", show_default=False)]
Horizon = Annotated[str | None, typer.Option(help="elapsed time, such as 36h")]
Step = Annotated[str, typer.Option(help="length of a step")]
Prices = Annotated[str | None, typer.Option(metavar="F[:column]", help="prices, CSV or Parquet")]
Weather = Annotated[str | None, typer.Option(metavar="F[:column]", help="outdoor temperature")]
Carbon = Annotated[str | None, typer.Option(metavar="F[:column]", help="carbon intensity")]
Load = Annotated[str | None, typer.Option(metavar="F[:column]", help="base load in place of the halls' base_kw")]
Solar = Annotated[str | None, typer.Option(metavar="F[:column]", help="output of solar plants, kW per kWp")]
Jobs = Annotated[str | None, typer.Option(metavar="F", help="jobs: submit_time, duration_s, num_gpus and more")]
JobsFrom = Annotated[str | None, typer.Option(metavar="INSTANT", help="instant of the job file that is laid on --start")]
Contracts = Annotated[str | None, typer.Option(metavar="F", help="rentals: contract, tenant, kind, gpus, start, end and more")]
Events = Annotated[str | None, typer.Option(metavar="F", help="grid events: start, end, target_kw or reduction_pct")]
Demand = Annotated[str | None, typer.Option(metavar="F", help="GPUs that services need: columns CONTRACT_gpus")]
Position = Annotated[
    str | None, typer.Option(metavar="F", help="plan.csv of an earlier plan that was committed; leaving it costs the imbalance premium")
]
Zone = Annotated[str | None, typer.Option(metavar="ZONE", help="zone of times that carry none")]
PeakSoFar = Annotated[
    list[str] | None, typer.Option(metavar="[ID=]KW", help="highest mean of the month until --start, for all demand charges or one")
]
Budget = Annotated[float, typer.Option(metavar="SECONDS", help="most time for the solver", min=0.1)]
Exact = Annotated[bool, typer.Option("--exact", help="the best plan that can be sent, with a proof in money")]
Gap = Annotated[float | None, typer.Option(metavar="MONEY", help="how good the proof is to be; default 0.01")]
WholeSteps = Annotated[int | None, typer.Option(metavar="N", help="first steps in which a job runs whole or waits; default 1", min=1)]
