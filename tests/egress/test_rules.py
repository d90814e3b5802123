"""The table of networks: what is closed by itself, what flags change, and in which forms an address can come."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.egress.rules import Egress, forms, parse


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.170.2", "169.254.42.42", "100.100.100.200", "168.63.129.16", "192.0.0.192",
        "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "fe80::1", "fe80::1%eth0",
        "0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1", "255.255.255.255",
        "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "::169.254.169.254",
    ],
)  # fmt: skip
def test_what_gives_credentials_or_is_no_server_is_closed_by_itself(address: str) -> None:
    assert Egress().closing(address) is not None


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1", "240.1.2.3", "fd12::1", "2001:db8::1", "1.1.1.1", "127.0.0.1", "::1"],
)
def test_private_networks_are_open_by_themselves_as_prometheus_is_there(address: str) -> None:
    assert Egress().closing(address) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
def test_loopback_is_closed_where_it_is_the_controllers_own_pod(address: str) -> None:
    closing = parse(loopback=False).closing(address)
    assert closing is not None
    assert "the controller's own pod" in str(closing)
    assert parse(loopback=True).closing(address) is None


def test_the_most_specific_network_decides_and_closed_wins_a_tie() -> None:
    egress = parse(allow="10.1.0.0/16, 169.254.169.254,10.3.0.0/16", deny="10.0.0.0/8,10.1.2.3,10.3.0.0/16")
    closed = {address: str(egress.closing(address) or "open") for address in ("10.2.0.1", "10.1.0.1", "10.1.2.3", "10.3.0.1")}
    assert closed == {
        "10.2.0.1": "10.0.0.0/8 (-egress-deny)",
        "10.1.0.1": "open",
        "10.1.2.3": "10.1.2.3/32 (-egress-deny)",
        "10.3.0.1": "10.3.0.0/16 (-egress-deny)",
    }
    assert egress.closing("169.254.169.254") is None
    assert str(egress.closing("169.254.169.253")) == "169.254.0.0/16 (link-local: metadata of the cloud; built in)"


def test_a_list_of_what_is_open_is_made_by_closing_all() -> None:
    egress = parse(allow="10.0.0.0/8,fd12::/16", deny="0.0.0.0/0,::/0")
    assert [egress.closing(address) is None for address in ("10.1.1.1", "fd12::1", "1.1.1.1", "2001:db8::1")] == [True, True, False, False]


def test_opening_everything_does_not_open_what_gives_credentials() -> None:
    assert parse(allow="0.0.0.0/0,::/0").closing("169.254.169.254") is not None


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"deny": "10.0.0.0/33"}, "-egress-deny: 10.0.0.0/33 is no network"),
        ({"allow": "prometheus"}, "-egress-allow: prometheus is no network"),
        ({"deny": "10.0.0.1/8"}, "-egress-deny: 10.0.0.1/8 is no network"),
        ({"schemes": "ftp"}, "-egress-schemes=ftp: should be http, https or both"),
        ({"schemes": " ,"}, "should be http, https or both"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence(flags: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse(flags.get("allow", ""), flags.get("deny", ""), flags.get("schemes", "http"))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_the_same_in_every_form_in_which_ipv6_can_carry_it(address: ipaddress.IPv4Address) -> None:
    egress = parse(deny="10.0.0.0/8,200.0.0.0/7")
    number = int(address)
    carried = [f"::ffff:{address}", f"64:ff9b::{address}", str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80)))]
    closed = egress.closing(str(address)) is not None
    assert [egress.closing(form) is not None for form in carried] == [closed] * 3


@given(st.ip_addresses())
def test_no_address_is_without_a_form(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert list(forms(address))
