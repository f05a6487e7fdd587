"""Passwords in the forms that the API and each broker check."""

from __future__ import annotations

import base64
import hashlib

from nexus_cli.access.passwords import Hashes, hash_password, make_password, verify, verify_at_broker


def test_each_form_is_what_its_reader_computes() -> None:
    found = hash_password("löwe, 1 Stück", iterations=3)
    rounds, salt, key = found.sha512.split("$")
    assert (rounds, len(base64.b64decode(salt)), len(base64.b64decode(key))) == ("3", 12, 64)
    expected = hashlib.pbkdf2_hmac("sha512", "löwe, 1 Stück".encode(), base64.b64decode(salt), 3, 64)
    assert base64.b64decode(key) == expected
    rounds, salt, key = found.sha256.split("$")
    assert key == hashlib.pbkdf2_hmac("sha256", "löwe, 1 Stück".encode(), salt.encode(), int(rounds), 32).hex()
    assert found.argon2id.startswith("$argon2id$v=19$")


def test_the_right_one_fits_and_no_other() -> None:
    found = hash_password("right", iterations=1)
    assert verify("right", found) and verify_at_broker("right", found.sha512)
    for wrong in ("", "Right", "right ", "rightright"):
        assert not verify(wrong, found) and not verify_at_broker(wrong, found.sha512)


def test_a_damaged_or_empty_form_fits_nothing() -> None:
    assert not verify("", Hashes(argon2id="", sha512="", sha256=""))
    for damaged in ("", "x", "1$", "1$c2FsdA==", "x$c2FsdA==$a2V5", "1$c2F$a2V5", "0$c2FsdA==$a2V5"):
        assert not verify_at_broker("", damaged)
    assert hash_password("x", argon2id=False, iterations=1).argon2id == ""


def test_no_two_are_alike() -> None:
    assert len({make_password() for _ in range(100)}) == 100
    one, other = hash_password("same", iterations=1), hash_password("same", iterations=1)
    assert not {one.argon2id, one.sha512, one.sha256} & {other.argon2id, other.sha512, other.sha256}
