"""Signatures of event data: JWS in compact form (RFC 7515), ES256 or RS256, the key named by `kid`.

Keys are JSON Web Keys (RFC 7517): one private key to sign with, and for each who may order a set of public ones; a key without a `kid`
has its thumbprint (RFC 7638). Nothing but the two algorithms is accepted, whatever a header says, so that a public key can never pass
for a shared secret.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from facility.bus.messages.codec import Rejected
from facility.bus.secrets import read_private
from facility.dsx.facts import ALGORITHMS
from facility.errors import Fault, InputError

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, KeySet, RSAKey


class Signer:
    """Signs with the private key in the file at `path`, a JWK. InputError, naming `place`, where it cannot be used, or others may read it."""

    def __init__(self, path: str, place: str) -> None:
        jwk = _object(read_private(Path(path), place), path, place)
        try:
            self._key, self._algorithm = _key(jwk)
            self._key.ensure_kid()
            private = self._key.is_private
        except Exception as error:
            raise _useless(path, place, str(error)) from error
        if not private:
            raise _useless(path, place, "the key is public")

    def sign(self, data: bytes) -> str:
        """Give the compact JWS of `data`."""
        from joserfc import jws

        header = {"alg": self._algorithm, "kid": self._key.kid}
        return jws.serialize_compact(header, data, self._key, algorithms=list(ALGORITHMS))


class Verifier:
    """Verifies with the public keys in the file at `path`, a JWK set. InputError, naming `place`, where they cannot be used."""

    def __init__(self, path: str, place: str) -> None:
        from joserfc.jwk import KeySet

        try:
            text = Path(path).read_bytes()
        except OSError as error:
            raise _useless(path, place, str(error.strerror)) from error
        jwks = _object(text, path, place)
        try:
            self._keys: KeySet = KeySet([_key(jwk)[0] for jwk in jwks["keys"]])
        except Exception as error:
            raise _useless(path, place, f"no JWK set of such keys: {error!r}") from error

    def verified(self, signed: str) -> bytes:
        """Give what a compact JWS holds. Raises `Rejected` where none of the keys signed it."""
        from joserfc import jws

        try:
            found = jws.deserialize_compact(signed, self._keys, algorithms=list(ALGORITHMS))
        except Exception as error:  # whatever a library makes of hostile bytes, they are not signed
            raise Rejected(f"its signature does not hold: {error}") from None
        if "kid" not in found.headers():
            raise Rejected("its signature names no key")
        return found.payload


def _key(jwk: dict[str, Any]) -> tuple[ECKey | RSAKey, str]:
    """A key of one of the two algorithms, and its algorithm. Raises ValueError for another."""
    from joserfc.jwk import ECKey, RSAKey

    match jwk:
        case {"kty": "EC", "crv": "P-256"}:
            return ECKey.import_key(jwk), "ES256"
        case {"kty": "RSA"}:
            return RSAKey.import_key(jwk), "RS256"
    raise ValueError("it is neither an RSA key nor one of P-256")


def _object(text: bytes, path: str, place: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError) as error:
        raise _useless(path, place, str(error)) from error


def _useless(path: str, place: str, found: str) -> InputError:
    return InputError(Fault(place, f"{path}: {found}", "name a file of JSON Web Keys, of RSA or P-256"))
