# SPDX-License-Identifier: Apache-2.0
"""Prometheus' text format, version 0.0.4, read without mercy: what a lenient reader would let pass is an error here.

    families = parse(text)                                   # name -> Family, or Malformed
    families["ecsd_calls_total"].value(result="ok")

Beyond the format: # HELP and # TYPE once for each family and in this order before its samples, which stand together; counters,
and only they, end in _total and are not below 0; buckets grow, are cumulative and end in +Inf with the value of _count.
"""

import math
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?|Inf)|NaN")
TAILS = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


class Malformed(ValueError):
    """What is wrong, and in which line."""


class Family:
    """Its samples: {series name: {((label, value), …): number}}."""

    def __init__(self, name, help_text):
        self.name, self.help, self.type, self.series = name, help_text, None, {}

    def labels(self, tail=""):
        """Names of the labels of its samples."""
        return {name for labels in self.series.get(self.name + tail, {}) for name, _ in labels}

    def value(self, tail="", **labels):
        """The number of one sample; 0 when there is none."""
        return self.series.get(self.name + tail, {}).get(tuple(sorted(labels.items())), 0)

    def total(self, tail="", **labels):
        """The sum over the samples that have these labels."""
        return sum(value for have, value in self.series.get(self.name + tail, {}).items() if set(labels.items()) <= set(have))


def _labels(text, at):
    """The labels behind a brace; (labels, where they end)."""
    found = []
    while True:
        name = LABEL.match(text, at)
        if not name or not text.startswith('="', name.end()):
            raise Malformed("not a label")
        at, value = name.end() + 2, ""
        while text[at:at + 1] != '"':
            if at >= len(text):
                raise Malformed("a value without an end")
            if text[at] == "\\":
                if text[at:at + 2] not in (r"\\", r"\"", r"\n"):
                    raise Malformed("an escape that does not exist")
                value += {"n": "\n"}.get(text[at + 1], text[at + 1])
                at += 2
            else:
                value += text[at]
                at += 1
        if name.group() in dict(found):
            raise Malformed(f"label {name.group()} stands twice")
        found.append((name.group(), value))
        at += 1
        if text.startswith("} ", at):
            return tuple(sorted(found)), at + 1
        if text[at:at + 1] != ",":
            raise Malformed("neither a comma nor the end behind a label")
        at += 1


def _sample(line):
    """(series name, labels, number)."""
    name = NAME.match(line)
    if not name:
        raise Malformed("no name")
    labels, at = _labels(line, name.end() + 1) if line.startswith("{", name.end()) else ((), name.end())
    if line[at:at + 1] != " " or not NUMBER.fullmatch(line[at + 1:]):
        raise Malformed("not one blank and a number behind the name")
    return name.group(), labels, float(line[at + 1:])


def _check_histogram(family):
    name = family.name
    groups = {}
    for labels, value in family.series.get(name + "_bucket", {}).items():
        if "le" not in dict(labels):
            raise Malformed(f"{name}: a bucket without le")
        rest = tuple(pair for pair in labels if pair[0] != "le")
        groups.setdefault(rest, []).append((float(dict(labels)["le"].replace("+Inf", "inf")), value))
    for tail in ("_sum", "_count"):
        if set(family.series.get(name + tail, {})) != set(groups):
            raise Malformed(f"{name}: {tail} is not there for the labels of the buckets")
    for labels, buckets in groups.items():
        bounds, counts = zip(*buckets)
        if list(bounds) != sorted(set(bounds)) or bounds[-1] != math.inf:
            raise Malformed(f"{name}: buckets that do not grow up to +Inf")
        if list(counts) != sorted(counts) or counts[0] < 0 or counts[-1] != family.series[name + "_count"][labels]:
            raise Malformed(f"{name}: buckets that are not cumulative up to _count")


def _check(family):
    """What can be said only when all its samples are there."""
    if family.type is None:
        raise Malformed(f"{family.name}: no TYPE")
    if (family.type == "counter") != family.name.endswith("_total"):
        raise Malformed(f"{family.name}: counters, and only they, end in _total")
    values = [value for series in family.series.values() for value in series.values()]
    if any(not math.isfinite(value) for value in values) or family.type != "gauge" and any(value < 0 for value in values):
        raise Malformed(f"{family.name}: a number that can't be")
    if family.type == "histogram":
        _check_histogram(family)


def _comment(line, families, last):
    """A # HELP or # TYPE line; the family that it is about."""
    words = line.split(" ", 3)
    if len(words) != 4 or words[1] not in ("HELP", "TYPE") or not NAME.fullmatch(words[2]) or not words[3].strip():
        raise Malformed("a comment that is neither HELP nor TYPE")
    if words[1] == "HELP":
        if words[2] in families:
            raise Malformed(f"{words[2]} has HELP twice")
        if re.search(r"\\(?![\\n])", words[3]):
            raise Malformed("an escape that does not exist")
        families[words[2]] = Family(words[2], words[3])
        return families[words[2]]
    if last is None or words[2] != last.name or last.type is not None or last.series:
        raise Malformed("TYPE has to stand behind its HELP")
    if words[3] not in TAILS:
        raise Malformed(f"no type {words[3]}")
    last.type = words[3]
    return last


def _add(line, last):
    """A sample to the family whose turn it is."""
    name, labels, value = _sample(line)
    if last is None or last.type is None or name not in [last.name + tail for tail in TAILS[last.type]]:
        raise Malformed(f"{name} does not stand behind its HELP and TYPE")
    if last.type == "histogram" and not name.endswith("_bucket") and "le" in dict(labels):
        raise Malformed("le where there is no bucket")
    series = last.series.setdefault(name, {})
    if labels in series:
        raise Malformed("the same sample twice")
    series[labels] = value


def parse(text):
    """{name: Family} of a whole page."""
    families, last = {}, None
    if not text.endswith("\n"):
        raise Malformed("the last line has no end")
    for number, line in enumerate(text[:-1].split("\n"), 1):
        try:
            if line.startswith("#"):
                last = _comment(line, families, last)
            else:
                _add(line, last)
        except Malformed as error:
            raise Malformed(f"line {number}: {error}: {line!r}") from None
    for family in families.values():
        _check(family)
    return families
