"""The keys of links: long, one of a kind, and made of nothing that the database holds."""

from __future__ import annotations

import re

from odograph.model.ids import OrgId
from odograph.sharing.keys import KEY_LENGTH, asset_key, key_hash, link_key, link_url, stop_key

SERVER = b"s" * 32
ID = "a1b2c3d4e5f6g7h8i9j0"


def test_a_key_has_24_characters_of_base_62_and_is_the_same_whenever_it_is_asked_for() -> None:
    key = link_key(SERVER, ID, 0)
    assert re.fullmatch(r"[0-9A-Za-z]{24}", key)
    assert key == link_key(SERVER, ID, 0)
    assert KEY_LENGTH >= 22


def test_every_character_of_the_alphabet_comes_up_as_often_as_any() -> None:
    text = "".join(link_key(SERVER, ID, rotation) for rotation in range(2000))
    counts = [text.count(char) for char in sorted(set(text))]
    assert len(counts) == 62
    expected = len(text) / 62
    assert sum((count - expected) ** 2 / expected for count in counts) < 110, "chi-square of 61 at 0.0001"


def test_no_two_links_rotations_servers_or_kinds_share_a_key() -> None:
    keys = [link_key(SERVER, f"{ID}{number}", rotation) for number in range(100) for rotation in range(100)]
    keys += [link_key(b"t" * 32, f"{ID}{number}", 0) for number in range(100)]
    keys += [stop_key(SERVER, OrgId(org), stop) for org in range(100) for stop in range(100)]
    assert len(set(keys)) == len(keys)


def test_a_rotation_and_an_id_that_ends_in_digits_are_not_mixed_up() -> None:
    assert link_key(SERVER, "a1", 1) != link_key(SERVER, "a", 11)


def test_one_asset_has_another_name_in_every_link() -> None:
    names = {asset_key(SERVER, share, asset) for share in ("a", "b", "c") for asset in range(500)}
    assert len(names) == 1500
    assert {len(name) for name in names} == {12}


def test_any_text_has_a_hash_to_look_it_up_by() -> None:
    for text in ("", "\udcff", "é" * 10_000, link_key(SERVER, ID, 0)):
        assert len(key_hash(text)) == 32


def test_a_url_names_the_org_and_a_key_that_is_not_the_links_id() -> None:
    key = link_key(SERVER, ID, 0)
    assert (
        link_url("https://fleet.example", OrgId(7), key) == f"https://fleet.example/o/7/fleet/viewer/address/{key}"
    )
    assert ID not in key
