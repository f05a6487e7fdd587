"""The address of a database, as a setting: which hosts it names, and the password that is kept out of it."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from nexus_cli.setting_values import wrong


def database_hosts(url: str) -> tuple[tuple[str, int], ...]:
    """Hosts and ports of a database's URL, in order; 5432 where no port is given. Several are tried in turn.

    Raises:
        ValueError: A port is none.
    """
    found = []
    for part in urlsplit(url).netloc.rpartition("@")[2].split(","):
        host, colon, port = part.rpartition(":") if not part.endswith("]") else (part, "", "")
        host = host if colon else part
        if colon and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
            raise ValueError(f"'{port}' is not a port")
        found.append((host.strip("[]"), int(port) if colon else 5432))
    return tuple(found)


def database_address(value: str) -> str:
    """The database's URL as it is; refused when it can't be one. A password in it is not repeated.

    It may have several hosts, with `target_session_attrs=read-write` for the one that takes writes.
    """
    if not value:
        return value
    hint = "write postgresql://USER@HOST:PORT/NAME, or several hosts: postgresql://USER@A:5432,B:5432/NAME"
    try:
        parts = urlsplit(value)
    except ValueError:
        raise wrong("NEXUS_DATABASE_URL is not an address.", hint=hint) from None
    if "@" in value.partition("://")[2][len(parts.netloc) :]:
        raise wrong(
            "NEXUS_DATABASE_URL has an @ behind its host: a password in it is cut in two.",
            hint="put it in NEXUS_DATABASE_PASSWORD as it is (or NEXUS_DATABASE_PASSWORD_FILE); in an address its "
            "/ ? # @ : are written %2F %3F %23 %40 %3A",
        )
    try:
        hosts = database_hosts(value)
    except ValueError:
        raise wrong("NEXUS_DATABASE_URL is not an address.", hint=hint) from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise wrong("NEXUS_DATABASE_URL is not an address.", hint=hint)
    query = dict(parse_qsl(parts.query))
    ours = parts.netloc.rpartition("@")[2]
    if "port" in query and len(hosts) == 1 and ours and ours.rpartition(":")[2] in ("", ours):
        # libpq takes the port from there too, and the driver does not.
        port = query.pop("port")
        return database_address(
            parts._replace(netloc=f"{parts.netloc.rstrip(':')}:{port}", query=urlencode(query)).geturl()
        )
    return value


def password_apart(url: str) -> tuple[str, str]:
    """A database URL without its password, and the password, percent-decoded: the URL is shown to people. It may also
    be behind the `?`, as in libpq."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    behind = [value for name, value in query if name == "password"]
    if behind:
        parts = parts._replace(query=urlencode([each for each in query if each[0] != "password"]))
        url = parts.geturl()
    user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
    if not colon:
        return url, behind[-1] if behind else ""
    return parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl(), unquote(password)
