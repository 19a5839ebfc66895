#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""api/ -> COMPATIBILITY.md, OPTIONS.md (committed in docs/) and a page per action (in the build folder only).

  gen_docs.py --api api --write docs       writes docs/COMPATIBILITY.md and docs/OPTIONS.md
  gen_docs.py --api api --check docs       fails when a committed one is another
  gen_docs.py --api api --out build/docs   writes both, and api/*.md, there
"""

import argparse
import json
import pathlib
import sys

import apilib
import gen_metrics
import gen_options

NOTICE = "<!-- Made by tools/gen_docs.py; edit api/ instead. -->\n"
TITLE = {"Ecs": "ECS", "Sts": "STS", "Location": "Location", "Vpc": "VPC", "Ram": "RAM"}


def cell(text):
    """Text that may stand in a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def type_of(field):
    """The type in words of the documents; the words of an enum stand elsewhere."""
    if field.has("JSON"):
        return "JSON array of strings"
    text = field.type_text.removeprefix("list:")
    words = {"numtext": "int", "text": "string", "secret": "string", "object": "object"}
    kinds = {"enum": "string", "id": "id of {}", "time": "time", "object": "{}"}
    kind, _, rest = text.partition(":")
    text = words[text] if text in words else kinds[kind].format(rest) if kind in kinds else text
    return f"list of {text}" if field.has("LIST") else text


def flat(shape, prefix=""):
    """(wire name, field) of everything in a request."""
    for field in shape.fields:
        name = prefix + field.name + (".N" if field.has("LIST") and not field.has("JSON") else "")
        if field.shape is None:
            yield name, field
        else:
            yield from ((inner, part) for inner, part in flat(field.shape, name + "."))


def parameter_facts(field, types):
    """What a row of the parameter table says in its last column."""
    facts = [field.summary] if field.summary else []
    if field.enum:
        facts.append("One of " + ", ".join(f"`{word}`" for word in types.enums[field.enum]) + ".")
    if field.max:
        facts.append(f"{field.min} to {field.max}" + (" bytes." if field.kind == "STR" else "."))
    if field.max_items:
        facts.append(f"At most {field.max_items}.")
    if field.default is not None:
        facts.append(f"Default `{field.default}`.")
    if field.note:
        facts.append(f"**{field.effect.capitalize()}**: {field.note}")
    return " ".join(facts)


def reply_rows(shape, depth=0):
    """The members of a reply, indented."""
    for field in shape.fields:
        name = "&nbsp;" * 4 * depth + field.name + (f".{field.item}[]" if field.item else "[]" if field.has("LIST") else "")
        yield f"| {name} | {cell(type_of(field))} | {cell(field.summary)} |\n"
        if field.shape is not None:
            yield from reply_rows(field.shape, depth + 1)


def statuses(code, api):
    """HTTP statuses and texts of a code, each once."""
    seen = []
    for row in api.errors:
        if row.code == code and (row.status, row.message) not in seen:
            seen.append((row.status, row.message))
    return seen


def action_page(action, api):
    """docs/api/<Action>.md"""
    text = f"{NOTICE}# {action.action}\n\n{action.summary}\n"
    text += f"{action.note}\n" if action.note else ""
    text += f"\n`{action.product}` `{action.version}` · {action.kind}"
    text += f" · permission `{action.permission}` on `{action.resource}`" if action.permission else ""
    text += " · repeatable by ClientToken" if action.client_token else ""
    rows = list(flat(action.request))
    text += "\n\n## Parameters\n\n"
    text += "| name | type | needed | meaning |\n|---|---|---|---|\n" if rows else "None.\n"
    for name, field in rows:
        needed = "yes" if field.has("REQUIRED") else ""
        text += f"| `{name}` | {cell(type_of(field))} | {needed} | {cell(parameter_facts(field, api.types))} |\n"
    text += "\n## Reply\n\n| member | type | meaning |\n|---|---|---|\n| RequestId | string |  |\n"
    text += "".join(reply_rows(action.reply))
    if action.errors:
        text += "\n## Errors beyond the common ones\n\n| code | HTTP | message |\n|---|---|---|\n"
        for code in action.errors:
            for status, message in statuses(code, api):
                text += f"| `{code}` | {status} | {cell(message)} |\n"
    return text


def effects(action):
    """How many parameters are honoured, and which are not."""
    rows = list(flat(action.request))
    return (sum(field.effect == "honoured" for _, field in rows),
            [(name, field) for name, field in rows if field.effect != "honoured"])


def compatibility(api):
    """COMPATIBILITY.md"""
    public = [action for action in api.actions if action.product != "Admin"]
    built = [action for action in public if action.built]
    missing = [action for action in public if not action.built]
    text = (f"{NOTICE}# Compatibility\n\n{len(built)} actions are built, {len(missing)} of ECS are known and answer "
            "403 `UnsupportedOperation`, any other name answers 404 `InvalidAction.NotFound`.\n\n"
            "*Honoured*: does what its page says. *Accepted*: checked, but has nothing to act on here. *Refused*: any value "
            "but the harmless one fails with the error given.\n\n## Built\n\n"
            "| action | product | kind | honoured | accepted | refused |\n|---|---|---|---|---|---|\n")
    for action in sorted(built, key=lambda action: (action.product != "Ecs", action.product, action.action)):
        honoured, others = effects(action)
        counts = [sum(field.effect == effect for _, field in others) for effect in ("accepted", "refused")]
        text += (f"| {action.action} | {TITLE.get(action.product, action.product)} | {action.kind} | {honoured} | "
                 f"{counts[0] or ''} | {counts[1] or ''} |\n")
    codes = {row.name: f"{row.status} `{row.code}`" for row in api.errors}
    text += "\n## Parameters that do less than their pages say\n"
    for action in sorted(built, key=lambda action: (action.product != "Ecs", action.product, action.action)):
        others = effects(action)[1]
        if others:
            text += f"\n### {action.action}\n\n| parameter | effect | why |\n|---|---|---|\n"
        for name, field in others:
            effect = field.effect if field.effect == "accepted" else f"refused, {codes[field.error]}"
            if field.effect == "refused" and field.default is not None:
                effect += f" (but `{field.default}`)"
            text += f"| `{name}` | {effect} | {cell(field.note)} |\n"
    text += "\n## What else is to be known of an action\n\n"
    for action in sorted(built, key=lambda action: action.action):
        text += f"* {action.action}: {action.note}\n" if action.note else ""
    text += "\n## Known to ECS, not built\n\n" + ", ".join(action.action for action in missing) + ".\n"
    return text


def option_takes(option):
    """What an option accepts, in words."""
    if option.words:
        return "one of " + ", ".join(f"`{word}`" for word in option.words)
    if option.type in ("int", "float"):
        return f"{'whole number' if option.type == 'int' else 'number'}, {option.min} to {option.max}"
    return {"bool": "`true` or `false`", "text": "text"}[option.type]


def environment_name(option):
    """stop.press_interval_s -> ECSD_STOP_PRESS_INTERVAL_S, as base/option.c reads it."""
    return "ECSD_" + option.member.upper()


def metric_values(metric):
    """What stands behind a metric's name: its labels, with their values where there are few, and its buckets."""
    words = []
    if metric.values:
        words.append(f"`{metric.label}`: " + ", ".join(f"`{value}`" for value in metric.values))
    if metric.labels:
        words.append(", ".join(f"`{label}`" for label in metric.labels))
    if metric.buckets:
        scale = 1000000 if metric.unit == "us" else 1
        words.append("buckets " + ", ".join(f"{bound / scale:g}" for bound in metric.buckets))
    return "; ".join(words)


def options_page(options, metrics):
    """OPTIONS.md"""
    text = (f"{NOTICE}# Options and metrics\n\n## Options\n\n"
            "How they are set, and which source wins, stands in [OPERATIONS.md](OPERATIONS.md). All are read at start only; "
            "`ecsd --print-config` shows what is in force and where it comes from.\n")
    section = None
    for option in options:
        if option.name.partition(".")[0] != section:
            section = option.name.partition(".")[0]
            text += f"\n### {section}\n\n| option | default | takes | meaning | variable |\n|---|---|---|---|---|\n"
        default = f"`{option.default}`" if option.default else "empty"
        text += (f"| `{option.name}` | {default} | {option_takes(option)} | {cell(option.help)} | "
                 f"`{environment_name(option)}` |\n")
    text += ("\n## Metrics\n\nServed as Prometheus text at `/metrics` of the `--admin` listener. They count from the start "
             "of the process.\n\n| metric | kind | label or buckets | meaning |\n|---|---|---|---|\n")
    for metric in metrics:
        text += f"| `{metric.name}` | {metric.type} | {metric_values(metric)} | {cell(metric.help)} |\n"
    return text


def committed_pages(folder):
    """(name, text) of every page that is kept in docs/."""
    return [("COMPATIBILITY.md", compatibility(apilib.load_api(folder))),
            ("OPTIONS.md", options_page(gen_options.load_options(folder), gen_metrics.load_metrics(folder)))]


def stale_pages(pages, folder):
    """Paths of the committed pages that are not what api/ says."""
    paths = [(pathlib.Path(folder) / name, text) for name, text in pages]
    return [path for path, text in paths if not path.exists() or path.read_text(encoding="utf-8") != text]


def write_action_pages(api, out):
    """A page per action that is built."""
    for action in api.actions:
        if action.built:
            stem = action.action if action.product == "Ecs" else f"{action.product}.{action.action}"
            apilib.write_text(out, f"api/{stem}.md", action_page(action, api))


def run(args):
    """What the command line asks for; the exit code."""
    pages = committed_pages(args.api)
    for folder in filter(None, (args.write, args.out)):
        for name, page in pages:
            apilib.write_text(folder, name, page)
    if args.out:
        write_action_pages(apilib.load_api(args.api), args.out)
    stale = stale_pages(pages, args.check) if args.check else []
    for path in stale:
        print(f"error: {path} is not what api/ says; run tools/gen_docs.py --api api --write docs", file=sys.stderr)
    return 1 if stale else 0


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api", required=True)
    parser.add_argument("--write")
    parser.add_argument("--check")
    parser.add_argument("--out")
    args = parser.parse_args()
    if not (args.write or args.check or args.out):
        parser.error("give --write, --check or --out")
    try:
        sys.exit(run(args))
    except (apilib.ApiError, OSError, json.JSONDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
