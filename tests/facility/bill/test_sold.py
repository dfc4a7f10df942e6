"""The terms of a contract at an instant of the past."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from facility.bill.terms import MISSED, RENT, Owed
from facility.rental.rental import Rental
from facility.rental.sold import Sold
from facility.site import Contract
from facility.usage.usage import Lack, Usage
from tests.facility.bill.made import SITE, START

DAY = timedelta(days=1)


def rental(price: float, first: int = 0, last: int = 10) -> Rental:
    """A rental `r` from one day to another."""
    terms = Contract(tenant="t", kind="reserved", pool="p", gpus=2, curve="train", price_per_gpu_h=price)
    return Rental(f"id-{price:g}", "r", terms, START + first * DAY, START + last * DAY, "desk")


def price(sold: Sold, day: float) -> float | None:
    terms = sold.terms("r", START + day * DAY)
    return None if terms is None else terms.price_per_gpu_h


def test_a_contract_of_the_site_file_is_the_file_s_and_an_unknown_one_nobody_s() -> None:
    sold = Sold(SITE, [(rental(1.0), None)])
    assert sold.terms("c", START) is SITE.contracts["c"]
    assert sold.terms("nobody", START) is None


def test_a_version_holds_until_the_next_replaces_it_and_the_last_one_after_all_have_ended() -> None:
    sold = Sold(SITE, [(rental(1.0), START + 3 * DAY), (rental(2.0), None)])
    assert [price(sold, day) for day in (0, 2.9, 3, 9, 11)] == [1.0, 1.0, 2.0, 2.0, 2.0]


def test_rentals_one_after_another_each_have_their_time() -> None:
    sold = Sold(SITE, [(rental(1.0, 0, 2), START + 2 * DAY), (rental(2.0, 5, 8), None)])
    assert [price(sold, day) for day in (1, 5, 7)] == [1.0, 2.0, 2.0]


def test_a_quarter_in_which_a_rental_begins_has_its_terms_and_not_those_of_a_later_one_of_that_name() -> None:
    soon = replace(rental(1.0, 0, 2), start=START + timedelta(minutes=5))
    never = (rental(9.0, 0, 1), START - DAY)
    sold = Sold(SITE, [never, (soon, None), (rental(2.0, 5, 8), None)])
    assert [price(sold, day) for day in (0, 1, 3, 9)] == [1.0, 1.0, 2.0, 2.0]


def test_rent_is_for_gpus_that_were_kept_and_for_those_that_jobs_held() -> None:
    owed = Owed(Sold(SITE, [(rental(1.0), START + 3 * DAY), (rental(2.0), None)]))
    owed.see(Usage(START, 0.25, "p", "r", "contract", "t", "r", reserved_gpu_h=0.5), 0)
    owed.see(Usage(START + 4 * DAY, 0.25, "p", "r", "contract", "t", "r", reserved_gpu_h=0.5), 0)
    owed.see(Usage(START, 0.25, "p", "j", "job", "t", "r", gpu_h=3.0), 1)
    owed.see(Usage(START, 0.25, "p", "k", "job", "t", None, gpu_h=3.0), 2)
    assert owed.by_line(RENT, 4).tolist() == pytest.approx([0.5 + 1.0, 3.0, 0.0, 0.0])
    assert owed.unknown == set()


def test_a_contract_that_nobody_knows_any_more_is_named() -> None:
    owed = Owed(Sold(SITE))
    owed.see(Usage(START, 0.25, "p", "gone", "contract", "t", "gone", lacks=(Lack("gone", START, 0.25, 1.0),)), 0)
    assert owed.unknown == {"gone"}
    assert owed.by_line(MISSED, 1).tolist() == [0.0]
