#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Broken facts must stop the build, with the place in the message; the real ones must pass."""

import json
import pathlib
import shutil
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS))

import apilib  # noqa: E402
import gen_actions  # noqa: E402
import gen_catalog  # noqa: E402
import gen_docs  # noqa: E402
import gen_errors  # noqa: E402
import gen_metrics  # noqa: E402
import gen_options  # noqa: E402
import gen_types  # noqa: E402

API = TOOLS.parent / "api"


class Broken(unittest.TestCase):
    """Each test changes one thing in a copy of api/."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.api = pathlib.Path(self.folder.name) / "api"
        self.out = pathlib.Path(self.folder.name) / "out"
        shutil.copytree(API, self.api)

    def change_json(self, name, change):
        """Applies `change` to the parsed file."""
        path = self.api / name
        facts = json.loads(path.read_text(encoding="utf-8"))
        change(facts)
        path.write_text(json.dumps(facts), encoding="utf-8")

    def replace(self, name, old, new):
        """Textual change that must hit."""
        path = self.api / name
        text = path.read_text(encoding="utf-8")
        self.assertIn(old, text)
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def refused(self, pattern, load=None):
        """Loading fails with a message like `pattern`."""
        with self.assertRaisesRegex(apilib.ApiError, pattern):
            (load or apilib.load_api)(self.api)

    def stop(self, change, pattern):
        """A change of StopInstance.json is refused."""
        self.change_json("actions/StopInstance.json", change)
        self.refused(pattern)

    def first(self, **members):
        """A change of the first parameter of StopInstance."""
        return lambda facts: facts["parameters"][0].update(members)

    def force(self, **members):
        """A change of ForceStop, a bool with a default."""
        return lambda facts: facts["parameters"][1].update(members)

    def test_the_real_facts_pass(self):
        api = apilib.load_api(self.api)
        self.assertTrue([a for a in api.actions if a.action == "StopInstance" and a.built])
        keys = [(a.version, a.action) for a in api.actions]
        self.assertEqual(keys, sorted(keys))

    def test_generators_are_deterministic(self):
        texts = []
        for number in range(2):
            out = self.out / str(number)
            for tool in (gen_errors, gen_types, gen_actions, gen_catalog):
                tool.generate(self.api, out)
            texts.append({p.name: p.read_text(encoding="utf-8") for p in sorted(out.iterdir())})
        self.assertEqual(texts[0], texts[1])
        self.assertEqual(set(texts[0]), {"errors.h", "errors.c", "types.h", "types.c", "actions.h", "actions_shapes.c",
                                         "actions_table.c", "catalog.h", "catalog.c"})
        self.assertIn("int stop_instance(struct action *act,", texts[0]["actions.h"])

    def test_unchanged_output_is_not_touched(self):
        gen_errors.generate(self.api, self.out)
        before = (self.out / "errors.h").stat().st_mtime_ns
        gen_errors.generate(self.api, self.out)
        self.assertEqual((self.out / "errors.h").stat().st_mtime_ns, before)

    def test_unknown_member(self):
        self.stop(lambda f: f.update(colour="red"), r"StopInstance\.json: unknown member 'colour'")

    def test_unknown_parameter_member(self):
        self.stop(self.first(colour="red"), r"StopInstance\.json\[0\]: unknown member 'colour'")

    def test_missing_member(self):
        self.stop(lambda f: f.pop("errors"), "'errors' is missing")

    def test_doubled_member(self):
        self.replace("actions/StopInstance.json", '"reply": {}', '"reply": {}, "kind": "read"')
        self.refused(r"StopInstance\.json: member 'kind' stands twice")

    def test_bad_json(self):
        self.replace("actions/StopInstance.json", '"reply": {},', '"reply": {}')
        self.refused(r"StopInstance\.json")

    def test_unknown_type(self):
        self.stop(self.first(type="strnig"), r"InstanceId: there is no type 'strnig'")

    def test_unknown_enum(self):
        self.stop(self.first(type="enum:colour"), "there is no enum 'colour'")

    def test_unknown_object(self):
        self.stop(self.first(type="object:colour"), "there is no object 'colour'")

    def test_list_of_times(self):
        self.stop(self.first(type="list:time:second"), "lists of time:second are not known")

    def test_default_of_required(self):
        self.stop(self.first(default="i-1"), "a required parameter has no default")

    def test_default_of_other_type(self):
        self.stop(self.force(default="no"), "'no' is not a default of bool")

    def test_default_that_is_a_bool(self):
        self.stop(self.force(type="int", default=True), "True is not a default of int")

    def test_default_outside_the_enum(self):
        self.stop(self.force(type="enum:charge_type", default="Free"), "'Free' is not a word of charge_type")

    def test_default_out_of_bounds(self):
        self.stop(self.force(type="int", default=9, min=1, max=3), "the default is out of bounds")

    def test_bounds_without_max(self):
        self.stop(self.force(type="int", default=9, min=1), "max is missing")

    def test_bounds_of_a_bool(self):
        self.stop(self.force(min=1, max=2), "bounds are for numbers and lengths")

    def test_max_items_of_a_scalar(self):
        self.stop(self.first(max_items=2), "only lists have max_items")

    def test_fields_of_a_scalar(self):
        self.stop(self.first(fields=[]), "`fields` belong to")

    def test_unknown_error_of_a_parameter(self):
        self.stop(self.first(error="E_COLOUR"), "there is no error 'E_COLOUR'")

    def test_error_of_a_parameter_with_many_arguments(self):
        self.stop(self.first(error="E_SIGNATURE_V3"), "at most one argument")

    def test_missing_of_an_optional(self):
        self.stop(self.force(missing="E_INVALID_PARAMETER"), "only what is required can be missing")

    def test_effect_without_note(self):
        self.stop(self.force(effect="accepted"), "says why in `note`")

    def test_unknown_effect(self):
        self.stop(self.force(effect="ignored", note="x"), "effect is one of")

    def test_refused_and_required(self):
        self.stop(self.first(effect="refused", note="x"), "only optional values")

    def test_doubled_parameter(self):
        self.stop(lambda f: f["parameters"].append({"name": "forcestop", "type": "bool"}), "forcestop is taken")

    def test_two_spellings_of_one_c_member(self):
        self.stop(lambda f: f["parameters"].append({"name": "Force_Stop", "type": "bool"}), "not a name of a parameter")

    def test_kind(self):
        self.stop(lambda f: f.update(kind="both"), "kind is read or write")

    def test_product_of_another_version(self):
        self.stop(lambda f: f.update(version="2016-04-28"), "products.json has no Ecs 2016-04-28")

    def test_file_name(self):
        (self.api / "actions/StopInstance.json").rename(self.api / "actions/Halt.json")
        self.refused(r"Halt\.json: should be called StopInstance\.json")

    def test_resource_of_no_parameter(self):
        self.stop(lambda f: f["permission"].update(resource="instance/{Colour}"), "names 'Colour', which is no parameter")

    def test_idempotent_without_token(self):
        self.stop(lambda f: f.update(idempotent="ClientToken"), "that is a parameter")

    def test_unknown_error_code(self):
        self.stop(lambda f: f["errors"].append("No.Such"), "errors.txt has no 'No.Such'")

    def test_doubled_error_code(self):
        self.stop(lambda f: f["errors"].append("DiskError"), "an error stands twice")

    def test_summary(self):
        self.stop(lambda f: f.update(summary="stop it"), "the summary is a sentence")

    def test_reply_forms(self):
        for member, pattern in (({"type": "string", "list": "string"}, "give one of"),
                                ({"type": "string", "item": "X"}, "`item` names the elements"),
                                ({"type": "list:string"}, "write lists and objects"),
                                ({"type": {}}, "a type is a word"),
                                ({"list": "string", "colour": 1}, "unknown member 'colour'")):
            with self.subTest(member=member):
                self.stop(lambda f, m=member: f.update(reply={"Name": m}), pattern)

    def test_two_structs_of_one_name(self):
        self.change_json("types.json", lambda f: f["objects"].update(stop_instance_request={"A": "string"}))
        with self.assertRaisesRegex(apilib.ApiError, "two objects are called stop_instance_request"):
            gen_actions.generate(self.api, self.out)

    def test_enum_words_alike(self):
        self.change_json("types.json", lambda f: f["enums"]["charge_type"].append("postpaid"))
        self.refused("two words are the same")

    def test_enum_name(self):
        self.change_json("types.json", lambda f: f["enums"].update(Colour=["red"]))
        self.refused("needs a name in small letters")

    def test_known_actions_are_sorted(self):
        self.replace("ecs_actions.txt", "\nStartInstance\n", "\nZtartInstance\n")
        self.refused("names are sorted")

    def test_built_action_is_known(self):
        self.replace("ecs_actions.txt", "\nStopInstance\n", "\n")
        self.refused("lacks StopInstance")

    def test_error_rows(self):
        good = "E_DRY_RUN | 400 | DryRunOperation | Request validation has been passed with DryRun flag set."
        for bad, pattern in (("E_DRY_RUN | 400 | DryRunOperation", "3 columns"),
                             ("E_DRY_RUN | 200 | DryRunOperation | x", "'200' is not an HTTP status"),
                             ("E_dry | 400 | DryRunOperation | x", "'E_dry' is not a name"),
                             ("E_DRY_RUN | 400 | Dry-Run | x", "'Dry-Run' is not a code"),
                             ("E_DRY_RUN | 400 | DryRunOperation | %d", "only %s"),
                             ("E_INVALID | 400 | DryRunOperation | x", "E_INVALID is taken"),
                             ("E_DRY_RUN | 400 | DryRunOperation | x | 4000 | y", "'4000' is not an HTTP status")):
            with self.subTest(bad=bad):
                path = self.api / "errors.txt"
                whole = path.read_text(encoding="utf-8")
                self.assertIn(good, whole)
                path.write_text(whole.replace(good, bad), encoding="utf-8")
                self.refused(r"errors\.txt:\d+: .*" + pattern, apilib.load_errors)
                path.write_text(whole, encoding="utf-8")

    def test_catalogue_rows(self):
        def load(api):
            gen_catalog.generate(api, self.out)
        for name, old, new, pattern in (
                ("instance_types.tsv", "ecs.g6.large\t", "ecs.a6.large\t", "types are sorted"),
                ("instance_types.tsv", "ecs.g6.large\tecs.g6\tecs-5", "ecs.g6.large\tecs.g6\tecs-4", "two generations"),
                ("instance_types.tsv", "local_ssd_pro", "local_tape", "no disk category 'local_tape'"),
                ("instance_types.tsv", "CpuCoreCount", "Cores", "other columns"),
                ("regions.json", "cn-hangzhou-h", "cn-shanghai-h", "stands twice, or is not of"),
                ("images.json", '"os_type": "linux"', '"os_type": "plan9"', "is not known"),
                ("images.json", '"created": "2024-05-31', '"created": "2024-13-31', "is not a time")):
            with self.subTest(new=new):
                before = (self.api / name).read_text(encoding="utf-8")
                self.replace(name, old, new)
                self.refused(pattern, load)
                (self.api / name).write_text(before, encoding="utf-8")


class Names(unittest.TestCase):
    """Wire names to C names."""

    def test_snake(self):
        for wire, name in (("InstanceId", "instance_id"), ("OSNameEn", "os_name_en"), ("VSwitchId", "vswitch_id"),
                           ("KMSKeyId", "kms_key_id"), ("CurrentOSNVMeSupported", "current_os_nvme_supported"),
                           ("Ipv6Address", "ipv6_address"), ("HttpPutResponseHopLimit", "http_put_response_hop_limit"),
                           ("Default", "default_value")):
            self.assertEqual(apilib.snake(wire), name)

    def test_constant(self):
        self.assertEqual(apilib.constant("stopped_mode", "Not-applicable"), "STOPPED_MODE_NOT_APPLICABLE")
        self.assertEqual(apilib.constant("disk_status", "ReIniting"), "DISK_STATUS_RE_INITING")

    def test_c_text(self):
        self.assertEqual(apilib.c_text('a"\\é'), '"a\\"\\\\\\303\\251"')
        self.assertEqual(apilib.c_text(None), "NULL")


class Documents(unittest.TestCase):
    """Pages of the real facts."""

    def test_every_parameter_that_does_less_is_named(self):
        api = apilib.load_api(API)
        page = gen_docs.compatibility(api)
        for action in api.actions:
            if action.built and action.product != "Admin":
                for name, _ in gen_docs.effects(action)[1]:
                    self.assertIn(f"| `{name}` | ", page)

    def test_pages_hold_their_parameters(self):
        api = apilib.load_api(API)
        for action in api.actions:
            if action.built:
                page = gen_docs.action_page(action, api)
                for name, _ in gen_docs.flat(action.request):
                    self.assertIn(f"| `{name}` |", page)

    def test_options_and_metrics_are_all_named_once(self):
        options, metrics = gen_options.load_options(API), gen_metrics.load_metrics(API)
        page = gen_docs.options_page(options, metrics)
        for name in [option.name for option in options] + [metric.name for metric in metrics]:
            self.assertEqual(page.count(f"\n| `{name}` | "), 1, name)
        for line in page.splitlines():
            if line.startswith("| `"):
                self.assertIn(line.count(" | "), (3, 4), line)

    def test_an_option_in_words(self):
        rows = {option.name: option for option in gen_options.load_options(API)}
        page = gen_docs.options_page([rows["stop.on_timeout"], rows["sim.boot_s"], rows["http.tls_key"]], [])
        self.assertIn("| `stop.on_timeout` | `escalate` | one of `escalate`, `revert` | ", page)
        self.assertIn("| `sim.boot_s` | `0.2` | number, 0 to 86400 | ", page)
        self.assertIn("| `http.tls_key` | empty | text | ", page)
        self.assertIn(" | `ECSD_HTTP_TLS_KEY` |\n", page)
        self.assertLess(page.index("### stop"), page.index("### sim"))

    def test_a_metric_in_words(self):
        rows = {metric.name: metric for metric in gen_metrics.load_metrics(API)}
        page = gen_docs.options_page([], list(rows.values()))
        self.assertIn("| `ecsd_commits_total` | counter | `result`: `ok`, `failed` | ", page)
        self.assertIn("| `ecsd_commit_seconds` | histogram | buckets 0.0001, 0.00025, ", page)
        self.assertIn("| `ecsd_batch_writes` | histogram | buckets 1, 2, 4, ", page)
        self.assertIn("| `ecsd_action_calls_total` | counter | `action`, `code` | ", page)
        self.assertIn("| `ecsd_call_seconds` | histogram | `action`; buckets 0.0001, ", page)

    def test_a_stale_page_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            pages = gen_docs.committed_pages(API)
            self.assertEqual(len(gen_docs.stale_pages(pages, folder)), len(pages))
            for name, text in pages:
                apilib.write_text(folder, name, text)
            self.assertEqual(gen_docs.stale_pages(pages, folder), [])
            path = pathlib.Path(folder) / "OPTIONS.md"
            path.write_text(path.read_text(encoding="utf-8").replace("node.region", "node.regoin"), encoding="utf-8")
            self.assertEqual(gen_docs.stale_pages(pages, folder), [path])


if __name__ == "__main__":
    unittest.main()
