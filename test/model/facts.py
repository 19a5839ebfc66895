# SPDX-License-Identifier: Apache-2.0
"""The API definitions as a tester reads them: a few lines over api/README.md, and nothing of the generators' code.

What stands here twice (here and in tools/apilib.py) stands twice on purpose: an expectation that comes out of the code it
judges proves nothing.
"""

import dataclasses
import json
import pathlib
import re

API = pathlib.Path(__file__).resolve().parent.parent.parent / "api"


@dataclasses.dataclass
class Row:
    """A line of errors.txt, as the profile `seed` has it."""

    name: str
    status: int
    code: str
    message: str

    def text(self, argument):
        """The message about one parameter."""
        return self.message.replace("%s", argument)


@dataclasses.dataclass
class Field:
    """A parameter. `kind` is the type without its `list:`."""

    name: str
    kind: str
    is_list: bool
    is_json: bool
    fields: list
    facts: dict
    words: tuple = ()

    @property
    def is_object(self):
        """Does it hold others?"""
        return self.kind.startswith("object")

    @property
    def keeps_empty(self):
        """Is the empty text a value?"""
        return self.kind == "text"

    @property
    def bounds(self):
        """(least, most) of a number or of the bytes of a text; None: none."""
        return (self.facts.get("min", 0), self.facts["max"]) if "max" in self.facts else None

    @property
    def is_text(self):
        """Text of any kind."""
        return self.kind in ("string", "secret", "text") or self.kind.startswith("id:")


class Facts:
    """Everything that the tests need of api/."""

    def __init__(self, folder=API):
        types = json.loads((folder / "types.json").read_text(encoding="utf-8"))
        self.enums, self.objects = types["enums"], types["objects"]
        self.rows = {row.name: row for row in read_errors(folder / "errors.txt")}
        self.actions = [self.read_action(json.loads(file.read_text(encoding="utf-8")))
                        for file in sorted((folder / "actions").glob("*.json"))]
        self.known = [line for line in (folder / "ecs_actions.txt").read_text(encoding="utf-8").split("\n")
                      if line and not line.startswith("#")]

    def read_action(self, action):
        """The file's own members, `parameters` as Fields."""
        return {**action, "key": action["action"] if action["product"] == "Ecs" else f"{action['product']}.{action['action']}",
                "fields": [self.read_field(p) for p in action["parameters"]]}

    def read_field(self, facts):
        """A parameter with all that is inside."""
        kind = facts["type"]
        is_json = kind.startswith("json:")
        kind = kind.removeprefix("json:")
        is_list = kind.startswith("list:")
        kind = kind.removeprefix("list:")
        inner = facts.get("fields", [])
        if kind.startswith("object:"):
            inner = self.objects[kind.removeprefix("object:")]
        words = tuple(self.enums[kind.removeprefix("enum:")]) if kind.startswith("enum:") else ()
        return Field(facts["name"], kind, is_list, is_json, [self.read_field(p) for p in inner], facts, words)

    def bad(self, field):
        """The row for a value that is none."""
        default = "E_PARAMETER_NOT_SUPPORTED" if field.facts.get("effect") == "refused" else "E_INVALID_PARAMETER"
        return self.rows[field.facts.get("error", default)]

    def missing(self, field):
        """The row for a required parameter that isn't there."""
        return self.rows[field.facts.get("missing", "E_MISSING_PARAMETER")]

    def declared(self, action):
        """(status, code) of all that the page of an action, or of the parameters, allows."""
        codes = set(action["errors"]) | {"MissingParameter", "InvalidParameter", "UnsupportedParameter"}
        codes |= {self.rows[name].code for name in parameter_errors(action["fields"])}
        return {(row.status, row.code) for row in self.rows.values() if row.code in codes}


def parameter_errors(fields):
    """C names of the errors that parameters name."""
    found = set()
    for field in fields:
        found |= {field.facts[key] for key in ("error", "missing", "too_many") if key in field.facts}
        found |= parameter_errors(field.fields)
    return found


def read_errors(path):
    """Rows of errors.txt in order."""
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.strip() and not line.startswith("#"):
            cells = [cell.strip() for cell in re.split(r" \|(?: |$)", line)]
            yield Row(cells[0], int(cells[1]), cells[2], cells[3])
