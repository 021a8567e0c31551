"""Keys by epochs: which one writes a record's tokens, how long older tokens can be linked, and what a store keeps of them."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta
from hashlib import new

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmsec.classify.epochs import Epoch, Keyring
from xmsec.classify.token import HASHES, Hash, check_value, computable, fingerprint, identity, token, tokener
from xmsec.model.errors import ConfigError
from xmsec.store.claim import agrees

DAY = timedelta(days=1)
TURN = datetime(2026, 12, 1, 16, tzinfo=UTC)  # midnight in Xiamen
KEYS = (b"a" * 32, b"b" * 32, b"c" * 32)
OLD, NEW = Epoch.of(KEYS[0]), Epoch.of(KEYS[1], "hmac-sm3", 2, TURN, 30 * DAY)
BOTH = Keyring([OLD, NEW])
MOBILE = ("CN_MOBILE", "13959200001")

# GB/T 32905-2016 appendix A (and its English, ISO/IEC 10118-3:2018): the examples of the standard
SM3 = (
    ("abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
    ("abcd" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),
)
# GM/T 0042-2015 appendix D.3, as OpenSSL's test/recipes/30-test_evp_data/evpmac_sm3.txt quotes it
LETTERS = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq" * 2
HMAC_SM3 = (
    (bytes(range(1, 33)), LETTERS, "ca05e144ed05d1857840d1f318a4a8669e559fc8391f414485bfdf7bb408963a"),
    (bytes(range(1, 38)), b"\xcd" * 50, "220bf579ded555393f0159f66c99877822a3ecf610d1552154b41d44b94db3ae"),
    (b"\x0b" * 32, b"Hi There", "c0ba18c68b90c88bc07de794bfc7d2c8d19ec31ed8773bc2b390c9604e0be11e"),
    (b"Jefe Jeferson Jr", b"what do ya want for nothing?", "ce791a34c59adef472997a249600f3f244d59e875be04055ba2ae12fc845e78c"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "digest"), SM3)
def test_sm3_is_that_of_the_standard(text: str, digest: str) -> None:
    assert new("sm3", text.encode()).hexdigest() == digest


@pytest.mark.parametrize(("key", "message", "mac"), HMAC_SM3)
def test_hmac_sm3_is_that_of_the_standard(key: bytes, message: bytes, mac: str) -> None:
    assert hmac.digest(key, message, "sm3").hex() == mac


@pytest.mark.parametrize("how", HASHES)
def test_a_token_is_the_keyed_hash_over_type_and_canonical_form(how: Hash) -> None:
    assert computable(how)
    mac = hmac.new(KEYS[0], b"CN_MOBILE\x0013959200001", how.removeprefix("hmac-")).hexdigest()
    assert fingerprint(KEYS[0], *MOBILE, how) == mac[:16]
    assert token(KEYS[0], *MOBILE, how) == tokener(KEYS[0], how)(*MOBILE) == f"⟨CN_MOBILE:{mac[:16]}⟩"


def test_the_hash_is_part_of_the_check_value() -> None:
    assert check_value(KEYS[0]) != check_value(KEYS[0], "hmac-sm3").removeprefix("sm3:")
    assert check_value(KEYS[0], "hmac-sm3").startswith("sm3:")
    assert identity(KEYS[0], "x") != identity(KEYS[0], "x", "hmac-sm3")


@pytest.mark.parametrize(
    ("time", "received", "number", "links"),
    [
        (-DAY, -DAY, 1, False),
        (DAY, DAY, 2, True),
        (DAY, -DAY, 2, True),
        (-DAY, DAY, 1, False),
        (timedelta(), 30 * DAY - timedelta(microseconds=1), 2, True),
        (31 * DAY, 31 * DAY, 2, False),
        (-DAY, 30 * DAY, 2, False),
    ],
    ids=[
        "before",
        "after",
        "a clock that is ahead",
        "late",
        "just within the while",
        "after the while",
        "so late that the while is over",
    ],
)
def test_a_record_s_own_time_says_its_epoch(time: timedelta, received: timedelta, number: int, links: bool) -> None:
    pen = BOTH.pen(TURN + time, TURN + received)
    assert (pen.epoch.number, pen.link is not None) == (number, links)
    assert pen.token(*MOBILE) == token(KEYS[number - 1], *MOBILE, HASHES[number - 1])


def test_a_link_says_the_earlier_token_until_the_while_is_over_and_only_to_who_has_its_key() -> None:
    pen = BOTH.pen(TURN, TURN)
    assert pen.link is not None
    later, link, end = pen.token(*MOBILE), pen.link(*MOBILE), TURN + 30 * DAY
    assert BOTH.former(later, link, end - timedelta(seconds=1)) == token(KEYS[0], *MOBILE)
    assert BOTH.former(later, link, end) is None
    assert token(KEYS[0], *MOBILE)[-17:-1] not in link
    retired = Keyring([msgspec.structs.replace(OLD, key=None), NEW])
    assert retired.former(later, link, TURN) is None
    assert retired.pen(TURN - DAY, TURN).epoch.number == 2
    guessed = Keyring([Epoch.of(KEYS[2]), NEW])
    assert guessed.former(later, link, TURN) != token(KEYS[0], *MOBILE)


@pytest.mark.parametrize("link", ["", "1:", "1:xyz", "9:0000000000000000", "2:0000000000000000", "⟨"])
def test_what_is_no_link_opens_to_nothing(link: str) -> None:
    assert BOTH.former(token(KEYS[1], *MOBILE, "hmac-sm3"), link, TURN) is None


def test_without_a_while_nothing_is_linked_and_the_earlier_key_writes_no_more() -> None:
    sharp = Keyring([OLD, Epoch.of(KEYS[1], number=2, start=TURN)])
    assert sharp.pen(TURN, TURN).link is None
    assert sharp.pen(TURN - DAY, TURN).epoch.number == 2
    assert sharp.pen(TURN + DAY, TURN - DAY).link is None


def test_a_short_while_after_a_second_rotation_ends_the_first_ones_too() -> None:
    three = Keyring(
        [OLD, Epoch.of(KEYS[1], number=2, start=TURN, link=90 * DAY), Epoch.of(KEYS[2], number=3, start=TURN + DAY)]
    )
    assert three.pen(TURN - DAY, TURN).epoch.number == 1
    assert three.pen(TURN - DAY, TURN + DAY).epoch.number == 3
    assert three.marks(TURN) == KEYS[0]
    assert three.marks(TURN + DAY) == KEYS[2]


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 90)), max_size=4), st.integers(-9, 300), st.integers(-9, 300))
def test_every_record_has_one_pen_and_an_earlier_time_never_a_later_epoch(
    turns: list[tuple[int, int]], time: int, received: int
) -> None:
    epochs, start = [OLD], TURN
    for number, (apart, link) in enumerate(turns, 2):
        start += apart * DAY
        epochs.append(Epoch.of(bytes([number]) * 32, number=number, start=start, link=link * DAY))
    keyring = Keyring(epochs)
    came = TURN + received * DAY
    pen, earlier = keyring.pen(TURN + time * DAY, came), keyring.pen(TURN + (time - 1) * DAY, came)
    assert earlier.epoch.number <= pen.epoch.number
    assert keyring.ends[pen.epoch.number - 1] > came
    if pen.link is not None:
        opened = keyring.former(pen.token(*MOBILE), pen.link(*MOBILE), came)
        assert opened == token(epochs[pen.epoch.number - 2].key or b"", *MOBILE)


def test_nothing_that_is_printed_holds_a_key() -> None:
    shown = repr((OLD, BOTH, BOTH.pen(TURN, TURN), BOTH.epochs))
    assert not any(form in shown for key in KEYS for form in (key.hex(), key.decode(), repr(key)))


A, B, C, S = "a" * 16, "b" * 16, "c" * 16, "sm3:" + "a" * 16


@pytest.mark.parametrize(
    ("kept", "given", "said"),
    [
        (A, A, True),
        (A, f"{A}+{B}", False),
        (f"{A}+{B}", f"{A}+{B}", True),
        (A, B, f"made with another key (check value {A}, this key's is {B}); HERE; use its key file, or another home"),
        (f"{A}+{B}", A, f"made under epoch 2 (check value {B}); the key file here ends with epoch 1; HERE; bring the key file"),
        (f"{A}+{B}", f"{A}+{C}", f"made with another key (check value {B}, this key's is {C})"),
        (A, S, f"made under HMAC-SHA-256 (check value {A}), this key's hash is HMAC-SM3 ({S}); HERE; set XMSEC_TOKEN_HASH"),
        (S, A, f"made under HMAC-SM3 (check value {S}), this key's hash is HMAC-SHA-256 ({A})"),
        ("", A, "made with another key"),
    ],
    ids=["same", "newer", "both", "another", "older", "forked", "sm3 now", "sm3 then", "damaged"],
)  # fmt: skip
def test_what_is_kept_of_keys_tells_whose_tokens_they_are(kept: str, given: str, said: bool | str) -> None:
    if isinstance(said, bool):
        assert agrees(kept, given, "HERE") is said
    else:
        with pytest.raises(ConfigError) as refused:
            agrees(kept, given, "HERE")
        assert str(refused.value).startswith(said)
