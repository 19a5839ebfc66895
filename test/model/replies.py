# SPDX-License-Identifier: Apache-2.0
"""Is a reply what the definitions promise? Head, envelope, and each member of a success against the action's reply schema."""

import json
import re
import xml.etree.ElementTree

CONTENT_TYPES = {"JSON": "application/json;charset=utf-8", "XML": "text/xml;charset=utf-8"}
REQUEST_ID = re.compile(r"[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}")
NO_ID = b"00000000-0000-0000-0000-000000000000"
TIMES = {"time:minute": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ"), "time:second": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")}
NUMBERS = {"int": re.compile(r"-?\d+"), "numtext": re.compile(r"-?\d+"), "float": re.compile(r"-?\d+(\.\d+)?"),
           "bool": re.compile(r"true|false")}
ERROR = {name: "string" for name in ("RequestId", "HostId", "Code", "Message", "Recommend")}
DENIED = {name: "string" for name in ("AuthAction", "AuthPrincipalType", "AuthPrincipalOwnerId", "AuthPrincipalDisplayName", "PolicyType",
                                      "NoPermissionType")}


class Wrong(Exception):
    """What is not as promised, in a sentence."""


def head_facts(head):
    """(status, headers) of a reply; header names in lower case, each once."""
    lines = head.decode("latin-1").split("\r\n")
    if not re.fullmatch(r"HTTP/1\.1 \d\d\d [A-Za-z -]+", lines[0]):
        raise Wrong(f"status line {lines[0]!r}")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(": ")
        if name.lower() in headers:
            raise Wrong(f"{name} is there twice")
        headers[name.lower()] = value
    return int(lines[0][9:12]), headers


class Checker:
    """Remembers what it has parsed: thousands of replies differ in their RequestId only."""

    def __init__(self, facts):
        self.facts = facts
        self.bodies = {}

    def check(self, action, format, head, body):
        """(status, code, message, members) of a right reply; members are None for an error. Raises Wrong."""
        if not head:
            raise Wrong("the connection was ended without a reply")
        at = head.find(b"x-acs-request-id: ")
        request_id = head[at + 18:at + 54]
        if at < 0 or body.count(request_id) < 1:
            raise Wrong(f"x-acs-request-id and RequestId are not the same: {head!r} {body[:200]!r}")
        status = self.check_head(format, head, request_id, len(body))
        key = (action["key"], format, status == 200, body.replace(request_id, NO_ID))
        if key not in self.bodies:
            try:
                self.bodies[key] = self.check_body(action, format, status, key[3])
            except Wrong as error:
                self.bodies[key] = error
        if isinstance(self.bodies[key], Wrong):
            raise self.bodies[key]
        return (status, *self.bodies[key])

    def check_head(self, format, head, request_id, length):
        """The status."""
        if not REQUEST_ID.fullmatch(request_id.decode("latin-1")):
            raise Wrong(f"{request_id!r} is no RequestId")
        status, headers = head_facts(head)
        if headers.get("content-type") != CONTENT_TYPES[format]:
            raise Wrong(f"Content-Type is {headers.get('content-type')!r}, asked for was {format}")
        if headers.get("content-length") != str(length) or "transfer-encoding" in headers:
            raise Wrong(f"the length is not that of the body: {headers}")
        if not re.fullmatch(r"[0-9a-f]{32}", headers.get("x-acs-trace-id", "")):
            raise Wrong(f"x-acs-trace-id is {headers.get('x-acs-trace-id')!r}")
        if headers.get("connection") != "keep-alive":
            raise Wrong(f"the connection ends: {headers}")
        return status

    def check_body(self, action, format, status, body):
        """(code, message, members)"""
        try:
            value = json.loads(body, object_pairs_hook=no_doubles) if format == "JSON" else xml.etree.ElementTree.fromstring(body)
        except (ValueError, xml.etree.ElementTree.ParseError) as error:
            raise Wrong(f"not {format}: {error}: {body[:300]!r}") from error
        if status == 200:
            schema = {"RequestId": "string", **action["reply"]}
            if format == "JSON":
                self.json_object(value, schema, action["key"])
            else:
                self.xml_root(value, f"{action['action']}Response", schema)
            return None, None, value
        schema = {**ERROR, "AccessDeniedDetail": {"object": DENIED, "omit": True}}
        if format == "JSON":
            self.json_object(value, schema, "Error")
            return value["Code"], value["Message"], None
        self.xml_root(value, "Error", schema)
        return value.findtext("Code"), value.findtext("Message"), None

    # ── schema ──

    def member(self, facts):
        """(form, what, item, may be absent)"""
        if isinstance(facts, str):
            facts = {"type": facts}
        form = next(key for key in ("type", "list", "object") if key in facts)
        what = facts[form]
        if isinstance(what, str) and what.startswith("object:"):
            what = self.facts.objects[what.removeprefix("object:")]
        if isinstance(what, dict) and form == "type":
            form = "object"
        return form, what, facts.get("item"), facts.get("omit", False)

    def json_object(self, value, schema, place):
        """All members that have to be there, and no others."""
        if not isinstance(value, dict):
            raise Wrong(f"{place}: {value!r} is no object")
        for name in value:
            if name not in schema:
                raise Wrong(f"{place}: {name} is in no schema")
        for name, facts in schema.items():
            form, what, item, omit = self.member(facts)
            if name not in value:
                if not omit:
                    raise Wrong(f"{place}: {name} is missing")
                continue
            found = value[name]
            if form == "list":
                self.json_list(found, what, item, f"{place}.{name}")
            elif form == "object":
                self.json_object(found, what, f"{place}.{name}")
            else:
                self.json_scalar(found, what, f"{place}.{name}")

    def json_list(self, value, what, item, place):
        """Wrapped, or a plain array."""
        if item:
            if not isinstance(value, dict) or list(value) != [item]:
                raise Wrong(f"{place}: {value!r} does not wrap {item}")
            value = value[item]
        if not isinstance(value, list):
            raise Wrong(f"{place}: {value!r} is no array")
        for one in value:
            if isinstance(what, dict):
                self.json_object(one, what, place)
            else:
                self.json_scalar(one, what, place)

    def json_scalar(self, value, kind, place):
        """Bare numbers and truth values; all else is text."""
        if kind in ("int", "numtext"):
            fits = isinstance(value, int) and not isinstance(value, bool)
        elif kind == "float":
            fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        elif kind == "bool":
            fits = isinstance(value, bool)
        else:
            fits = isinstance(value, str) and self.text_fits(value, kind)
        if not fits:
            raise Wrong(f"{place}: {value!r} is no {kind}")

    def text_fits(self, text, kind):
        """Words of an enum, times; an absent one is the empty text."""
        if text == "":
            return True
        if kind.startswith("enum:"):
            return text in self.facts.enums[kind.removeprefix("enum:")]
        return bool(TIMES[kind].fullmatch(text)) if kind in TIMES else True

    def xml_root(self, element, name, schema):
        """The document's element."""
        if element.tag != name:
            raise Wrong(f"the root is {element.tag}, not {name}")
        self.xml_object(element, schema, name)

    def xml_object(self, element, schema, place):
        """As json_object."""
        if element.attrib or (element.text or "").strip():
            raise Wrong(f"{place}: attributes or text beside members")
        seen = {}
        for child in element:
            if child.tag not in schema:
                raise Wrong(f"{place}: {child.tag} is in no schema")
            seen.setdefault(child.tag, []).append(child)
        for name, facts in schema.items():
            form, what, item, omit = self.member(facts)
            found = seen.get(name, [])
            plain = form == "list" and not item
            if not found and not omit and not plain:
                raise Wrong(f"{place}: {name} is missing")
            if len(found) > 1 and not plain:
                raise Wrong(f"{place}: {name} is there twice")
            if form == "list" and item and found:
                strange = [child.tag for child in found[0] if child.tag != item]
                if strange:
                    raise Wrong(f"{place}.{name}: {strange[0]} is not {item}")
                found = list(found[0])
            for one in found:
                if isinstance(what, dict):
                    self.xml_object(one, what, f"{place}.{name}")
                else:
                    self.xml_scalar(one, what, f"{place}.{name}")

    def xml_scalar(self, element, kind, place):
        """Text only."""
        text = element.text or ""
        fits = NUMBERS[kind].fullmatch(text) if kind in NUMBERS else self.text_fits(text, kind)
        if len(element) or element.attrib or not fits:
            raise Wrong(f"{place}: {text!r} is no {kind}")


def no_doubles(pairs):
    """An object in which a name stands twice reads differently to each client."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError(f"a member stands twice: {[name for name, _ in pairs]}")
    return dict(pairs)
