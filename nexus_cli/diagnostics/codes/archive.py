"""Codes of the archive: in the site file (NX2780 to NX2789), and failures (NX6480 to NX6489)."""

from __future__ import annotations

from nexus_cli.diagnostics.codes.code import Code, console, text, yaml
from nexus_cli.diagnostics.diagnostic import Severity

CODES: tuple[Code, ...] = (
    Code(
        id="NX2780",
        slug="archive-class",
        summary="The archive names a retention class that is not declared.",
        why="Nothing would go to the archive, and the samples of the class that was meant would be dropped.",
        bad=yaml("archive: {to: /srv/archive, classes: {defualt: {after: 30d}}}"),
        good=yaml("archive: {to: /srv/archive, classes: {default: {after: 30d}}}"),
    ),
    Code(
        id="NX2781",
        slug="archive-after-keep",
        summary="Samples of a class would go to the archive no earlier than they are dropped.",
        why="A day goes to the archive when it has ended and is `after` old. It must be there before `keep` drops it, or everything is kept longer than declared.",
        bad=yaml("retention: {fast: {keep: 30d}}\narchive: {to: /srv/archive, classes: {fast: {after: 30d}}}"),
        good=yaml("retention: {fast: {keep: 30d}}\narchive: {to: /srv/archive, classes: {fast: {after: 7d}}}"),
    ),
    Code(
        id="NX2782",
        slug="archive-keep",
        summary="The archive would keep a day no longer than the historian does.",
        why="`keep` of the archive counts from the day itself: it has to be longer than the class's own.",
        bad=yaml(
            "retention: {fast: {keep: 30d}}\narchive: {to: /srv/archive, classes: {fast: {after: 7d, keep: 30d}}}"
        ),
        good=yaml(
            "retention: {fast: {keep: 30d}}\narchive: {to: /srv/archive, classes: {fast: {after: 7d, keep: 3650d}}}"
        ),
    ),
    Code(
        id="NX2783",
        slug="archive-place",
        summary="The archive's place can't be used.",
        why="The worker writes there, wherever it was started: a folder needs its whole path, a store a bucket. Endpoint, region, user and password belong to a store.",
        bad=yaml("archive: {to: archive}"),
        good=yaml("archive: {to: /srv/archive}   # or s3://acme-history/hall"),
    ),
    Code(
        id="NX2784",
        slug="archive-secret",
        summary="The archive's password is in the site file.",
        why="Who reads the site file, its repository or a plan could read and remove the plant's history.",
        bad=yaml("archive: {to: s3://acme-history, user: nexus, password: minio123}"),
        good=yaml('archive: {to: s3://acme-history, user: nexus, password: "${env:S3_PASSWORD}"}'),
    ),
    Code(
        id="NX2785",
        slug="archive-empty",
        summary="The archive takes no class.",
        why="Only what `classes` names goes there.",
        severity=Severity.WARNING,
        bad=yaml("archive: {to: /srv/archive}"),
        good=yaml("archive: {to: /srv/archive, classes: {default: {after: 30d}}}"),
    ),
    Code(
        id="NX2786",
        slug="archive-after-day",
        summary="Days would go to the archive while late samples still arrive.",
        why="A gateway's outbox holds a day and more. A day that changes after it was archived is archived again.",
        severity=Severity.WARNING,
        bad=yaml("archive: {to: /srv/archive, classes: {default: {after: 1h}}}"),
        good=yaml("archive: {to: /srv/archive, classes: {default: {after: 7d}}}"),
    ),
    Code(
        id="NX6480",
        slug="pyarrow-missing",
        summary="The site has an archive, and pyarrow is not installed where it is written or read.",
        why="Parquet and S3 come from pyarrow, an extra, because it is large. Nothing is dropped that is not archived.",
        bad=yaml("archive: {to: /srv/archive, classes: {default: {after: 30d}}}"),
        good=text("pip install 'nexus-cli[archive]', then start the worker again"),
        hint="pip install 'nexus-cli[archive]', then start the worker again",
    ),
    Code(
        id="NX6481",
        slug="archive-away",
        summary="The archive's folder or store can't be used.",
        why="The disk is full or not mounted, the store is away, or its user may not do it. Nothing is dropped meanwhile; the worker tries again.",
        bad=text("default  2026-01-03  open  No space left on device"),
        good=console("nexus archive list"),
    ),
    Code(
        id="NX6482",
        slug="archive-behind",
        summary="Days have been due for the archive for more than a day and are not there.",
        why="Nothing is dropped that is not archived: the database grows until the archive can be used again.",
        bad=text("NX6482: 12 days wait for the archive, the oldest is 2026-01-03"),
        good=console("nexus jobs list --kind archive-day"),
    ),
    Code(
        id="NX6483",
        slug="archive-damaged",
        summary="A file of the archive is damaged or missing.",
        why="Its SHA-256 is not the one in the manifest. What the historian still has is archived again; what it dropped is to be restored from a copy of the archive.",
        bad=text("default  2026-01-03  part-0001-5f2c9e01.parquet was changed"),
        good=console("nexus archive verify --class default --from 2026-01-03 --to 2026-01-04"),
    ),
    Code(
        id="NX6484",
        slug="archive-differs",
        summary="The archive gave back other rows than it was given.",
        why="After writing, every row is read back and held against the database. The disk or the store lost or changed some. Nothing is dropped.",
        bad=text("The archive gave back other rows of 2026-01-03 than it was given."),
        good=console("nexus archive verify"),
    ),
    Code(
        id="NX6485",
        slug="archive-none",
        summary="The site has no archive, or nothing of what was asked for is in it.",
        why="`nexus archive` works on what is recorded in the database for this site.",
        bad=console("nexus archive restore --from 2019-01-01 --to 2019-01-02"),
        good=console("nexus archive list"),
    ),
    Code(
        id="NX6486",
        slug="export-place",
        summary="The file of an export can't be written.",
        why="A whole result or none: an interrupted export leaves no file.",
        bad=console("nexus export 'packaging/**' --from 7d --out /missing/week.parquet"),
        good=console("nexus export 'packaging/**' --from 7d --out week.parquet"),
    ),
)
