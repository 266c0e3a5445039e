"""Which database: a URL, where it came from, how libpq is to take it, what may be shown of it.

A URL may hold a password, so no message here quotes it, or any part that a slip in quoting could
have made of a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from todo_cli.database import url_options
from todo_cli.errors import InvalidInput

SCHEMES = ("postgres", "postgresql")
URL_VARIABLES = ("TODO_DATABASE_URL", "DATABASE_URL")
UNPOOLED_URL_VARIABLES = ("TODO_DATABASE_URL_UNPOOLED", "DATABASE_URL_UNPOOLED")
EMBEDDED = "embedded"
KEPT = "login"
"""The source of a URL that `todo login --database-url` kept."""
NEON_DOMAIN = ".neon.tech"
DEFAULT_PORT = "5432"
POOLER_SUFFIX = "-pooler"
DIRECT_TLS_LIBPQ = 170_000
"""libpq 17 brought `sslnegotiation=direct`."""

SILENCE_BEFORE_GIVING_UP_SECONDS = 10
"""For TCP: how long sent data may stay unacknowledged before a connection counts as dead."""

_URL_HINT = "A database URL looks like postgresql://user:password@host/database"
_SPACE_HINT = (
    "Write a space as %20, a line break as %0A; copy the URL again if there is none in it."
)
_QUOTING_HINT = "In a user name or password write @ as %40, / as %2F, ? as %3F, # as %23, % as %25"
_WEAK_SSLMODES = ("disable", "allow", "prefer")
_SSLMODES = (*_WEAK_SSLMODES, "require", "verify-ca", "verify-full")
_CHECKED_SSLMODES = ("verify-ca", "verify-full")
_ENDPOINT = re.compile(r"(?:endpoint|project)=([^\s\\]+)")
_OPTION_NAME = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True)
class Target:
    """One database. `source` says where the URL came from: an option, a variable, the keyring."""

    url: str
    source: str

    @property
    def is_embedded(self) -> bool:
        return self.source == EMBEDDED

    @property
    def label(self) -> str:
        """Host and database, fit for showing: never a user's password."""
        if self.is_embedded:
            return "the embedded database"
        server = _server_of(self.url)
        where = "the local socket" if _is_socket(server) else _host_of(server)
        return f"{where}/{_database_of(server)}"

    @property
    def name(self) -> str:
        """What the database's session is kept under: the same for every user and option of a URL.

        It is where libpq connects to, so that a token is never sent to another server. A session
        is the database's, so Neon's pooled and direct host share it.
        """
        if self.is_embedded:
            return EMBEDDED
        server = _server_of(direct_url(self.url))
        host = f"{_host_of(server, quote=True)}{_endpoint_of(server)}"
        return f"{host}:{server.get('port') or DEFAULT_PORT}/{_quoted(_database_of(server), '%/')}"


def chosen_url(flag: str | None, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The URL that was asked for and its source, or None: flag, then environment.

    Raises:
        InvalidInput: the URL cannot be one of PostgreSQL.
    """
    return _first_url(flag, environ, URL_VARIABLES)


def chosen_direct_url(flag: str | None, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The same for administration, which needs Neon's direct host: flag, then environment.

    The variables for unpooled URLs go before the others. What is found may still be a pooled host:
    `direct_url` mends that.

    Raises:
        InvalidInput: the URL cannot be one of PostgreSQL.
    """
    return _first_url(flag, environ, UNPOOLED_URL_VARIABLES + URL_VARIABLES)


def checked_url(url: str, source: str) -> str:
    """The URL itself, if libpq can make something of it.

    Raises:
        InvalidInput: scheme, host, port or an option cannot be; the message never holds the URL,
            which may hold a password.
    """
    _check_form(url, source)
    connection_parameters(url, source)
    return url


def pooled_url(url: str) -> str:
    """The same database through Neon's pooler, which people's commands use; else the URL itself.

    An `options` parameter is refused by the pooler, and `hostaddr` pins one host's address: such a
    URL stays as it is.
    """
    host = _swappable_neon_host(url)
    if host is None or host.partition(".")[0].endswith(POOLER_SUFFIX):
        return url
    name, _, domain = host.partition(".")
    return _with_host(url, f"{name}{POOLER_SUFFIX}.{domain}")


def direct_url(url: str) -> str:
    """The same database on Neon's direct host, which administration needs; else the URL itself."""
    host = _swappable_neon_host(url)
    if host is None or not host.partition(".")[0].endswith(POOLER_SUFFIX):
        return url
    name, _, domain = host.partition(".")
    return _with_host(url, f"{name.removesuffix(POOLER_SUFFIX)}.{domain}")


def connection_parameters(url: str, source: str = "The database URL") -> dict[str, str]:
    """What libpq is given for a URL: its own words, made safe and quick where they leave it open.

    - `sslmode` is `require` at least for a host that is not this machine, and such a host is told
      no password that it does not know; `url_options` has all of this kind.
    - Where libpq connects to is decided here, from the URL and then the PG* variables.
    - A check of the certificate uses certifi's roots, unless the URL or `~/.postgresql` has some:
      whether `sslrootcert=system` finds any depends on how libpq was built.
    - Neon's hosts take TLS without asking for it first, which saves a round trip.
    - A connection that went silent is noticed by TCP, not after hours.

    Raises:
        InvalidInput: an option is unknown or has an impossible value; the message begins with
            `source` and does not hold the URL.
    """
    parameters = _parsed(url, source)
    url_options.check(parameters, source)
    effective = _effective(parameters)
    is_local = _is_local(effective)
    sslmode = effective.get("sslmode", "prefer")
    if effective.get("sslrootcert") == "system":
        sslmode = "verify-full"
    if not is_local and sslmode in _WEAK_SSLMODES:
        sslmode = "require"
    _check_values(sslmode, effective, source)
    safe = url_options.safeguards(parameters, effective, sslmode, is_local=is_local)
    parameters |= {name: effective.get(name, "") for name in url_options.WHERE}
    parameters |= {**safe, "sslmode": sslmode}
    if sslmode in _CHECKED_SSLMODES and _has_no_roots(effective):
        parameters["sslrootcert"] = _certifi_roots()
    if _is_neon(effective.get("host", "")):
        parameters = {**_neon_defaults(), **parameters}
    return {**_tcp_defaults(), "application_name": "todo", **parameters}


def _first_url(
    flag: str | None, environ: Mapping[str, str], variables: tuple[str, ...]
) -> tuple[str, str] | None:
    if flag is not None:
        return checked_url(flag, "--database-url"), "--database-url"
    for variable in variables:
        if url := environ.get(variable):
            return checked_url(url, variable), variable
    return None


def _check_form(url: str, source: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidInput(f"{source} is not a URL: its host cannot be.", hint=_URL_HINT) from None
    if parts.scheme not in SCHEMES:
        scheme = f"the scheme {parts.scheme!r}" if "://" in url else "no scheme"
        raise InvalidInput(f"{source} has {scheme}; only postgresql:// is taken.", hint=_URL_HINT)
    if "#" in url or _is_badly_quoted(parts):
        raise InvalidInput(
            f"{source} has a special character that is not quoted.", hint=_QUOTING_HINT
        )
    if any(character.isspace() or not character.isprintable() for character in url):
        raise InvalidInput(f"{source} has a space or a control character.", hint=_SPACE_HINT)
    if not _has_possible_port(parts):
        raise InvalidInput(f"{source} has an impossible port.", hint=_URL_HINT)


def _has_possible_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _is_badly_quoted(parts: SplitResult) -> bool:
    """Whether an @ or # stands where none can: a part of a password would be taken for a host, or
    shown. libpq knows no fragment, and takes a # for a part of what is before it."""
    return parts.netloc.count("@") > 1 or "@" in parts.path + parts.query + parts.fragment


def _parsed(url: str, source: str) -> dict[str, str]:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        return {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except psycopg.ProgrammingError as error:
        complaint = _complaint(url, error)
    raise InvalidInput(f"{source} {complaint}", hint=_QUOTING_HINT)


def _complaint(url: str, error: Exception) -> str:
    """libpq's complaint without the words that it quotes, but for the name of an option."""
    if "percent-encoded" in str(error):
        return "has a % that is not followed by two hexadecimal digits."
    options = [word.partition("=")[0] for word in urlsplit(url).query.split("&")]
    unknown = [name for name in options if name not in _libpq_options()]
    if unknown and _OPTION_NAME.fullmatch(unknown[0]):
        return f"has the unknown option {unknown[0]!r}."
    return "cannot be read: an option is unknown or has no value."


def _check_values(sslmode: str, effective: Mapping[str, str], source: str) -> None:
    if sslmode not in _SSLMODES:
        raise InvalidInput(
            f"{source} has an impossible sslmode.", hint=f"It is one of: {', '.join(_SSLMODES)}"
        )
    timeout = effective.get("connect_timeout")
    if timeout and not timeout.isdecimal():
        raise InvalidInput(f"{source} has a connect_timeout that is not a number of seconds.")
    without_tls = sslmode == "disable" or _is_socket(effective)
    if effective.get("channel_binding") == "require" and without_tls:
        raise InvalidInput(
            f"{source} has channel_binding=require, but no TLS to bind to.",
            hint="Add sslmode=require, or leave channel_binding out.",
        )
    if effective.get("sslnegotiation") == "direct" and sslmode in _WEAK_SSLMODES:
        raise InvalidInput(
            f"{source} has sslnegotiation=direct without an sslmode of at least require.",
            hint="Add sslmode=require, or leave sslnegotiation out.",
        )


def _libpq_defaults() -> dict[str, str]:
    """What libpq itself would fill in, from the PG* variables that it reads and its own values."""
    from psycopg import pq

    return {
        option.keyword.decode(): option.val.decode()
        for option in pq.Conninfo.get_defaults()
        if option.val is not None
    }


def secret_options() -> set[str]:
    """The parameters whose values libpq hides, or that stand in place of a password."""
    from psycopg import pq

    hidden = {each.keyword.decode() for each in pq.Conninfo.get_defaults() if each.dispchar == b"*"}
    return hidden | {"scram_client_key", "scram_server_key"}


def _libpq_options() -> set[str]:
    from psycopg import pq

    # `ssl=true` is how JDBC says it; libpq takes it too.
    return {option.keyword.decode() for option in pq.Conninfo.get_defaults()} | {"ssl"}


def _tcp_defaults() -> dict[str, str]:
    seconds = SILENCE_BEFORE_GIVING_UP_SECONDS
    return {
        "tcp_user_timeout": str(seconds * 1000),
        "keepalives_idle": str(seconds),
        "keepalives_interval": "3",
        "keepalives_count": "3",
    }


def _neon_defaults() -> dict[str, str]:
    from psycopg import pq

    # Neon speaks no GSSAPI; asking costs a round trip where there is a Kerberos ticket.
    defaults = {"gssencmode": "disable"}
    if pq.version() >= DIRECT_TLS_LIBPQ:
        defaults["sslnegotiation"] = "direct"
    return defaults


def _certifi_roots() -> str:
    import certifi

    return certifi.where()


def _has_no_roots(effective: Mapping[str, str]) -> bool:
    given = effective.get("sslrootcert")
    if given == "system":
        return True
    # Where libpq looks by itself: the certificates of a private authority, say.
    return not given and not Path("~/.postgresql/root.crt").expanduser().exists()


def _is_socket(parameters: Mapping[str, str]) -> bool:
    host = parameters.get("host", "")
    return not parameters.get("hostaddr") and (not host or host.startswith(("/", "@")))


def _server_of(url: str) -> dict[str, str]:
    """Where libpq connects to: the URL's own words, in its query too, and the PG* variables."""
    return _effective(_parsed(url, "The database URL"))


def _effective(given: Mapping[str, str]) -> dict[str, str]:
    """A URL's parameters, and what libpq adds: from PGSERVICE, the other PG* variables, itself.

    PGHOSTADDR and PGPORT are not added to a host that the URL names: they are another host's.
    """
    own_address = {"hostaddr": "", "port": DEFAULT_PORT} if given.get("host") else {}
    return {**_libpq_defaults(), **own_address, **given}


def _host_of(server: Mapping[str, str], *, quote: bool = False) -> str:
    """The name, with the address where the URL pins one."""
    pinned = [server[name].lower() for name in ("host", "hostaddr") if server.get(name)]
    return "@".join(_quoted(each, "%@()") if quote else each for each in pinned) or "localhost"


def _endpoint_of(server: Mapping[str, str]) -> str:
    """Neon's endpoint, where `options` name it: for a host that stands for several."""
    found = _ENDPOINT.findall(server.get("options") or "")
    return f"({_quoted(' '.join(found), '%@()')})" if found else ""


def _quoted(text: str, separators: str) -> str:
    """The text without the characters that separate the parts of a database's name."""
    return "".join(f"%{ord(each):02X}" if each in separators else each for each in text)


def _database_of(server: Mapping[str, str]) -> str:
    return server.get("dbname") or server.get("user", "")


def _is_local(parameters: Mapping[str, str]) -> bool:
    """Whether nothing leaves this machine, by all the names and addresses that are given."""
    if _is_socket(parameters):
        return True
    given = [parameters[name] for name in ("host", "hostaddr") if parameters.get(name)]
    return all(_is_this_machine(name) for names in given for name in names.split(","))


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_neon(url: str) -> bool:
    """Whether the URL leads to a host of Neon's."""
    return _is_neon(_server_of(url).get("host", ""))


def is_socket(url: str) -> bool:
    """Whether libpq goes by a socket of this machine's file system: there is no TLS on it."""
    return _is_socket(_server_of(url))


def _is_neon(host: str) -> bool:
    return host.lower().endswith(NEON_DOMAIN)


def _swappable_neon_host(url: str) -> str | None:
    """The host, if it is an endpoint of Neon's and the URL leaves its address and options open."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    options = {unquote(word.partition("=")[0]) for word in parts.query.split("&")}
    if (
        not _is_neon(host)
        or not host.startswith("ep-")
        or options & {"options", "host", "hostaddr"}
    ):
        return None
    return host


def _with_host(url: str, host: str) -> str:
    parts = urlsplit(url)
    user, at, address = parts.netloc.rpartition("@")
    _, colon, port = address.partition(":")
    return parts._replace(netloc=f"{user}{at}{host}{colon}{port}").geturl()
