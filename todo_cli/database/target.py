"""The target database: its URL, the URL's source, libpq's parameters, and a label without secrets.

A URL may hold a password. A character that is not quoted can put a part of the password into the
host, the path or the query, so no message here shows any part of a URL that it could be in.
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
"""The source of a URL that `todo login --database-url` stored."""
NEON_DOMAIN = ".neon.tech"
DEFAULT_PORT = "5432"
POOLER_SUFFIX = "-pooler"
DIRECT_TLS_LIBPQ = 170_000
"""The first version of libpq that has `sslnegotiation=direct`."""

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
    """One database. `source` names where the URL came from: an option, a variable or the log-in."""

    url: str
    source: str

    @property
    def is_embedded(self) -> bool:
        return self.source == EMBEDDED

    @property
    def label(self) -> str:
        """Host and database, without user and password, to show to a person."""
        if self.is_embedded:
            return "the embedded database"
        server = _server_of(self.url)
        where = "the local socket" if _is_socket(server) else _host_of(server)
        return f"{where}/{_database_of(server)}"

    @property
    def name(self) -> str:
        """The key under which the credential store keeps a session for this database.

        It is made of the host, port and database that libpq connects to, so that a token is never
        sent to another server. Users and options of URLs do not matter. Neon's pooled and direct
        host have the same key, since sessions are stored in the database.
        """
        if self.is_embedded:
            return EMBEDDED
        server = _server_of(direct_url(self.url))
        host = f"{_host_of(server, quote=True)}{_endpoint_of(server)}"
        return f"{host}:{server.get('port') or DEFAULT_PORT}/{_quoted(_database_of(server), '%/')}"


def chosen_url(flag: str | None, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The URL from the flag, or else from the environment, with its source; None if neither.

    Raises:
        InvalidInput: the URL cannot be one of PostgreSQL.
    """
    return _first_url(flag, environ, URL_VARIABLES)


def chosen_direct_url(flag: str | None, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Like `chosen_url`, but prefers the variables for unpooled URLs. For administration.

    The URL may still name Neon's pooled host; `direct_url` replaces that.

    Raises:
        InvalidInput: the URL cannot be one of PostgreSQL.
    """
    return _first_url(flag, environ, UNPOOLED_URL_VARIABLES + URL_VARIABLES)


def checked_url(url: str, source: str) -> str:
    """The URL, unchanged, after a check that libpq can use it.

    Raises:
        InvalidInput: scheme, host, port or an option is impossible. The message does not hold the
            URL, which may hold a password.
    """
    _check_form(url, source)
    connection_parameters(url, source)
    return url


def pooled_url(url: str) -> str:
    """The URL with Neon's pooled host, which people's commands use.

    Another server's URL stays as it is. So does one with `options`, which the pooler refuses, or
    with `hostaddr`, which is the address of one host.
    """
    host = _swappable_neon_host(url)
    if host is None or host.partition(".")[0].endswith(POOLER_SUFFIX):
        return url
    name, _, domain = host.partition(".")
    return _with_host(url, f"{name}{POOLER_SUFFIX}.{domain}")


def direct_url(url: str) -> str:
    """The URL with Neon's direct host, which administration needs. Others stay as they are."""
    host = _swappable_neon_host(url)
    if host is None or not host.partition(".")[0].endswith(POOLER_SUFFIX):
        return url
    name, _, domain = host.partition(".")
    return _with_host(url, f"{name.removesuffix(POOLER_SUFFIX)}.{domain}")


def connection_parameters(url: str, source: str = "The database URL") -> dict[str, str]:
    """The parameters for libpq: those of the URL, with safe defaults and with lower bounds.

    - For a host other than this machine, `sslmode` is at least `require`, and the server must not
      learn the password. `url_options` has these and all other rules for single parameters.
    - Host, port, database and user are decided here, from the URL and then the PG* variables.
    - Certificates are checked against certifi's roots, unless the URL or `~/.postgresql` gives
      others. How libpq was built decides whether `sslrootcert=system` finds any.
    - With Neon, TLS starts without a request for it, which saves a round trip.
    - TCP keepalives notice a dead connection within seconds, not hours.

    Raises:
        InvalidInput: an option is unknown or has an impossible value. The message begins with
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
    """Whether an @ or # is where a URL cannot have one, so that a part of a password would be taken
    for the host or shown. libpq knows no fragment: to it, a # belongs to the part before it."""
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
    """What libpq's error says, without what it quotes of the URL. The name of an option is kept."""
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
    """The values that libpq takes for parameters that are not given: PG* variables and defaults."""
    from psycopg import pq

    return {
        option.keyword.decode(): option.val.decode()
        for option in pq.Conninfo.get_defaults()
        if option.val is not None
    }


def secret_options() -> set[str]:
    """The parameters whose values are secret: those that libpq marks so, and the keys of SCRAM."""
    from psycopg import pq

    hidden = {each.keyword.decode() for each in pq.Conninfo.get_defaults() if each.dispchar == b"*"}
    return hidden | {"scram_client_key", "scram_server_key"}


def _libpq_options() -> set[str]:
    from psycopg import pq

    # JDBC's `ssl=true`, which libpq accepts too.
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

    # Neon does not support GSSAPI. With a Kerberos ticket, libpq would spend a round trip on it.
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
    # libpq's default file, for example with the certificates of a private authority.
    return not given and not Path("~/.postgresql/root.crt").expanduser().exists()


def _is_socket(parameters: Mapping[str, str]) -> bool:
    host = parameters.get("host", "")
    # Of several hosts in one list, each has to be one.
    return not parameters.get("hostaddr") and all(
        not each or each.startswith(("/", "@")) for each in host.split(",")
    )


def _server_of(url: str) -> dict[str, str]:
    """The parameters that libpq connects with, from the URL and the PG* variables."""
    return _effective(_parsed(url, "The database URL"))


def _effective(given: Mapping[str, str]) -> dict[str, str]:
    """A URL's parameters, and those that libpq adds from PGSERVICE, PG* variables and defaults.

    If the URL names a host, PGHOSTADDR and PGPORT are ignored: they belong to another host.
    """
    own_address = {"hostaddr": "", "port": DEFAULT_PORT} if given.get("host") else {}
    return {**_libpq_defaults(), **own_address, **given}


def _host_of(server: Mapping[str, str], *, quote: bool = False) -> str:
    """The host's name, followed by its address if the URL has `hostaddr`."""
    pinned = [server[name].lower() for name in ("host", "hostaddr") if server.get(name)]
    return "@".join(_quoted(each, "%@()") if quote else each for each in pinned) or "localhost"


def _endpoint_of(server: Mapping[str, str]) -> str:
    """Neon's endpoint if `options` names it, since one host can serve several endpoints."""
    found = _ENDPOINT.findall(server.get("options") or "")
    return f"({_quoted(' '.join(found), '%@()')})" if found else ""


def _quoted(text: str, separators: str) -> str:
    """The text with the separators of `Target.name` percent-encoded."""
    return "".join(f"%{ord(each):02X}" if each in separators else each for each in text)


def _database_of(server: Mapping[str, str]) -> str:
    return server.get("dbname") or server.get("user", "")


def _is_local(parameters: Mapping[str, str]) -> bool:
    """Whether all hosts and addresses are this machine's."""
    if _is_socket(parameters):
        return True
    given = [parameters[name] for name in ("host", "hostaddr") if parameters.get(name)]
    return all(_is_this_machine(name) for names in given for name in names.split(","))


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_neon(url: str) -> bool:
    """Whether the URL's host is Neon's."""
    return _is_neon(_server_of(url).get("host", ""))


def is_socket(url: str) -> bool:
    """Whether libpq connects by a Unix socket, which has no TLS."""
    return _is_socket(_server_of(url))


def _is_neon(host: str) -> bool:
    return host.lower().endswith(NEON_DOMAIN)


def _swappable_neon_host(url: str) -> str | None:
    """The host, if it is a Neon endpoint and the URL has neither an address nor options."""
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
