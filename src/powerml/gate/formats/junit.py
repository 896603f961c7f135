"""A check in JUnit's XML: a suite with a test case for each limit of each model.

It is valid by the schemas of Apache Ant (Windy Road's ``JUnit.xsd``) and of Jenkins
(``junit-10.xsd``).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as Xml

from powerml.gate.formats.places import place_in
from powerml.gate.formats.sentences import cause_text, causes_of, differences_text, limit_text
from powerml.gate.limits import REGRESSION, limit_flag
from powerml.gate.record import CheckedModel, CheckRecord

__all__ = ["junit_text"]

SUITE = "powerml check"
# XML 1.0 has no way to write the other control characters.
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_text(record: CheckRecord, root: Path) -> str:
    """Return the record as XML.

    A limit that is exceeded is a failure. A model that failed, or cannot be compared, is an error.
    """
    cases = [case for model in record.models for case in _cases(model)]
    suites = Xml.Element("testsuites")
    suite = Xml.SubElement(
        suites,
        "testsuite",
        {
            "id": "0",
            "package": "powerml",
            "name": SUITE,
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "hostname": _printable(socket.gethostname()) or "localhost",
            "tests": str(len(cases)),
            "failures": str(_number(cases, "failure")),
            "errors": str(_number(cases, "error")),
            "skipped": str(_number(cases, "skipped")),
            "time": f"{record.seconds:.3f}",
        },
    )
    properties = Xml.SubElement(suite, "properties")
    for name, value in (("config", place_in(record.config, root)), ("state", record.state)):
        Xml.SubElement(properties, "property", {"name": name, "value": _printable(value)})
    suite.extend(cases)
    Xml.SubElement(suite, "system-out")
    Xml.SubElement(suite, "system-err")
    Xml.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(suites, encoding="unicode")}\n'


def _number(cases: list[Xml.Element], kind: str) -> int:
    return sum(case.find(kind) is not None for case in cases)


def _cases(model: CheckedModel) -> Iterator[Xml.Element]:
    for limit in model.limits:
        name = limit.name if limit.phase is None else f"{limit.name} {limit.phase}"
        case = _case(model, name)
        if limit.exceeded:
            nodes = "\n".join(cause_text(row) for row in causes_of(model, limit))
            _fault(case, "failure", limit.name, limit_text(model, limit), nodes)
        yield case
    if model.differences:
        case = _case(model, limit_flag(REGRESSION))
        _fault(case, "error", "not comparable", differences_text(model))
        yield case
    elif model.failure is not None:
        case = _case(model, "measurement")
        _fault(case, "error", "failed", model.failure)
        yield case
    elif not model.limits:
        case = _case(model, "no limit")
        Xml.SubElement(case, "skipped")
        yield case


def _case(model: CheckedModel, name: str) -> Xml.Element:
    named = {"classname": _printable(model.name), "name": name, "time": "0"}
    return Xml.Element("testcase", named)


def _fault(case: Xml.Element, kind: str, name: str, message: str, details: str = "") -> None:
    said = _printable(message)
    element = Xml.SubElement(case, kind, {"type": name, "message": said})
    element.text = _printable(f"{message}\n{details}".rstrip())


def _printable(text: str) -> str:
    return NOT_IN_XML.sub("?", text)
