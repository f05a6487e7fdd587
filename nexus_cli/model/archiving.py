"""`archive:` of the site language: where old history goes before it is dropped.

archive:
  to: s3://acme-history/hall
  endpoint: https://minio.acme.example
  user: "${env:S3_USER}"
  password: "${env:S3_PASSWORD}"
  classes: {default: {after: 30d}}
"""

from __future__ import annotations

from pydantic import Field

from nexus_cli.model.spelling import Age, Strict


class ArchivedClass(Strict):
    """One retention class in the archive."""

    after: Age = Field(description="How long after its end a day of samples goes to the archive, e.g. 30d.")
    keep: Age | None = Field(
        default=None, description="Age at which it is removed from the archive; without it, never."
    )


class Archive(Strict):
    """Days of samples as Parquet files with a manifest."""

    to: str = Field(description="The whole path of a folder where the worker runs, or s3://bucket/prefix.")
    endpoint: str | None = Field(default=None, description="Of an S3-compatible store that is not Amazon's.")
    region: str | None = Field(default=None, description="Of the store.")
    user: str | None = Field(default=None, description="Access key: a reference, or a name.")
    password: str | None = Field(default=None, description="Its secret: a reference.")
    classes: dict[str, ArchivedClass] = Field(
        default_factory=dict, description="What goes there, by retention class; `default` is one."
    )
