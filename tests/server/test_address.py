"""Addresses: what may be used, in which spelling, and that no refusal repeats one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir.errors import UsageError
from dicom2fhir.server.address import below, check_base, check_proxy, check_token_url, is_loopback


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://host/fhir", "https://host/fhir"),
        ("https://host", "https://host"),
        ("https://host//", "https://host"),
        ("HTTPS://Host.Example:443/FHIR/R4/", "https://host.example/FHIR/R4"),
        ("https://host:8443/a%20b/", "https://host:8443/a%20b"),
        ("https://10.0.0.1/fhir", "https://10.0.0.1/fhir"),
        ("https://[2001:DB8::1]:8443/fhir", "https://[2001:db8::1]:8443/fhir"),
        ("http://localhost:80/fhir", "http://localhost/fhir"),
        ("http://LOCALHOST:8080/baseR4", "http://localhost:8080/baseR4"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.1.2.3/fhir", "http://127.1.2.3/fhir"),
        ("http://[::1]:8080/fhir", "http://[::1]:8080/fhir"),
    ],
)
def test_a_base_has_one_spelling(given: str, base: str) -> None:
    assert check_base(given) == base
    assert check_base(base) == base


@pytest.mark.parametrize(
    "url",
    [
        "http://host/fhir",
        "http://10.0.0.1/fhir",
        "http://128.0.0.1/fhir",
        "http://127.0.0.1.example/fhir",
        "http://localhost.example/fhir",
        "http://localhost./fhir",
        "http://0x7f.0.0.1/fhir",
        "http://[::ffff:10.0.0.1]/fhir",
        "http://[::]/fhir",
        "http://0.0.0.0/fhir",
    ],
)
def test_plain_http_is_for_this_machine_alone_unless_it_is_allowed(url: str) -> None:
    with pytest.raises(UsageError, match="--allow-http"):
        check_base(url)
    with pytest.raises(UsageError, match="--allow-http"):
        check_token_url(url)
    assert check_base(url, allow_http=True) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host/fhir",
        "//host/fhir",
        "/fhir",
        "ftp://host/fhir",
        "file:///fhir",
        "https:///fhir",
        "https:host/fhir",
        "https://",
        "https://host:port/fhir",
        "https://host:99999/fhir",
        "https://host:0/fhir",
        "https://[::1/fhir",
        "https://[host]/fhir",
        "https://[v1.x]/fhir",
        "https://ho st/fhir",
        "https://host/fh ir",
        "https://host/fhir\n",
        "https://ho\tst/fhir",
        "https://host\\@evil/fhir",
        "https://höst/fhir",
        "https://１２７.0.0.1/fhir",
        f"https://{'a' * 64}/fhir",
        "https://a..b/fhir",
        "https://.host/fhir",
        "https://127.1/fhir",
        "https://2130706433/fhir",
        "https://999.1.1.1/fhir",
    ],
)
def test_what_is_no_absolute_address_is_refused(url: str) -> None:
    for check in (check_base, check_token_url):
        with pytest.raises(UsageError, match="absolute"):
            check(url)
    with pytest.raises(UsageError, match="absolute"):
        check_proxy(url)


@pytest.mark.parametrize("who", ["user:planted@", "planted@", ":planted@", "@"])
def test_credentials_in_an_address_are_refused_and_not_repeated(who: str) -> None:
    for check in (check_base, check_token_url, check_proxy):
        with pytest.raises(UsageError, match="--auth") as raised:
            check(f"https://{who}host/fhir")
        assert "planted" not in str(raised.value)


@pytest.mark.parametrize("rest", ["/fhir?", "/fhir?tenant=planted", "?x", "/fhir#", "/fhir#planted"])
def test_a_base_has_neither_query_nor_fragment(rest: str) -> None:
    with pytest.raises(UsageError, match=r"[?#]") as raised:
        check_base(f"https://host{rest}")
    assert "planted" not in str(raised.value)


def test_a_token_endpoint_keeps_its_spelling_and_may_have_a_query() -> None:
    for url in ("https://host/Token/?tenant=a", "https://host/token/", "http://127.0.0.1:9/t"):
        assert check_token_url(url) == url
    with pytest.raises(UsageError, match="#"):
        check_token_url("https://host/token#a")


def test_a_proxy_is_a_host_and_a_port() -> None:
    assert check_proxy("http://Proxy:3128/") == "http://proxy:3128"
    assert check_proxy("https://proxy") == "https://proxy"
    for url in ("http://proxy/path", "http://proxy?x", "socks5://proxy:1080"):
        with pytest.raises(UsageError):
            check_proxy(url)


@pytest.mark.parametrize("path", ["", "metadata", "ImagingStudy/a.b-c", "ImagingStudy?x=%7C&y=..%2F..", "a?b=//c/../d"])
def test_what_is_below_the_base_is_put_below_it(path: str) -> None:
    assert below("https://host/fhir", path) == "https://host/fhir" + ("/" + path if path else "")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/a",
        "..",
        "../a",
        "a/..",
        "a/./b",
        "a//b",
        "a/",
        "%2e%2e/a",
        "a%2f..%2f..",
        "..\\a",
        "?a",
        "a#b",
        "a b",
        "ä",
    ],
)
def test_what_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="below"):
        below("https://host/fhir", path)


def _checked(url: str, allow_http: bool) -> tuple[str, str]:
    """The base, or the sentence that says why there is none."""
    try:
        return check_base(url, allow_http), ""
    except UsageError as refused:
        return "", str(refused)


@given(st.text(), st.booleans())
def test_no_text_gets_through_that_is_no_address(text: str, allow: bool) -> None:
    for url in (text, f"https://{text}", f"http://{text}/fhir"):
        base, sentence = _checked(url, allow)
        if base:
            host = base.split("/")[2]
            assert base.isascii()
            assert "@" not in host
            assert base.startswith("https://") or allow or is_loopback(host.partition(":")[0])
        else:
            assert len(text) < 9 or text not in sentence
