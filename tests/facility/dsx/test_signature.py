"""Signed data: what keys say counts, and nothing passes for it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey

from facility.bus.messages import Rejected
from facility.dsx import facts
from facility.dsx.signature import Signer, Verifier
from facility.errors import InputError
from tests.facility.dsx.exchange import STATES, Exchange, limit


@pytest.mark.parametrize("name", ["ec", "rsa"])
def test_with_keys_orders_must_be_signed_and_what_is_told_is(tmp_path: Path, keys: dict[str, str], name: str) -> None:
    own, theirs = Signer(keys[f"{name}-private"], "here"), Verifier(keys[f"{name}-public"], "there")
    house = Exchange(tmp_path, isv_keys=keys[f"{name}-public"], isv_key=own, signing_key=keys[f"{name}-private"])
    house.passes(5, 3.2)
    house.order(limit(1.0), data={"targets": [limit(1.0)]})
    assert (house.cap_w(), house.alarms()) == (400, {"load-target-refused"})
    forged = own.sign(json.dumps({"targets": [limit(1.0)]}).encode())
    head, body, tail = forged.split(".")
    house.order(limit(1.0), data=f"{head}.{body[:-4]}AAAA.{tail}")
    assert house.cap_w() == 400
    house.order(limit(2.0))
    assert (house.cap_w() < 400, house.alarms()) == (True, set())
    told = house.since(STATES)[-1]["data"]
    assert re.fullmatch(facts.JWS, told)
    assert json.loads(theirs.verified(told))["feeds"]["main-a"]["targets"]
    house.kill()


def test_keys_of_another_algorithm_a_missing_file_and_a_public_key_to_sign_with_are_faults(tmp_path: Path, keys: dict[str, str]) -> None:
    (tmp_path / "oct.json").write_text('{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}')
    for kind, path, why in (
        (Verifier, tmp_path / "oct.json", "neither an RSA key nor one of P-256"),
        (Verifier, tmp_path / "none.json", "No such file"),
        (Verifier, keys["ec-private"], "no JWK set"),
        (Signer, keys["ec-public"], "neither"),
    ):
        with pytest.raises(InputError, match=f"bus.dsx: .*{why}.*; name a file of JSON Web Keys"):
            kind(str(path), "bus.dsx")


def test_a_private_key_that_others_may_read_is_not_used(tmp_path: Path, keys: dict[str, str]) -> None:
    (tmp_path / "key.jwk").write_bytes(Path(keys["ec-private"]).read_bytes())
    (tmp_path / "key.jwk").chmod(0o644)
    with pytest.raises(InputError, match="others may read"):
        Signer(str(tmp_path / "key.jwk"), "bus.dsx.signing_key_file")


def test_a_signature_that_names_no_key_or_another_does_not_count(keys: dict[str, str]) -> None:
    key, verifier = ECKey.import_key(json.loads(Path(keys["ec-private"]).read_text())), Verifier(keys["ec-public"], "there")
    for kid, why in ({}, "names no key"), ({"kid": "e2"}, "does not hold"):
        with pytest.raises(Rejected, match=why):
            verifier.verified(jws.serialize_compact({"alg": "ES256"} | kid, b"{}", key))


def test_a_shared_secret_made_of_a_public_key_signs_nothing(keys: dict[str, str]) -> None:
    secret = OctKey.import_key(Path(keys["ec-public"]).read_bytes())
    forged = jws.serialize_compact({"alg": "HS256", "kid": "e1"}, b"{}", secret, algorithms=["HS256"])
    verifier = Verifier(keys["ec-public"], "there")
    for signed in (forged, "..", "a.b.c", "eyJhbGciOiJub25lIn0.e30."):
        with pytest.raises(Rejected, match="does not hold"):
            verifier.verified(signed)
