"""A journal on Redis is named by its server, or by those who know it; what is secret in the name is not shown."""

import pytest

from eventbus.core.redis_url import FORMS, RedisUrl, Topology, is_redis, parse

SERVER = RedisUrl(Topology.SERVER, tls=False, hosts=(("h", 6379),), redacted="redis://h")


@pytest.mark.parametrize(
    ("url", "hosts", "database"),
    [
        ("redis://h", (("h", 6379),), 0),
        ("redis://h/", (("h", 6379),), 0),
        ("redis://10.0.0.7:6380/2", (("10.0.0.7", 6380),), 2),
        ("redis://[::1]:6380/15", (("::1", 6380),), 15),
        ("redis://redis_1.internal", (("redis_1.internal", 6379),), 0),
    ],
)
def test_a_server_is_named_with_its_port_and_its_database(
    url: str, hosts: tuple[tuple[str, int], ...], database: int
) -> None:
    """A name, an IPv4 or an IPv6 address, a port, and a number, which are 6379 and 0 where they are left out."""
    found = parse(url)
    assert (found.topology, found.tls, found.hosts, found.database) == (Topology.SERVER, False, hosts, database)


def test_sentinels_are_named_with_what_they_watch() -> None:
    """Any number of Sentinels, on their own usual port, then the service, and the database on its servers."""
    found = parse("redis+sentinel://a,b:7,[::1]/main/3")
    assert (found.topology, found.hosts) == (Topology.SENTINEL, (("a", 26379), ("b", 7), ("::1", 26379)))
    assert (found.service, found.database) == ("main", 3)
    assert parse("redis+sentinel://a/main").database == 0


def test_a_cluster_is_named_by_some_of_its_servers() -> None:
    """Any number of servers of a cluster, which has one database."""
    found = parse("redis+cluster://a,b:7/")
    assert (found.topology, found.hosts, found.database) == (Topology.CLUSTER, (("a", 6379), ("b", 7)), 0)


@pytest.mark.parametrize("url", ["rediss://h", "rediss+sentinel://h/main", "rediss+cluster://h"])
def test_a_second_s_means_tls_whose_options_follow(url: str) -> None:
    """``rediss`` speaks TLS, with the options that are named after a question mark."""
    found = parse(f"{url}?ssl_ca_certs=%2Fca.pem&ssl_check_hostname=no")
    assert found.tls
    assert found.tls_options == (("ssl_ca_certs", "/ca.pem"), ("ssl_check_hostname", "no"))
    assert found.redacted == url


@pytest.mark.parametrize(
    ("account", "username", "password"),
    [("", None, None), (":hush@", None, "hush"), ("me:hu%40sh@", "me", "hu@sh"), ("me:a@b@", "me", "a@b")],
)
def test_an_account_is_decoded_and_not_shown(account: str, username: str | None, password: str | None) -> None:
    """User and password are taken from before the last @, and stand in nothing that people are shown."""
    found = parse(f"redis://{account}h")
    assert (found.username, found.password) == (username, password)
    assert found.redacted == "redis://h"
    assert "hu" not in repr(found)
    assert repr(found) == repr(SERVER)


@pytest.mark.parametrize(
    "url",
    [
        *("redis://", "redis:///0", "redis://:hush@", "redis://a,b", "redis://h:0", "redis://h:99999", "redis://h:x"),
        *("redis://h/x", "redis://h/1/2", "redis://h/-1", "redis://h/123456", "redis://h#hush", "redis://[::1"),
        *("redis://h?db=1", "redis://h?ssl_ca_certs=/ca.pem", "rediss://h?hush", "rediss://h?password=hush"),
        *("redis+sentinel://a", "redis+sentinel://a/", "redis+sentinel://a,/main", "redis+sentinel://a/ma%20in"),
        *("redis+sentinel://a/main/x", "redis+sentinel://a/main/1/2", "redis+cluster://a/1", "redis+cluster://"),
        *("valkey://h", "redis+other://h", "sqlite:///h", "h", "", "redis://h h"),
    ],
)
def test_what_names_no_server_is_refused_without_being_repeated(url: str) -> None:
    """A URL that is broken, or says what would not be heeded, is refused; no part of it is in the error."""
    with pytest.raises(ValueError, match=r"\A[^/]*\Z") as refused:
        parse(url)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_that_people_are_told_is_one(form: str) -> None:
    """The forms that an error names are taken, with what is in brackets and without."""
    plain = form
    for optional in ("[USER:PASSWORD@]", "[,HOST[:PORT]...]", "[:PORT]", "[/NUMBER]"):
        plain = plain.replace(optional, "")
    full = form.replace("[,HOST[:PORT]...]", ",HOST:2").replace("PORT", "1").replace("NUMBER", "3")
    for url in (plain, full.replace("[", "").replace("]", "")):
        assert is_redis(url)
        assert parse(url).hosts[0][0] == "HOST"


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        *(("redis://h", True), ("rediss+sentinel://x", True), ("redis+cluster://", True), ("redis", False)),
        *(("redis:h", False), ("sqlite:///redis://h", False), ("postgres://h", False), ("", False)),
    ],
)
def test_whether_a_url_names_redis_is_told_by_its_scheme(url: str, is_one: bool) -> None:
    """The scheme alone tells, so that one that is broken behind it is called a broken Redis URL."""
    assert is_redis(url) is is_one
