# SPDX-License-Identifier: Apache-2.0
"""/metrics as Prometheus reads it: well formed, true, bounded; and the dashboard asks for what is there."""

import http.client
import json
import re
import threading
import unittest

from exposition import Malformed, parse
from harness import ROOT, SLOW, EcsTest, until
from test_operator import VirtualTest, admin_address, admin_get

ADMIN = ("--admin", "127.0.0.1:0")
TARGET_LABELS = {"instance", "job"}  # what Prometheus adds


def metrics(daemon):
    status, text = admin_get(daemon, "/metrics")
    assert status == 200, (status, text)
    return parse(text)


class Parser(unittest.TestCase):
    """It has to be strict: else the tests below say nothing."""

    GOOD = ("# HELP a_total Some.\n# TYPE a_total counter\na_total{x=\"1\\n\\\\\\\"}{,=#\",y=\"\"} 3\na_total 4\n"
            "# HELP h_seconds Time.\n# TYPE h_seconds histogram\nh_seconds_bucket{le=\"0.5\"} 1\nh_seconds_bucket{le=\"+Inf\"} 2\n"
            "h_seconds_sum 0.75\nh_seconds_count 2\n# HELP g Now.\n# TYPE g gauge\ng -1.5\n")

    def test_what_is_good(self):
        families = parse(self.GOOD)
        self.assertEqual(families["a_total"].value(x="1\n\\\"}{,=#", y=""), 3)
        self.assertEqual(families["a_total"].total(), 7)
        self.assertEqual(families["h_seconds"].value("_bucket", le="+Inf"), 2)
        self.assertEqual((families["g"].value(), families["g"].type), (-1.5, "gauge"))

    def test_what_is_not(self):
        for old, new in (
            ("g -1.5\n", "g -1.5"), ("g -1.5", "g  -1.5"), ("a_total 4\n", "a_total 4\n\n"), (" 4\n", " 4 \n"), (" 3\n", " 3x\n"),
            ("a_total 4", "a_total -4"), ("a_total 4\n", "a_total 4\na_total 4\n"), ("y=\"\"", "x=\"\""), ("y=\"\"}", "y=\"\",}"),
            ("x=\"1\\n", "x=\"1\\t"), ("{x=", "{x:y="), ("g -1.5\n", "g -1.5\n# a note\n"), ("# TYPE g gauge\n", ""),
            ("# TYPE g gauge", "# TYPE g number"), ("# HELP g Now.\n", ""), ("# TYPE a_total counter", "# TYPE a_total gauge"),
            ("g -1.5\n", "g -1.5\na_total{z=\"1\"} 1\n"), ("# HELP g Now.\n# TYPE g gauge", "# TYPE g gauge\n# HELP g Now."),
            ("{le=\"0.5\"} 1", "{le=\"0.5\"} 3"), ("h_seconds_bucket{le=\"+Inf\"} 2\n", ""), ("h_seconds_count 2", "h_seconds_count 3"),
            ("h_seconds_sum 0.75\n", ""), ("{le=\"0.5\"} 1", "{le=\"inf\"} 1"), ("h_seconds_sum 0.75", "h_seconds_sum{le=\"1\"} 0.75"),
            ("{le=\"0.5\"}", ""), ("g -1.5", "g NaN"), ("HELP g Now.", "HELP g A \\ b."), ("h_seconds_sum 0.75", "h_seconds 0.75"),
            ("g -1.5\n", "g -1.5\n# HELP g Now.\n# TYPE g gauge\n")):
            with self.subTest(new=new):
                self.assertIn(old, self.GOOD)
                with self.assertRaises(Malformed):
                    parse(self.GOOD.replace(old, new, 1))


class Calls(EcsTest):
    options = ADMIN

    def test_the_page_says_what_it_is(self):
        connection = http.client.HTTPConnection(*admin_address(self.ecs), timeout=20 * SLOW)
        try:
            connection.request("GET", "/metrics")
            reply = connection.getresponse()
            text = reply.read().decode()
        finally:
            connection.close()
        self.assertEqual((reply.status, reply.getheader("Content-Type")), (200, "text/plain; version=0.0.4; charset=utf-8"))
        families = parse(text)
        facts = {row["name"]: row for row in json.loads((ROOT / "api/metrics.json").read_text())}
        self.assertEqual({name: family.type for name, family in families.items()}, {n: row["type"] for n, row in facts.items()})
        self.assertEqual({name: family.help for name, family in families.items()}, {n: row["help"] for n, row in facts.items()})

    def test_each_call_counts_once_for_its_action_and_code(self):
        i = self.running_instance()
        before = metrics(self.ecs)
        self.call("StopInstance", InstanceId=i)
        self.refuses("StopInstance", InstanceId="i-nothere", code="InvalidInstanceId.NotFound", status=404)
        self.refuses("StopInstance", InstanceId="i-nothere", code="InvalidInstanceId.NotFound", status=404)
        self.assertEqual(self.ecs.v3("StopInstance", {"InstanceId": i}, secret="wrong").code, "SignatureDoesNotMatch")
        self.refuses("CreateImage", code="UnsupportedOperation", status=403)
        self.assertEqual(self.ecs.v3("NoSuchAction").code, "InvalidAction.NotFound")
        self.ecs.ctl("host", "list")
        after = metrics(self.ecs)

        def grown(action, code):
            return (after["ecsd_action_calls_total"].value(action=action, code=code)
                    - before["ecsd_action_calls_total"].value(action=action, code=code))
        self.assertEqual([grown("StopInstance", code) for code in ("ok", "InvalidInstanceId.NotFound", "SignatureDoesNotMatch")], [1, 2, 1])
        self.assertEqual([grown("other", code) for code in ("UnsupportedOperation", "InvalidAction.NotFound")], [1, 1])
        self.assertEqual(grown("Admin.ListHosts", "ok"), 1)
        self.assertNotIn("0", {f"{value:g}" for value in after["ecsd_action_calls_total"].series["ecsd_action_calls_total"].values()})

    def test_the_sums_agree(self):
        self.call("DescribeRegions")
        families = metrics(self.ecs)
        calls, times = families["ecsd_action_calls_total"], families["ecsd_call_seconds"]
        actions = {dict(labels)["action"] for labels in calls.series[calls.name]}
        self.assertEqual(actions, {dict(labels)["action"] for labels in times.series[times.name + "_count"]})
        for action in actions:
            self.assertEqual(calls.total(action=action), times.value("_count", action=action), action)
        self.assertEqual(calls.total(), families["ecsd_calls_total"].total())
        self.assertGreater(times.value("_sum", action="DescribeRegions"), 0)

    def test_what_clients_make_up_makes_no_series(self):
        nasty = ['"', "\\", "a\nb", "é", "x" * 200]
        self.assertEqual(self.ecs.v3("Nothing0").status, 404)
        before = set(metrics(self.ecs)["ecsd_call_seconds"].series["ecsd_call_seconds_count"])
        for n in range(50):
            self.assertEqual(self.ecs.v1(f"Nothing{n}").status, 404)
        for action in nasty:
            self.assertEqual(self.ecs.v1(action).status, 404)
        self.assertEqual(set(metrics(self.ecs)["ecsd_call_seconds"].series["ecsd_call_seconds_count"]), before)

    def test_well_formed_while_calls_come(self):
        stop, errors = threading.Event(), []

        def load():
            while not stop.is_set():
                if self.ecs.v3("DescribeInstanceStatus", {"RegionId": "cn-hangzhou"}).status != 200:
                    errors.append("refused")
        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            pages = [metrics(self.ecs) for _ in range(30)]
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(errors, [])
        counts = [page["ecsd_call_seconds"].value("_count", action="DescribeInstanceStatus") for page in pages]
        self.assertEqual(counts, sorted(counts))


class Engine(VirtualTest):
    def gauge(self, name, **labels):
        return metrics(self.ecs)[name].value(**labels)

    def await_gauge(self, wanted, name, **labels):
        until(self, lambda: (self.advance("1s"), self.gauge(name, **labels) == wanted)[1])

    def test_a_stuck_stop(self):
        i = self.running_instance()
        host = json.loads(self.ecs.ctl("instance", "show", i, "--json"))["HostId"]
        hosts = len(json.loads(self.ecs.ctl("host", "list", "--json"))["Hosts"]["Host"])
        self.assertEqual(self.gauge("ecsd_hosts", state="up"), hosts)
        self.assertEqual(self.gauge("ecsd_jobs_by_kind", kind="stop"), 0)
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=on")
        self.call("StopInstance", InstanceId=i)
        self.ecs.ctl("sim", "host", host, "down")
        self.await_gauge(1, "ecsd_jobs_at_silent_hosts")
        page = metrics(self.ecs)
        self.assertEqual((page["ecsd_hosts"].value(state="silent"), page["ecsd_hosts"].value(state="up")), (1, hosts - 1))
        self.assertEqual(page["ecsd_jobs_by_kind"].value(kind="stop"), 1)
        self.assertEqual(page["ecsd_jobs_by_kind"].total(), page["ecsd_jobs_active"].value())
        self.assertEqual(page["ecsd_jobs_by_state"].total(), page["ecsd_jobs_active"].value())
        self.assertEqual(page["ecsd_jobs_overdue"].total(), 0)
        self.advance("6m")  # 5 minutes are its deadline, 1 is grace, and some seconds have passed before
        self.await_gauge(1, "ecsd_jobs_overdue", kind="stop")
        self.assertGreater(self.gauge("ecsd_job_oldest_seconds", kind="stop"), 360)
        self.ecs.ctl("sim", "host", host, "up")
        self.await_status(i, "Stopped")
        self.await_gauge(0, "ecsd_jobs_by_kind", kind="stop")
        self.assertEqual(self.gauge("ecsd_jobs_overdue", kind="stop"), 0)
        self.assertEqual(self.gauge("ecsd_job_oldest_seconds", kind="stop"), 0)

    def test_hosts_as_the_operator_says(self):
        self.ecs.ctl("host", "set", "host-1", "state=draining")
        self.await_gauge(1, "ecsd_hosts", state="draining")
        self.ecs.ctl("host", "set", "host-1", "state=up")
        self.await_gauge(0, "ecsd_hosts", state="draining")


class Lease(EcsTest):
    options = ADMIN
    settings = {"engine.lease_s": "30"}

    def test_the_lease_of_each_start(self):
        page = metrics(self.ecs)
        epoch = page["ecsd_node_epoch"].total()
        self.assertGreater(epoch, 0)
        self.assertTrue(0 < page["ecsd_lease_seconds"].value() <= 30, page["ecsd_lease_seconds"].value())
        self.assertEqual(page["ecsd_fenced"].value(), 0)
        self.ecs.kill()
        self.ecs.start()
        self.assertGreater(metrics(self.ecs)["ecsd_node_epoch"].total(), epoch)


class Dashboard(EcsTest):
    """deploy/grafana/ecsd.json against a daemon that has had a few calls."""

    options = ADMIN

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.board = json.loads((ROOT / "deploy/grafana/ecsd.json").read_text())
        cls.panels = [panel for panel in cls.board["panels"] if panel["type"] != "row"]

    def queries(self):
        """(panel title, expression, labels of its legend)."""
        for panel in self.panels:
            for target in panel["targets"]:
                yield panel["title"], target["expr"], set(re.findall(r"{{ *(\w+) *}}", target["legendFormat"]))

    def test_every_metric_and_label_of_a_query_is_printed(self):
        self.stopped_instance()
        self.call("StopInstance", status=404, InstanceId="i-nothere")
        families = metrics(self.ecs)
        labels = {series: {name for have in samples for name, _ in have}
                  for family in families.values() for series, samples in family.series.items()}
        values = {(series, pair) for family in families.values() for series, samples in family.series.items()
                  for have in samples for pair in have}
        asked = 0
        for title, expr, legend in self.queries():
            with self.subTest(panel=title, expr=expr):
                selectors = re.findall(r"\b(ecsd_\w+)({[^}]*})?", expr)
                self.assertTrue(selectors)
                self.assertEqual(expr.count("("), expr.count(")"))
                known = set(TARGET_LABELS)
                for series, matchers in selectors:
                    self.assertIn(series, labels)
                    known |= labels[series]
                    self.assertIn('instance=~"$instance"', matchers)
                    for name, operator, value in re.findall(r'(\w+)(=~|!=|!~|=)"([^"]*)"', matchers):
                        self.assertIn(name, labels[series] | TARGET_LABELS)
                        if operator == "=":
                            self.assertIn((series, (name, value)), values)
                        asked += 1
                for words in re.findall(r"\bby \(([^)]*)\)", expr):
                    self.assertLessEqual(set(re.split(r", *", words)), known)
                    self.assertLessEqual(legend, set(re.split(r", *", words)))
                self.assertTrue(not legend or " by (" in expr)
        self.assertGreater(asked, 50)

    def test_every_family_is_shown_or_documented(self):
        shown = {name for _, expr, _ in self.queries() for name in re.findall(r"\becsd_\w+", expr)}
        page = (ROOT / "docs/OPTIONS.md").read_text()
        for name, family in metrics(self.ecs).items():
            series = {name + tail for tail in ("", "_bucket", "_sum", "_count")}
            self.assertTrue(series & shown or f"| `{name}` | {family.type} |" in page, name)
        prose = set(re.findall(r"\becsd_[a-z_]+", (ROOT / "docs/OPERATIONS.md").read_text()))
        self.assertLessEqual(prose, set(metrics(self.ecs)), "OPERATIONS.md names a metric that is none")

    def test_grafana_can_load_it(self):
        board = self.board
        self.assertGreaterEqual(board["schemaVersion"], 36)
        self.assertEqual([row["title"] for row in board["panels"] if row["type"] == "row"],
                         ["Traffic", "Stops", "Jobs", "Store", "Hosts and leases"])
        source = next(v for v in board["templating"]["list"] if v["type"] == "datasource")
        self.assertEqual((source["name"], source["query"]), ("datasource", "prometheus"))
        ids = [panel["id"] for panel in board["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        taken = set()
        for panel in board["panels"]:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells
        for panel in self.panels:
            for item in [panel, *panel["targets"]]:
                self.assertEqual(item["datasource"], {"type": "prometheus", "uid": "${datasource}"})
            refs = [target["refId"] for target in panel["targets"]]
            self.assertEqual(len(refs), len(set(refs)))


if __name__ == "__main__":
    unittest.main()
