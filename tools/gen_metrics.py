#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""api/metrics.json -> metrics.h (enum metric_id), metrics.c (metric_rows).

A row with a label makes one id per value: CALLS with values ok and refused gives METRIC_CALLS_OK, METRIC_CALLS_REFUSED.
A row with labels has one id and no numbers here: whoever knows their values counts, and prints through base/metric.h; a
histogram of that kind gets METRIC_X_CELLS, the numbers that each combination needs.
A histogram takes microseconds and prints seconds (unit "us"), or takes and prints plain numbers (unit "one"); so does a
gauge with unit "us".
"""

import pathlib
import re

import apilib

MEMBERS = {"name", "type", "label", "values", "labels", "id", "unit", "buckets", "help"}
LABELS_MAX = 3  # METRIC_LABELS_MAX of base/metric.h
NAME = re.compile(r"ecsd_[a-z0-9_]+")
LABEL = re.compile(r"[a-z][a-z_]*")
ID = re.compile(r"[A-Z][A-Z0-9_]*")


class Metric:
    """One row of metrics.json."""

    def __init__(self, facts, place):
        apilib.check_members(facts, MEMBERS, {"name", "type", "id", "help"}, place)
        self.name, self.type, self.id, self.help = (facts[key] for key in ("name", "type", "id", "help"))
        if not NAME.fullmatch(self.name) or not ID.fullmatch(self.id):
            raise apilib.ApiError(f"{place}: name {self.name!r} or id {self.id!r} is malformed")
        place = f"metrics.json: {self.name}"
        if self.type not in ("counter", "gauge", "histogram"):
            raise apilib.ApiError(f"{place}: type is counter, gauge or histogram")
        if (self.type == "counter") != self.name.endswith("_total"):
            raise apilib.ApiError(f"{place}: counters, and only they, end in _total")
        if "\n" in self.help or "\\" in self.help:
            raise apilib.ApiError(f"{place}: help is one line without backslashes: it is printed as it is")
        self.label, self.values = facts.get("label"), facts.get("values", [])
        if bool(self.label) != bool(self.values) or (self.label and self.type == "histogram"):
            raise apilib.ApiError(f"{place}: label and values go together, and not with a histogram")
        if any(not LABEL.fullmatch(word) for word in self.values + ([self.label] if self.label else [])):
            raise apilib.ApiError(f"{place}: labels are lower-case words")
        self.labels = facts.get("labels")
        self._check_labels(place)
        self.unit, self.buckets = facts.get("unit"), facts.get("buckets", [])
        self._check_histogram(place)

    def _check_labels(self, place):
        if self.labels is None:
            return
        if self.label or not 0 < len(apilib.check_type(self.labels, list, place)) <= LABELS_MAX:
            raise apilib.ApiError(f"{place}: one to {LABELS_MAX} labels, and then no label with values")
        if any(not isinstance(word, str) or not LABEL.fullmatch(word) or word == "le" for word in self.labels):
            raise apilib.ApiError(f"{place}: labels are lower-case words")
        if len(set(self.labels)) != len(self.labels):
            raise apilib.ApiError(f"{place}: a label stands twice")

    def _check_histogram(self, place):
        if (self.type == "histogram") != bool(self.buckets):
            raise apilib.ApiError(f"{place}: a histogram, and nothing else, has buckets")
        if self.unit not in (None, "us", "one") or (self.unit == "us") != self.name.endswith("_seconds"):
            raise apilib.ApiError(f"{place}: unit is us for names in _seconds, else one")
        if bool(self.unit) != bool(self.buckets) and not (self.type == "gauge" and self.unit == "us"):
            raise apilib.ApiError(f"{place}: a histogram has a unit, a gauge only \"us\", a counter none")
        for bound in self.buckets:
            apilib.check_type(bound, int, place)
        if sorted(set(self.buckets)) != self.buckets:
            raise apilib.ApiError(f"{place}: buckets have to grow")

    def members(self):
        """(constant, label text) of each id of this row."""
        if not self.values:
            return [(f"METRIC_{self.id}", None)]
        return [(f"METRIC_{self.id}_{value.upper()}", f'{self.label}="{value}"') for value in self.values]


def load_metrics(api):
    """Rows of metrics.json in order."""
    rows = apilib.check_type(apilib.load_json(pathlib.Path(api) / "metrics.json"), list, "metrics.json")
    metrics = [Metric(row, f"metrics.json[{i}]") for i, row in enumerate(rows)]
    names = [metric.name for metric in metrics]
    ids = [member[0] for metric in metrics for member in metric.members()]
    if len(set(names)) != len(names) or len(set(ids)) != len(ids):
        raise apilib.ApiError("metrics.json: a name or an id stands twice")
    return metrics


def number_count(metric):
    """Numbers that one combination of label values needs: a histogram has a count per bucket, one above the last, the sum."""
    return len(metric.buckets) + 2 if metric.buckets else 1


def cell_count(metric):
    """Numbers that base/metric.c keeps for one id."""
    return 0 if metric.labels else number_count(metric)


def header(metrics):
    """The ids, and how many numbers they need together."""
    lines = [apilib.MADE_BY.format(tool="gen_metrics.py"), "#pragma once\n\n", "enum metric_id {\n"]
    cells = 0
    for metric in metrics:
        for constant, _ in metric.members():
            lines.append(f"    {constant},\n")
            cells += cell_count(metric)
    lines.append(f"    METRIC_COUNT,\n}};\n\n#define METRIC_CELL_COUNT {cells}\n")
    for metric in metrics:
        if metric.labels and metric.buckets:
            lines.append(f"#define METRIC_{metric.id}_CELLS {number_count(metric)}\n")
    return "".join(lines)


def source(metrics):
    """The table that base/metric.c interprets."""
    lines = [apilib.MADE_BY.format(tool="gen_metrics.py"), '#include "base/metric.h"\n\n']
    for metric in metrics:
        if metric.buckets:
            bounds = ", ".join(str(bound) for bound in metric.buckets)
            lines.append(f"static const int64_t {metric.id.lower()}_bounds[] = {{{bounds}}};\n")
    lines.append("\nconst struct metric_row metric_rows[METRIC_COUNT] = {\n")
    cell = 0
    for metric in metrics:
        for constant, label in metric.members():
            cells = [f".name = {apilib.c_text(metric.name)}", f".kind = METRIC_KIND_{metric.type.upper()}",
                     f".cell = {cell}", f".help = {apilib.c_text(metric.help)}"]
            if label:
                cells.append(f".label = {apilib.c_text(label)}")
            if metric.labels:
                names = ", ".join(apilib.c_text(name) for name in metric.labels)
                cells += [f".labels = {{{names}}}", f".label_count = {len(metric.labels)}"]
            if metric.buckets:
                cells += [f".bounds = {metric.id.lower()}_bounds", f".bound_count = {len(metric.buckets)}"]
            if metric.unit == "us":
                cells.append(".seconds = true")
            lines.append(f"    [{constant}] = {{{', '.join(cells)}}},\n")
            cell += cell_count(metric)
    lines.append("};\n")
    return "".join(lines)


def generate(api, out):
    """Called by the command line and by the tests."""
    metrics = load_metrics(api)
    apilib.write_text(out, "metrics.h", header(metrics))
    apilib.write_text(out, "metrics.c", source(metrics))


if __name__ == "__main__":
    apilib.run_generator(__doc__, generate)
