"""The archive: which classes go there, where it is, and whether they are there before they are dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath, PureWindowsPath

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.diagnostics.wording import duration
from nexus_cli.model.resolve import retention_classes
from nexus_cli.model.secrets import is_reference, password_in_url
from nexus_cli.model.spelling import parse_duration

HERE = ("archive",)
DAY_MS = parse_duration("1d")
BACKLOG_MS = parse_duration("2d")
"""A day ends, and a gateway may send a day's backlog after it."""
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[^\s]*)?\Z")
_ENDPOINT = re.compile(r"https?://[^/\s@?#]+/?\Z")
OF_A_STORE = ("endpoint", "region", "user", "password")


def unknown_class(view: View) -> Iterator[Diagnostic]:
    """NX2780."""
    archive = view.model.site.archive
    if archive is None:
        return
    known = view.model.names("retention", retention_classes(view.model.site))
    for name in archive.classes:
        if name not in known:
            message = f"the retention class '{name}' is not declared"
            where = (*HERE, "classes", name)
            yield finding("NX2780", message, where=where, on_key=True, hint=did_you_mean(name, known))


def after_and_keep(view: View) -> Iterator[Diagnostic]:
    """NX2781, NX2782 and NX2786."""
    archive = view.model.site.archive
    if archive is None:
        return
    classes = retention_classes(view.model.site)
    for name, one in archive.classes.items():
        where, declared = (*HERE, "classes", name), classes.get(name)
        if declared is None:
            continue
        if one.after + DAY_MS > declared.keep:
            message = (
                f"a day is archived {duration(one.after)} after it ends, and dropped after {duration(declared.keep)}"
            )
            hint = "let `after` be at least a day shorter than the `keep` of the class"
            yield finding("NX2781", message, where=(*where, "after"), hint=hint)
        elif one.after < BACKLOG_MS:
            message = f"samples may arrive later than {duration(one.after)} after their day"
            yield finding("NX2786", message, where=(*where, "after"), hint="after: 7d")
        if one.keep is not None and one.keep <= declared.keep:
            message = f"the archive keeps {duration(one.keep)}, and the historian {duration(declared.keep)}"
            yield finding("NX2782", message, where=(*where, "keep"), hint="keep it longer, or leave `keep` out")


def place(view: View) -> Iterator[Diagnostic]:
    """NX2783."""
    archive = view.model.site.archive
    if archive is None:
        return
    if archive.to.startswith("s3://"):
        if not _BUCKET.match(archive.to):
            yield finding("NX2783", f"'{archive.to}' names no bucket", where=(*HERE, "to"), hint="s3://bucket/prefix")
        if archive.endpoint is not None and not _ENDPOINT.match(archive.endpoint):
            message = f"'{archive.endpoint}' is no address of a store"
            yield finding("NX2783", message, where=(*HERE, "endpoint"), hint="https://minio.acme.example:9000")
        if (archive.user is None) is not (archive.password is None):
            missing, given = ("password", "user") if archive.password is None else ("user", "password")
            message = f"the archive has a {given} and no {missing}"
            yield finding("NX2783", message, where=(*HERE, given), on_key=True, hint=f"add '{missing}'")
        return
    if "://" in archive.to or not (
        PurePosixPath(archive.to).is_absolute() or PureWindowsPath(archive.to).is_absolute()
    ):
        message = f"'{archive.to}' is no whole path of a folder and no s3:// address"
        yield finding("NX2783", message, where=(*HERE, "to"), hint="such as /srv/archive, or s3://bucket/prefix")
    for key in OF_A_STORE:
        if getattr(archive, key) is not None:
            message = f"'{key}' belongs to a store, and the archive is a folder"
            yield finding("NX2783", message, where=(*HERE, key), on_key=True, hint=f"remove '{key}'")


def plain_secret(view: View) -> Iterator[Diagnostic]:
    """NX2784."""
    archive = view.model.site.archive
    if archive is None:
        return
    hint = "write a reference: ${env:NAME} or ${file:PATH}; the worker reads it"
    if archive.password is not None and not is_reference(archive.password):
        yield finding("NX2784", "the password is in the site file", where=(*HERE, "password"), hint=hint)
    if archive.endpoint is not None and password_in_url(archive.endpoint):
        yield finding("NX2784", "the endpoint holds a password", where=(*HERE, "endpoint"), hint=hint)


def takes_nothing(view: View) -> Iterator[Diagnostic]:
    """NX2785."""
    archive = view.model.site.archive
    if archive is not None and not archive.classes:
        hint = "classes: {default: {after: 30d}}"
        yield finding("NX2785", "the archive takes no class", where=HERE, on_key=True, hint=hint)


CHECKS = (unknown_class, after_and_keep, place, plain_secret, takes_nothing)
