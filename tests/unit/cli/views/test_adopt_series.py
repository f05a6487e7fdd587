"""Series and their ends as JSON and text: the document fits its schema, and what was not counted is said."""

from __future__ import annotations

import json

import jsonschema
import pytest

from nexus_cli.cli.views.adopt_series import SeriesDocument, series_document, series_text
from nexus_cli.discover.adopt.series import Around, Choices, series_entries
from nexus_cli.project.adopt_series import SeriesAdoption
from nexus_cli.project.schema import schema_files
from nexus_cli.wire.control_undeclared import Elsewhere, Settled, UndeclaredSeries

FOUND = (
    UndeclaredSeries(ulid="1", path="a/l/d/one", type="float64", unit="kg", samples=5, first=1, last=9),
    UndeclaredSeries(ulid="2", path="a/l/d/t\x1b[2Jwo", type="json", active=True),
    UndeclaredSeries(ulid="3", path="b/l/d/one", type="bool", samples=7, protected=True),
)


def document(after: bool) -> SeriesDocument:
    around = Around(declared=(), protocols={}, editable=lambda _: True)
    adoption = SeriesAdoption(
        site="acme/s",
        entries=series_entries(FOUND, Choices(forget=("a/l/d/one",)), around),
        elsewhere=(Elsewhere(site="acme/old", series=3),),
        settled=Settled(forgotten=1) if after else None,
        after=FOUND if after else None,
    )
    return series_document(adoption)


@pytest.mark.parametrize("after", [False, True])
def test_the_document_fits_its_schema(after: bool) -> None:
    found = document(after)
    schema = json.loads(schema_files()["series-adoption.schema.json"])
    jsonschema.validate(json.loads(json.dumps(found)), schema)
    assert found["series"] == {"found": 3, "declared": 0, "bound": 0, "forgotten": 1, "kept": 1, "left": 1}
    assert (found["samples"]["found"], found["uncounted"], found["written"]) == (12, 1, after)
    wrong = {**found, "series": {**found["series"], "found": -1}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_the_text_says_what_was_not_counted_and_shows_no_control_characters() -> None:
    text = series_text(document(True), lambda words, _: words)
    assert (
        "3 series with 12 samples: 1 forgotten (5 samples), 1 protected (7 samples), 1 left as it is (0 samples)."
        in text
    )
    assert "Of 1 series the samples were not counted" in text
    assert "acme/old: 3 series" in text and "samples not counted, written by hand" in text
    assert "\x1b" not in text
