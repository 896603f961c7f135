"""A check in SARIF 2.1.0, with a rule for each kind of limit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

from powerml.gate.formats.places import place_in
from powerml.gate.formats.sentences import cause_text, causes_of, differences_text, limit_text
from powerml.gate.limits import GateLimits, limit_flag
from powerml.gate.record import CheckedModel, CheckRecord

__all__ = ["sarif_text"]

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
NOT_COMPARABLE, FAILED = "not-comparable", "failed"
RULES = {
    **{limit_flag(name): field.description or name for name, field in GateLimits.fields().items()},
    NOT_COMPARABLE: "The baseline was made by other software, on other caches or otherwise.",
    FAILED: "The model could not be measured.",
}
ROOT = "%SRCROOT%"


def sarif_text(record: CheckRecord, root: Path) -> str:
    """Return the record as SARIF; a kept limit is a result of the kind ``pass``."""
    place = place_in(record.config, root)
    results = [
        {**result, "locations": [_location(place, line)]}
        for model in record.models
        for line, result in _results(model)
    ]
    driver = {
        "name": "powerML",
        "version": metadata.version("powerml"),
        "rules": [
            {
                "id": name,
                "shortDescription": {"text": text},
                "fullDescription": {"text": text},
                "defaultConfiguration": {"level": "error"},
            }
            for name, text in RULES.items()
        ],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": record.state != "failed"}],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return f"{json.dumps(document, indent=2, ensure_ascii=False)}\n"


def _results(model: CheckedModel) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each result with its line of the configuration."""
    for limit in model.limits:
        nodes = "".join(f"\n{cause_text(row)}" for row in causes_of(model, limit))
        message = f"{model.name}: {limit_text(model, limit)}{nodes}"
        found = {"value": limit.value, "limit": limit.limit, "unit": limit.unit}
        result = _result(model, limit.name, message, limit.phase or "", exceeded=limit.exceeded)
        yield limit.line, {**result, "properties": found}
    if model.differences:
        message = f"{model.name}: {differences_text(model)}"
        yield model.line, _result(model, NOT_COMPARABLE, message)
    if model.failure is not None:
        yield model.line, _result(model, FAILED, f"{model.name}: {model.failure}")


def _result(
    model: CheckedModel, rule: str, message: str, phase: str = "", *, exceeded: bool = True
) -> dict[str, Any]:
    return {
        "ruleId": rule,
        "ruleIndex": list(RULES).index(rule),
        "kind": "fail" if exceeded else "pass",
        "level": "error" if exceeded else "none",
        "message": {"text": message},
        "partialFingerprints": {"powermlLimit/v1": f"{model.name}/{rule}/{phase}"},
    }


def _location(place: str, line: int) -> dict[str, Any]:
    uri = {"uri": quote(place)}
    if Path(place).is_absolute():
        uri = {"uri": Path(place).as_uri()}
    else:
        uri["uriBaseId"] = ROOT
    return {"physicalLocation": {"artifactLocation": uri, "region": {"startLine": line}}}
