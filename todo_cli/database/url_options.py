"""The rule for each of libpq's parameters in a database URL: made safe, allowed, or refused.

A test compares these lists with libpq's own, so that a new parameter is noticed.
"""

from __future__ import annotations

from collections.abc import Mapping

from todo_cli.errors import InvalidInput

WHERE = ("host", "hostaddr", "port", "dbname", "user")
"""These decide which database it is. libpq gets them all, so that it uses no other source."""

MADE_SAFE = {
    "sslmode": "at least `require` for another machine",
    "sslrootcert": "`system` means verify-full, with certifi's roots",
    "ssl_min_protocol_version": "at least TLS 1.2 for another machine",
    "ssl_max_protocol_version": "at least TLS 1.2 for another machine",
    "require_auth": "SCRAM for another machine, unless the URL says otherwise",
    "gssencmode": "off for another machine: with it there is no TLS",
    "sslsni": "on for another machine: Neon finds the endpoint by it",
    "hostaddr": "from the URL alone, where that names the host",
    "options": "a Neon endpoint in it is a part of the database's name",
    "password": "never shown, never in a command line",
    "sslpassword": "never shown, never in a command line",
}
"""Parameters that could lower TLS, give a password away, or confuse two databases."""

TAKEN = frozenset(
    {
        *("host", "port", "dbname", "user", "passfile"),
        *("connect_timeout", "client_encoding", "application_name", "fallback_application_name"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
        *("tcp_user_timeout", "min_protocol_version", "max_protocol_version"),
        # All hosts that the URL lists are taken for the same database.
        *("target_session_attrs", "load_balance_hosts"),
        # Stricter rules, or the client's identity: none of them weakens TLS.
        *("channel_binding", "sslnegotiation", "sslcert", "sslkey", "sslcertmode"),
        *("sslcrl", "sslcrldir", "requirepeer", "krbsrvname", "gsslib", "gssdelegation"),
        "sslcompression",  # libpq 14 and newer ignore it
    }
)

REFUSED = {
    "service": "Write host, database and sslmode into the URL itself.",
    "servicefile": "Write host, database and sslmode into the URL itself.",
    "replication": "Leave it out: todo does not replicate.",
    "sslkeylogfile": "Leave it out: whoever reads that file can read the connection.",
    "scram_client_key": "Give the password itself.",
    "scram_server_key": "Give the password itself.",
    **dict.fromkeys(
        ("oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope"),
        "Leave it out: todo logs in by password or by certificate.",
    ),
}
"""Parameters that a URL may not have, and what to do instead."""

STANDARD_AUTHENTICATION = "scram-sha-256"
"""The server proves that it knows the password, but does not receive it."""

ANY_AUTHENTICATION = "none,password,md5,scram-sha-256,gss,sspi"
"""For this machine. All methods are named, since libpq accepts no method for an empty text."""

_OUTDATED_TLS = ("TLSv1", "TLSv1.1")


def check(given: Mapping[str, str], source: str) -> None:
    """Check that a URL has no parameter that is refused.

    Raises:
        InvalidInput: it has one; the message begins with `source`.
    """
    for name in given:
        if name in REFUSED:
            raise InvalidInput(
                f"{source} has the option {name!r}, which todo does not take.", hint=REFUSED[name]
            )


def safeguards(
    given: Mapping[str, str], effective: Mapping[str, str], sslmode: str, *, is_local: bool
) -> dict[str, str]:
    """The parameters that replace those of the URL and the environment, for libpq.

    `given` are the parameters of the URL, `effective` those with the environment's added.
    """
    if is_local:
        return {"require_auth": given.get("require_auth") or ANY_AUTHENTICATION}
    safe = {"gssencmode": "disable", "sslsni": "1"}
    safe["require_auth"] = given.get("require_auth") or _authentication(effective, sslmode)
    for bound in ("ssl_min_protocol_version", "ssl_max_protocol_version"):
        value = effective.get(bound)
        if value in _OUTDATED_TLS or (value == "" and "min" in bound):
            safe[bound] = "TLSv1.2"
    return safe


def _authentication(effective: Mapping[str, str], sslmode: str) -> str:
    """The authentication methods that a server may ask for, if the URL does not say.

    A server whose certificate is verified may accept a client's certificate instead of a password.
    """
    if effective.get("sslcert") and sslmode == "verify-full":
        return f"{STANDARD_AUTHENTICATION},none"
    return STANDARD_AUTHENTICATION
