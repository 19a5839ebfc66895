# SPDX-License-Identifier: Apache-2.0
"""From the definitions to requests and what has to come of them.

Each case changes one parameter of a request that is right (world.py). What is wrong by the definitions has to be answered with
the error that they name, and in its message the parameter. What is right by the definitions has to be answered as the unchanged
request is; where more than the definitions decides, exceptions.py says what, and why.
"""

import collections
import dataclasses
import datetime

import client
import world

NEXT_YEAR = datetime.date.today().year + 1
FEWER_WAYS = 3  # 7 and the numbers of ways have no common divisor: in turn it comes to all of them
LIST_DEFAULT = 1000  # items where the definition gives no max_items
INT_BAD = ("abc", "1.5", "+1", "0x10", " 1", "1 ", "--1", "9223372036854775808", "-9223372036854775809", "\u0663")
BAD = {
    "int": INT_BAD,
    "numtext": ("abc", "1.5", "+1", "0x10", "--1", "9223372036854775808", '"', '"1'),
    "bool": ("maybe", "1", "0", "yes", " true", "truefalse"),
    "float": ("abc", "1,5", "nan", "inf", "0x1p3", "--1", "1e400", "1."),
    "time:minute": ("yesterday", "2026-13-01T00:00Z", "2026-02-30T00:00Z", "2026-01-01", "2026-01-01T00:00:00+08:00", "1767225600"),
}
BAD["time:second"] = BAD["time:minute"]
BAD_JSON = ("x", "{}", "[", '["a"', '["a",{}]', "[null]", "[1.5]", "[true]", '["a"]]', '"a"', "7", "[[]]")


@dataclasses.dataclass(frozen=True)
class Expect:
    """An error with its message (None: any), or success (code None)."""

    status: int
    code: str | None
    message: str | None = None


BASE = "base"  # as the unchanged request
DECLARED = "declared"  # success, or an error that the page of the action has


@dataclasses.dataclass(frozen=True)
class Case:
    """One request, whatever the way it is sent."""

    action: dict
    path: str  # of the parameter
    kind: str
    value: str  # for the name of the case
    pairs: tuple
    expect: object
    base: object = None  # the Expect of the unchanged request
    extra: tuple = ()  # what the query has besides, where the pairs are a form
    bytes_only: bool = False  # can't stand in a JSON body
    rotated: int | None = None  # a further value of its kind: some of the ways, which ones by this number

    @property
    def name(self):
        """Action/parameter/kind/value, as --case takes it."""
        return f"{self.action['key']}/{self.path}/{self.kind}/{self.value}"

    def ways(self):
        """The ways in which it can be sent."""
        if self.extra:
            return [client.Way(auth, "POST", "both", format) for auth in ("v1-sha1", "v1-sha256", "v3") for format in ("JSON", "XML")]
        ways = client.OPERATOR_WAYS if self.action["product"] == "Admin" else client.WAYS
        ways = [way for way in ways if way.place != "json" or not self.bytes_only]
        if self.rotated is None:
            return ways
        return [ways[(self.rotated * FEWER_WAYS + n) * 7 % len(ways)] for n in range(FEWER_WAYS)]


def row_expect(row, argument):
    """The error of a row of errors.txt about `argument`."""
    return Expect(row.status, row.code, row.text(argument))


class Generator:
    """All cases of one action."""

    def __init__(self, facts, action, names):
        self.facts, self.action, self.names = facts, action, names
        self.cases, self.kinds = [], collections.Counter()
        self.use(world.BASES[action["key"]])

    def use(self, base):
        """The request that is right from here on."""
        self.pairs = [(name, self.fill(value)) for name, value in base.params.items()]
        self.outcome = Expect(base.status, base.code)

    def fill(self, text):
        """{name} is what the world calls so."""
        for name, value in self.names.items():
            text = text.replace("{" + name + "}", value)
        return text

    def add(self, path, kind, value, pairs, expect, some=False, **more):
        """A case; `some`: what the gateway does before it knows the parameter is not asked for in each way."""
        label = value if isinstance(value, str) else repr(value)
        label = label if len(label) <= 40 else f"{label[:30]}…{len(label)}"
        self.kinds[path, kind] += 1
        rotated = len(self.cases) if some or self.kinds[path, kind] > 1 else None
        self.cases.append(Case(self.action, path, kind, label, tuple(pairs), expect, self.outcome, rotated=rotated, **more))

    def without(self, path):
        """The request without a parameter and what is inside."""
        return [pair for pair in self.pairs if pair[0] != path and not pair[0].startswith(path + ".")]

    def with_(self, path, *values):
        """The request with a parameter, once for each value."""
        return [*self.without(path), *[(path, value) for value in values]]

    def all(self):
        """The unchanged request, unknown parameters, and each parameter's own."""
        self.add("-", "base", "", self.pairs, BASE)
        unknown = [("Frobnicate", "1"), ("frobnicate.1.Deep", "x"), ("X", ""), ("Tag.x", "1"), ("SourceIp", "1.2.3.4"), ("OwnerId", "5"),
                   ("A" * 256, "long")]
        for name, value in unknown:
            self.add("-", "unknown parameter", name, [*self.pairs, (name, value)], BASE)
        self.add("-", "unknown parameter", "name too long", [*self.pairs, ("A" * 257, "")],
                 row_expect(self.facts.rows["E_INVALID_PARAMETER"], "parameter name"))
        self.add("-", "too many parameters", "2049", [*self.pairs, *[(f"X{n}", "") for n in range(2049)]],
                 row_expect(self.facts.rows["E_REQUEST_TOO_LARGE"], ""))
        for field in self.action["fields"]:
            base = world.BASES[self.action["key"]]
            self.use(base.no_dry_run if field.name == "DryRun" and base.no_dry_run else base)
            self.field(field, "")
        self.use(world.BASES[self.action["key"]])
        self.order()
        return self.cases

    def order(self):
        """Of two faults the one that is told: what is missing before what is wrong, and either in the order of the page."""
        fields = self.action["fields"]
        needed = [field for field in fields if field.facts.get("required")]
        wrong = [(field, self.bad_values(field)[0][1]) for field in fields
                 if not field.is_list and not field.is_object and self.bad_values(field)]
        if needed:
            self.add("-", "order", "all missing", [], self.absent(needed[0], needed[0].name))
        if needed and wrong:
            absent = self.absent(needed[-1], needed[-1].name)
            field, value = next(((f, v) for f, v in wrong if f is not needed[-1]), (None, None))
            if field:
                self.add("-", "order", "missing, wrong", [*self.without(needed[-1].name), (field.name, value)], absent)
        for (first, bad), (second, worse) in zip(wrong, wrong[1:]):
            rest = [pair for pair in self.without(first.name) if pair[0] != second.name]
            self.add("-", "order", f"{first.name}, {second.name}", [(second.name, worse), *rest, (first.name, bad)],
                     row_expect(self.facts.bad(first), first.name))

    def field(self, field, prefix):
        """By the form that the parameter has."""
        path = prefix + field.name
        if field.is_list and field.is_object:
            self.object_list(field, path)
        elif field.is_list:
            self.scalar_list(field, path)
        elif field.is_object:
            self.inside(field, path)
            self.add(path, "scalar for an object", "x", self.with_(path, "x"), self.absent(field, path))
        else:
            self.scalar(field, path)

    def absent(self, field, path):
        """What a request without the parameter is answered with."""
        if field.facts.get("required"):
            return row_expect(self.facts.missing(field), path)
        return BASE

    # ── scalars ──

    def bad_values(self, field):
        """(kind, value) of what is wrong by the definition."""
        default = str(field.facts.get("default", ""))
        if field.facts.get("effect") == "refused":
            values = {"int": ("7", "abc"), "bool": ("true", "false", "maybe"), "float": ("0.5",)}.get(field.kind, ("x", "0"))
            return [("refused", v) for v in (*values, *field.words) if v.lower() != default.lower()]
        found = [("wrong type", v) for v in BAD.get(field.kind, ())]
        if field.words:
            found += [("not in enum", v) for v in ("Nonsense", "0", field.words[0] + "x", " " + field.words[0], ",".join(field.words[:2]))
                      if v not in field.words]
        if field.bounds and field.kind == "int":
            found += [("below", str(field.bounds[0] - 1)), ("above", str(field.bounds[1] + 1)), ("below", "-9223372036854775808"),
                      ("above", "9223372036854775807")]
        if field.bounds and field.is_text:
            found += [("below", "a" * (field.bounds[0] - 1))] if field.bounds[0] > 1 else []
            found += [("above", "a" * (field.bounds[1] + 1))]
            # Bounds are bytes. Longer ones don't fit into a request line when they are encoded.
            found += [("above", "é" * (field.bounds[1] // 2 + 1))] if field.bounds[1] <= 16384 else []
        return found

    def good_values(self, field):
        """(kind, value) of what is right by the definition."""
        found = [("default", str(field.facts["default"]).lower() if field.kind == "bool" else str(field.facts["default"]))
                 ] if "default" in field.facts else []
        if field.facts.get("effect") == "refused":
            return found
        if field.bounds and field.kind == "int":
            found += [("at", str(limit)) for limit in field.bounds]
        elif field.bounds and field.is_text:
            found += [("at", "a" * limit) for limit in field.bounds if limit > 0]
        elif field.kind in ("int", "numtext", "float"):
            found += [("number", v) for v in ("0", "1", "-1", "2147483647", "9223372036854775807")[:3 if field.kind == "float" else 5]]
            found += [("number", v) for v in {"numtext": ("20.0", '"20"', "20"), "float": ("0.500000", "123456789012345")}.get(field.kind, ())]
        elif field.kind == "bool":
            found += [("bool", v) for v in ("true", "false", "True", "FALSE")]
        elif field.words:
            found += [("word", v) for w in field.words for v in (w, w.upper(), w.lower())]
        elif field.kind.startswith("time:"):
            found += [("time", v) for v in (f"{NEXT_YEAR}-01-02T03:04Z", f"{NEXT_YEAR}-01-02T03:04:05Z", f"{NEXT_YEAR}-01-02T03:04:05.678Z")]
        elif field.facts.get("effect") == "accepted":
            found += [("accepted", v) for v in ("x", "a" * 300)]
        return list(dict.fromkeys(found))

    def scalar(self, field, path):
        """Absent, empty, wrong, right, repeated."""
        absent, bad_row = self.absent(field, path), self.facts.bad(field)
        bad, good = self.bad_values(field), self.good_values(field)
        wrong = row_expect(bad_row, path)
        if field.facts.get("required") or path in dict(self.pairs):
            self.add(path, "absent", "", self.without(path), absent)
        empty = DECLARED if field.keeps_empty else absent
        self.add(path, "empty", "", self.with_(path, ""), empty)
        for kind, value in bad:
            self.add(path, kind, value, self.with_(path, value), wrong)
        for kind, value in good:
            self.add(path, kind, value, self.with_(path, value), BASE)
        not_text = row_expect(self.facts.rows["E_INVALID_PARAMETER"], path)
        for value in (b"\xff", b"a\0b", b"\xed\xa0\x80"):
            self.add(path, "not text", value, self.with_(path, value), not_text, bytes_only=True, some=True)
        own = dict(self.pairs).get(path)
        if own is not None:
            self.add(path, "name in other case", path.lower(), [*self.without(path), (path.lower(), own)], BASE, some=True)
        self.repeated(field, path, bad, own if own is not None else "")

    def repeated(self, field, path, bad, first):
        """The first of two counts, and a form goes before a query."""
        network = self.action["product"] != "Admin"
        of_first = BASE if first or not field.keeps_empty else DECLARED
        if not first and field.facts.get("required"):
            of_first = self.absent(field, path)
        second = bad[0][1] if bad else "zzz"
        self.add(path, "repeated", "good, bad", self.with_(path, first, second), of_first, bytes_only=True)
        if network:
            self.add(path, "in query and form", "form good", self.with_(path, first), of_first, extra=((path, second),))
        if bad:
            wrong = row_expect(self.facts.bad(field), path)
            self.add(path, "repeated", "bad, good", self.with_(path, second, first), wrong, bytes_only=True)
            self.add(path, "name in other case", path.lower() + " bad", [*self.without(path), (path.lower(), second)], wrong,
                     some=True)
            if network:
                self.add(path, "in query and form", "form bad", self.with_(path, second), wrong, extra=((path, first or "zzz"),))

    # ── lists and objects ──

    def too_many(self, field, path):
        """The error of a list that is too long."""
        if "too_many" in field.facts:
            return row_expect(self.facts.rows[field.facts["too_many"]], field.name)
        return row_expect(self.facts.bad(field), path)

    def items_of(self, field, count):
        """`count` values that are right."""
        if field.words:
            return [field.words[n % len(field.words)] for n in range(count)]
        return [f"x{n}" for n in range(count)]

    def scalar_list(self, field, path):
        """Name.1, Name.2…, and where there is one the JSON text."""
        absent, wrong = self.absent(field, path), row_expect(self.facts.bad(field), path)
        rest, most = self.without(path), field.facts.get("max_items", LIST_DEFAULT)
        self.add(path, "absent", "", rest, absent)
        self.add(path, "empty", "", self.with_(path, ""), absent)
        self.add(path, "empty", "item", [*rest, (f"{path}.1", "")], DECLARED if field.keeps_empty else absent)
        self.add(path, "no list", "x", self.with_(path, "x"), wrong if field.is_json else absent)
        self.add(path, "no list", ".x", [*rest, (f"{path}.x", "y")], absent if not field.facts.get("required") else DECLARED)
        self.add(path, "not text", b"\xff", [*rest, (f"{path}.1", b"\xff")],
                 row_expect(self.facts.rows["E_INVALID_PARAMETER"], f"{path}.1"), bytes_only=True)
        for bad in BAD_JSON if field.is_json else ("[", "[{}]", "[null]", "[1.5]"):
            self.add(path, "wrong type", bad, self.with_(path, bad), wrong)
        if field.facts.get("effect") == "refused":
            self.add(path, "refused", "x", [*rest, (f"{path}.1", "x")], wrong)
            return
        if field.words:
            self.add(path, "not in enum", "Nonsense", [*rest, (f"{path}.1", field.words[0]), (f"{path}.2", "Nonsense")], wrong)
        numbered = [(f"{path}.{n + 1}", value) for n, value in enumerate(self.items_of(field, most + 1))]
        texts = [f'"{value}"' for _, value in numbered]
        self.add(path, "at", f"{most} items", [*rest, *numbered[:most]], BASE)
        self.add(path, "above", f"{most + 1} items", [*rest, *numbered], self.too_many(field, path))
        self.add(path, "at", f"{most} items of JSON", self.with_(path, f"[{','.join(texts[:most])}]"), BASE)
        self.add(path, "above", f"{most + 1} items of JSON", self.with_(path, f"[{','.join(texts)}]"), self.too_many(field, path))

    def object_list(self, field, path):
        """Name.1.Field…"""
        absent, rest = self.absent(field, path), self.without(path)
        most = field.facts.get("max_items", LIST_DEFAULT)
        self.add(path, "absent", "", rest, absent)
        self.add(path, "no list", "x", self.with_(path, "x"), absent)
        self.add(path, "no list", "JSON", self.with_(path, '[{"a":1}]'), absent)
        first = next((f for f in field.fields if f.kind in ("text", "string") and f.facts.get("effect") != "refused"), field.fields[0])
        numbered = [(f"{path}.{n + 1}.{first.name}", f"x{n}") for n in range(most + 1)]
        self.add(path, "at", f"{most} items", [*rest, *numbered[:most]], BASE if first.facts.get("effect") != "refused" else
                 row_expect(self.facts.bad(first), f"{path}.1.{first.name}"))
        self.add(path, "above", f"{most + 1} items", [*rest, *numbered], self.too_many(field, path))
        self.inside(field, f"{path}.1")

    def inside(self, field, path):
        """Each parameter of an object, beside what else the object needs."""
        before = self.pairs
        beside = world.BESIDE.get((self.action["key"], path), world.BESIDE.get(path, {}))
        self.pairs = [*self.without(path), *[(f"{path}.{name}", value) for name, value in beside.items()]]
        for inner in field.fields:
            self.field(inner, f"{path}.")
        self.pairs = before


def generate(facts, names):
    """All cases in the order of the actions."""
    return [case for action in facts.actions for case in Generator(facts, action, names).all()]
