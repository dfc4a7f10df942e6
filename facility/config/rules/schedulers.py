"""Rules of `schedulers`: pools, tenants and contracts that exist and belong together, and names that no two of them share."""

from __future__ import annotations

from collections.abc import Iterator

from facility.config.rules.parts import Breach, Known, expand, nearest
from facility.config.strict_yaml import KeyPath


def schedulers(site: Known) -> Iterator[Breach]:
    """Each scheduler, whatever its kind."""
    for each in expand(site, ("schedulers", "*", "*")):
        for key in ("partitions", "pools"):
            yield from _pools(site, each, key)
        for key in ("accounts", "namespaces"):
            for account in site.ids(*each, key):
                yield from _account(site, (*each, key, account))
        yield from _pool(site, (*each, "default_pool"))
    yield from _names(site)


def _pools(site: Known, scheduler: KeyPath, key: str) -> Iterator[Breach]:
    for name in site.ids(*scheduler, key):
        yield from _pool(site, (*scheduler, key, name))


def _pool(site: Known, path: KeyPath) -> Iterator[Breach]:
    pool = site.get(*path)
    if pool is not None and pool not in site.ids("pools"):
        yield path, f"no `{pool}` in pools", nearest(pool, site.ids("pools"))


def _account(site: Known, account: KeyPath) -> Iterator[Breach]:
    tenant, contract = site.get(*account, "tenant"), site.get(*account, "contract")
    for key, name, part in (("tenant", tenant, "tenants"), ("contract", contract, "contracts")):
        if name is not None and name not in site.ids(part):
            yield (*account, key), f"no `{name}` in {part}", nearest(name, site.ids(part))
    if tenant is None and contract is None and not site.malformed(*account):
        yield account, "neither tenant nor contract", "name one, or leave the account out"
    whose = site.get("contracts", contract, "tenant") if contract is not None and contract in site.ids("contracts") else None
    if tenant is not None and whose is not None and whose != tenant:
        yield (*account, "contract"), f"`{contract}` is {whose}'s, not {tenant}'s", "mend one of the two"


def _names(site: Known) -> Iterator[Breach]:
    """Two of one name would tell of each other's jobs."""
    taken: dict[str, str] = {}
    for kind in site.ids("schedulers"):
        for name in site.ids("schedulers", kind):
            if name in taken:
                yield ("schedulers", kind, name), f"there is one of {taken[name]} by this name too", "name one of them otherwise"
            taken.setdefault(name, kind)
