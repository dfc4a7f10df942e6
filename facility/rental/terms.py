"""The terms of a rental that is asked for: as the command says, as the offer that it accepts does, and in a pool that has room."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from facility.bus.messages import ContractSet
from facility.overrides.rules import whole_ms
from facility.rental.fit import of_another_model, other_gpus, roomiest
from facility.rental.offers import Offers
from facility.rental.rental import Rental
from facility.site import Contract, Site
from facility.site.tenancy import RENTED


def said_terms(request: ContractSet) -> dict[str, Any]:
    """What a command says, or a state tells, of a contract's terms, by key."""
    return {key: value for key in RENTED if (value := getattr(request, key)) is not None}


def terms_of(site: Site, offers: Offers, others: Sequence[Rental], request: ContractSet, now: datetime) -> Contract | str:
    """The terms that `request` comes to beside `others`, or why it comes to none."""
    given = said_terms(request)
    if request.offer is not None:
        offer = offers.accept(request, now)
        if isinstance(offer, str):
            return offer
        given |= {key: value for key in RENTED if (value := getattr(offer, key, None)) is not None}
    elif request.gpu_model is not None and request.pool is None:
        placed = _placed(site, others, request, request.gpu_model)
        if isinstance(placed, str):
            return placed
        given |= placed
    if (other := of_another_model(site, given.get("pool"), request.gpu_model)) is not None:
        return other
    try:
        return Contract.model_validate(given)
    except ValidationError as error:
        return "; ".join(fault["msg"].removeprefix("Value error, ") for fault in error.errors(include_url=False))


def _placed(site: Site, others: Sequence[Rental], request: ContractSet, model: str) -> dict[str, Any] | str:
    """The pool of the GPU model that is asked for; or why none can have it."""
    probe = Contract(tenant=request.tenant, kind=request.kind, pausable=request.pausable)
    rental = Rental(request.id, "", probe, whole_ms(request.start), whole_ms(request.end), request.by)
    found = roomiest(site, others, rental, model, request.gpus, request.curve)
    if found is None:
        work = f" with the curve {request.curve}" if request.curve else ""
        return f"the site has no pool of {model}{work} ({other_gpus(site, model)})"
    pool, free = found
    return {"pool": pool} if free >= request.gpus else f"{request.gpus} GPUs of {model} are free in no pool all that time; {pool} has {free}"
