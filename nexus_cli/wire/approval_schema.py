"""JSON Schema of an approval, draft-07-safe like the others: of the file, and below `definitions` of what is signed in it."""

from __future__ import annotations

from nexus_cli.json_value import JsonObject
from nexus_cli.wire.approval import MEDIA_TYPE, PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE

_TEXT = {"type": "string"}
_BASE64 = {"type": "string", "contentEncoding": "base64"}
_TIME = {"type": "integer", "minimum": 0, "description": "Microseconds since 1970 UTC."}


def _object(properties: JsonObject) -> JsonObject:
    return {"type": "object", "properties": properties, "required": list(properties)}


def approval_schema() -> JsonObject:
    """The shape of what `nexus approve` writes: a Sigstore bundle with a DSSE envelope."""
    signature = _object({"sig": _BASE64, "keyid": _TEXT})
    envelope = _object(
        {
            "payload": {**_BASE64, "description": "The statement, see definitions.statement."},
            "payloadType": {"const": PAYLOAD_TYPE},
            "signatures": {"type": "array", "items": signature, "minItems": 1, "maxItems": 1},
        }
    )
    predicate = _object(
        {
            "site": {"type": "string", "description": "enterprise/site"},
            "base": {"type": "string", "description": "Digest of the recorded state; empty where it was not known."},
            "created_us": _TIME,
            "expires_us": _TIME,
            "who": _TEXT,
            "run": {"type": "string", "description": "Link to the CI run, or empty."},
            "nonce": {"type": "string", "minLength": 16, "maxLength": 64},
        }
    )
    digest = _object({"sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}})
    subject = _object({"name": {"type": "string", "description": "enterprise/site"}, "digest": digest})
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "NEXUS approval",
        "description": "A signed approval of what a plan does. It holds nothing of the plan.",
        **_object(
            {
                "mediaType": {"const": MEDIA_TYPE},
                "verificationMaterial": _object({"publicKey": _object({"hint": _TEXT})}),
                "dsseEnvelope": envelope,
            }
        ),
        "definitions": {
            "statement": _object(
                {
                    "_type": {"const": STATEMENT_TYPE},
                    "subject": {"type": "array", "items": subject, "minItems": 1, "maxItems": 1},
                    "predicateType": {"const": PREDICATE_TYPE},
                    "predicate": predicate,
                }
            )
        },
    }
