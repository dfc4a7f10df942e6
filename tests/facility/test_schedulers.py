"""Schedulers in a site file: what leads nowhere is refused with its place and a remedy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from facility.config import load_site
from facility.errors import InputError

DEMO = "site_configs/demo.yaml"
SLURM: dict[str, Any] = {"partitions": {"gpu-a": "h1-a", "GPU_B": "h1-b"}, "accounts": {"Bio": {"tenant": "kepler", "contract": "kepler-jobs"}}}


def refused(**schedulers: dict[str, Any]) -> str:
    with pytest.raises(InputError) as found:
        load_site(DEMO, [f"schedulers={json.dumps(schedulers)}"])
    return "\n".join(map(str, found.value.faults))


def test_a_cluster_is_read_with_everything_that_it_does_not_say():
    slurm = load_site(DEMO, [f"schedulers={json.dumps({'slurm': {'slurm': SLURM}})}"]).schedulers.slurm["slurm"]
    assert slurm.partitions == {"gpu-a": "h1-a", "GPU_B": "h1-b"}
    assert (slurm.label, slurm.poll_s, slurm.url, slurm.token_env) == ("facility", 5.0, None, "SLURM_JWT")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"partitions": {"gpu": "h1-c"}}, "schedulers.slurm.main.partitions.gpu (--set): no `h1-c` in pools; did you mean `h1-"),
        ({"partitions": {}}, "schedulers.slurm.main.partitions"),
        ({"accounts": {"x": {"tenant": "keppler"}}}, "accounts.x.tenant (--set): no `keppler` in tenants; did you mean `kepler`?"),
        ({"accounts": {"x": {"contract": "kepler-job"}}}, "accounts.x.contract (--set): no `kepler-job` in contracts; did you mean `kepler-jobs`?"),
        ({"accounts": {"x": {"tenant": "nordlab", "contract": "kepler-jobs"}}}, "`kepler-jobs` is kepler's, not nordlab's; mend one of the two"),
        ({"accounts": {"x": {}}}, "neither tenant nor contract; name one, or leave the account out"),
        ({"label": "my label"}, "one word of lower-case letters"),
        ({"url": "slurm:6820"}, "an address such as http://127.0.0.1:6820 or unix:/run/slurmrestd.sock"),
        ({"gpus_per_node": 0}, "schedulers.slurm.main.gpus_per_node"),
        ({"poll_s": 0}, "schedulers.slurm.main.poll_s"),
        ({"partition": {}}, "did you mean `partitions`?"),
    ],
)
def test_what_leads_nowhere_is_refused_with_its_place_and_a_remedy(change: dict[str, Any], said: str):
    assert said in refused(slurm={"main": SLURM | change})


def test_a_name_is_an_id_that_leaves_room_for_those_of_jobs():
    assert "schedulers.slurm" in refused(slurm={"Main": SLURM})
    assert "schedulers.slurm" in refused(slurm={"m" * 41: SLURM})
