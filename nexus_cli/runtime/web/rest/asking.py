"""What the routes for reading share: types of their parameters, and how answers are described."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Path, Query

from nexus_cli.runtime.api.bodies import schema_of
from nexus_cli.wire.control import NO_NUL

PlantPath = Annotated[str, Path(min_length=1, max_length=500, pattern=NO_NUL, description="`area/line/device/tag`.")]
DevicePath = Annotated[str, Path(min_length=1, max_length=500, pattern=NO_NUL, description="`area/line/device`.")]
MOMENT = "How long ago (1h, 7d), today, 06:00, or ISO 8601."
Since = Annotated[str, Query(min_length=1, max_length=60, pattern=NO_NUL, description=f"Start of the span: {MOMENT}")]
Until = Annotated[str, Query(min_length=1, max_length=60, pattern=NO_NUL, description=f"End of the span: {MOMENT}")]
Text = Annotated[str, Query(max_length=500, pattern=NO_NUL)]


def described(shape: type[msgspec.Struct]) -> dict[int | str, dict[str, Any]]:
    """The entry of `/openapi.json` for a successful answer of this type."""
    return described_by(schema_of(shape), (shape.__doc__ or "").strip().partition("\n")[0])


def described_by(schema: dict[str, Any], words: str) -> dict[int | str, dict[str, Any]]:
    """As `described`, from a schema and a sentence."""
    return {200: {"description": words, "content": {"application/json": {"schema": schema}}}}
