"""Settings: every source, in order, with errors that name the setting."""

from pathlib import Path

import pytest

from odograph.errors import Refusal
from odograph.settings import FIELDS, load_settings
from tools.settings_page import page

ROOT = Path(__file__).parents[2]


def test_a_flag_wins_over_the_environment_which_wins_over_the_file(tmp_path):
    file = tmp_path / "o.toml"
    file.write_text("port = 1001\nhost = '1.1.1.1'\nstretch_mb = 32\n")
    environment = {"ODOGRAPH_PORT": "1002", "ODOGRAPH_HOST": "2.2.2.2"}
    settings = load_settings({"port": 1003, "host": None}, config=str(file), environment=environment)
    assert (settings.port, settings.host, settings.stretch_mb) == (1003, "2.2.2.2", 32)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"ODOGRAPH_PROT": "1"}, "Did you mean 'port'"),
        ({"ODOGRAPH_PORT": "many"}, "'port' in ODOGRAPH_PORT must be a whole number"),
        ({"ODOGRAPH_PORT": "0"}, "allowed: 1 to 65535"),
        ({"ODOGRAPH_METRICS_PUBLIC": "perhaps"}, "must be true or false"),
        ({"ODOGRAPH_RETENTION_DAYS": "30"}, "31 or more"),
        ({"ODOGRAPH_TLS_CERT": "a.pem"}, "set together with tls_cert"),
        ({"ODOGRAPH_PUBLIC_URL": "fleet.example"}, "begins with http"),
        (
            {"ODOGRAPH_TRUSTED_PROXIES": "172.16.0.0/33"},
            "'trusted_proxies' is .*/33.* Allowed: addresses or networks",
        ),
        ({"ODOGRAPH_TRUSTED_PROXIES": "proxy.example"}, "'proxy.example' does not appear .*names of hosts"),
        ({"ODOGRAPH_TRUSTED_PROXIES": "127.0.0.1, *"}, r"'\*' does not appear .* or \* alone"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(environment, message):
    with pytest.raises(Refusal, match=message):
        load_settings({}, environment=environment)


@pytest.mark.parametrize(
    ("said", "networks"),
    [
        ("", []),
        (" * ", ["*"]),
        ("127.0.0.1, fd00::1,", ["127.0.0.1/32", "fd00::1/128"]),
        ("10.0.0.5/8", ["10.0.0.0/8"]),
    ],
)
def test_proxies_are_networks_however_they_are_written(said, networks):
    assert load_settings({"trusted_proxies": said}, environment={}).proxies == networks


def test_trackers_are_listened_for_where_http_is_unless_another_address_is_given():
    assert load_settings({"host": "192.0.2.1"}, environment={}).tracker_host == "192.0.2.1"
    assert load_settings({"teltonika_host": "0.0.0.0"}, environment={}).tracker_host == "0.0.0.0"


def test_an_unreadable_file_says_which():
    with pytest.raises(Refusal, match=r"/nowhere\.toml"):
        load_settings({}, config="/nowhere.toml", environment={})


def test_a_file_that_is_not_toml_says_so(tmp_path):
    file = tmp_path / "o.toml"
    file.write_text("port: 1")
    with pytest.raises(Refusal, match="not TOML"):
        load_settings({}, config=str(file), environment={})


def test_the_settings_page_says_what_the_code_says():
    assert (ROOT / "docs" / "settings.md").read_text() == page()


def test_there_are_few_enough_settings_to_have_an_opinion_about():
    assert len(FIELDS) <= 25
