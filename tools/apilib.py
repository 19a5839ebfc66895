# SPDX-License-Identifier: Apache-2.0
"""Reads the facts of api/ strictly: what is unknown, doubled or misspelt stops the build with file and place."""

import argparse
import datetime
import json
import pathlib
import re
import sys


class ApiError(Exception):
    """A fact in api/ that can't be right; the text says where."""


# ---------------------------------------------------------------------------------------------------------------
# Errors

ERROR_NAME = re.compile(r"E_[A-Z0-9]+(_[A-Z0-9]+)*\Z")
ERROR_CODE = re.compile(r"[A-Za-z][A-Za-z0-9]*([. ][A-Za-z0-9]+)*\Z")
FORMAT = re.compile(r"%(.?)")


class ErrorRow:
    """One line of errors.txt."""

    def __init__(self, name, status, code, message, current_status, current_message):
        self.name = name
        self.status = status
        self.code = code
        self.message = message
        self.current_status = current_status
        self.current_message = current_message


def _check_template(text, place):
    for match in FORMAT.finditer(text):
        if match.group(1) not in ("s", "%"):
            raise ApiError(f"{place}: only %s may stand in a message: {text!r}")
    return text


def _read_status(text, place):
    if not re.fullmatch(r"[45][0-9][0-9]", text):
        raise ApiError(f"{place}: {text!r} is not an HTTP status of an error")
    return int(text)


def _read_error_line(line, place):
    cells = [cell.strip() for cell in re.split(r"\s\|(?=\s|$)", line)]
    if len(cells) not in (4, 6):
        raise ApiError(f"{place}: {len(cells)} columns, expected 4 or 6")
    name, status, code, message = cells[:4]
    if not ERROR_NAME.match(name):
        raise ApiError(f"{place}: {name!r} is not a name of an error")
    if not ERROR_CODE.match(code):
        raise ApiError(f"{place}: {code!r} is not a code")
    current_status, current_message = 0, None
    if len(cells) == 6:
        current_status = 0 if cells[4] == "-" else _read_status(cells[4], place)
        current_message = None if cells[5] == "-" else _check_template(cells[5], place)
    return ErrorRow(name, _read_status(status, place), code, _check_template(message, place),
                    current_status, current_message)


def load_errors(api):
    """Rows of errors.txt in order."""
    path = pathlib.Path(api) / "errors.txt"
    rows, seen = [], set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        row = _read_error_line(line, f"{path.name}:{number}")
        if row.name in seen or row.name in ("E_NONE", "E_COUNT"):
            raise ApiError(f"{path.name}:{number}: {row.name} is taken")
        seen.add(row.name)
        rows.append(row)
    if not rows:
        raise ApiError(f"{path.name}: no rows")
    return rows


# ---------------------------------------------------------------------------------------------------------------
# Names

# Spellings of the wire that break no other way into words.
ODD_WORDS = (("VSwitch", "Vswitch"), ("OSNVMe", "OsNvme"), ("NVMe", "Nvme"), ("IPs", "Ips"), ("CLoud", "Cloud"))
C_WORDS = frozenset("auto break case char const continue default do double else enum extern float for goto if inline int "
                    "long register restrict return short signed sizeof static struct switch typedef union unsigned void "
                    "volatile while bool true false".split())
WIRE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*\Z")
NOUN = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\Z")


def snake(name):
    """InstanceId -> instance_id, OSNameEn -> os_name_en."""
    for odd, plain in ODD_WORDS:
        name = name.replace(odd, plain)
    name = re.sub(r"[^A-Za-z0-9]+", "_", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
    return name + "_value" if name in C_WORDS else name


def constant(prefix, word):
    """instance_state, Not-applicable -> INSTANCE_STATE_NOT_APPLICABLE."""
    return f"{prefix}_{snake(word)}".upper()


# ---------------------------------------------------------------------------------------------------------------
# JSON, read strictly


def _no_doubles(pairs):
    seen = {}
    for key, value in pairs:
        if key in seen:
            raise ApiError(f"member {key!r} stands twice")
        seen[key] = value
    return seen


def load_json(path):
    """A JSON file in which no member stands twice."""
    try:
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8"), object_pairs_hook=_no_doubles)
    except (ApiError, json.JSONDecodeError) as error:
        raise ApiError(f"{pathlib.Path(path).name}: {error}") from error


def check_members(value, known, needed, place):
    """`value` is an object with members of `known`, and all of `needed`."""
    if not isinstance(value, dict):
        raise ApiError(f"{place}: expected an object")
    for key in value:
        if key not in known:
            raise ApiError(f"{place}: unknown member {key!r}")
    for key in needed:
        if key not in value:
            raise ApiError(f"{place}: {key!r} is missing")


def check_type(value, kind, place):
    """`value` is a `kind`; a bool is not an int here."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ApiError(f"{place}: expected {kind.__name__}, found {value!r}")
    return value


# ---------------------------------------------------------------------------------------------------------------
# Types

SCALARS = {
    "string": ("STR", ()),
    "secret": ("STR", ("SECRET",)),
    "text": ("STR", ("FREE",)),
    "bool": ("BOOL", ()),
    "int": ("INT", ()),
    "numtext": ("INT", ("NUMTEXT",)),
    "float": ("FLOAT", ()),
    "time:minute": ("TIME_MINUTE", ()),
    "time:second": ("TIME_SECOND", ()),
}
C_PLAIN = {"STR": "struct str", "BOOL": "bool", "INT": "int64_t", "FLOAT": "double", "ENUM": "int",
           "TIME_MINUTE": "usec_t", "TIME_SECOND": "usec_t"}
C_OPT = {"BOOL": "struct opt_bool", "INT": "struct opt_int", "FLOAT": "struct opt_float"}
C_LIST = {"STR": "struct str_list", "INT": "struct int_list", "ENUM": "struct enum_list"}


class Field:
    """One member of a shape."""

    def __init__(self, name):
        self.name = name
        self.member = snake(name)
        self.type_text = ""
        self.kind = ""
        self.flags = []
        self.item = None
        self.shape = None
        self.enum = None
        self.default = None
        self.min = self.max = self.max_items = 0
        self.error = self.too_many = self.missing = None
        self.summary = self.note = ""
        self.effect = "honoured"

    def has(self, flag):
        """Whether SHAPE_<flag> is set."""
        return flag in self.flags

    def c_type(self):
        """The type of the C member."""
        if self.has("LIST"):
            return f"struct {self.shape.struct}_list" if self.kind == "OBJECT" else C_LIST[self.kind]
        if self.kind == "OBJECT":
            return f"struct {self.shape.struct}" + (" *" if self.has("OPT") else "")
        return C_OPT[self.kind] if self.has("OPT") else C_PLAIN[self.kind]


class Shape:
    """A C struct and how it looks on the wire."""

    def __init__(self, struct, name):
        self.struct = struct
        self.name = name
        self.fields = []

    def add(self, field, place):
        """Appends a field whose names are free."""
        for other in self.fields:
            if field.name.lower() == other.name.lower() or field.member == other.member:
                raise ApiError(f"{place}: {field.name} is taken")
        self.fields.append(field)

    def nested(self):
        """The shapes inside, innermost first, without this one."""
        found = []
        for field in self.fields:
            if field.shape is not None:
                found += [s for s in field.shape.nested() + [field.shape] if s not in found]
        return found

    def uses_list(self, struct):
        """Whether a list of `struct` stands anywhere in here."""
        return any(f.has("LIST") and f.shape and f.shape.struct == struct for s in self.nested() + [self]
                   for f in s.fields)


class Types:
    """types.json: enums and shared objects."""

    def __init__(self, errors):
        # Decoding gives one argument, the parameter's name.
        self.errors = {row.name for row in errors
                       if row.message.count("%s") < 2 and (row.current_message or "").count("%s") < 2}
        self.enums = {}
        self.objects = {}

    def resolve(self, field, text, place):
        """Fills the kind of `field` from the text of its type; "object" and "list:object" are left to the caller."""
        field.type_text = text
        if text == "json:list:string":
            field.kind, field.flags = "STR", ["LIST", "JSON"]
            return
        if text.startswith("list:"):
            text = text[len("list:"):]
            field.flags.append("LIST")
        if text in SCALARS:
            field.kind = SCALARS[text][0]
            field.flags += SCALARS[text][1]
        elif re.fullmatch(r"id:[a-z_]+", text):
            field.kind = "STR"
            field.flags += ["INSTANCE"] if text == "id:instance" else []
        elif text.startswith("enum:"):
            field.kind, field.enum = "ENUM", text[len("enum:"):]
            if field.enum not in self.enums:
                raise ApiError(f"{place}: there is no enum {field.enum!r}")
        elif text.startswith("object:"):
            field.kind, field.shape = "OBJECT", self.objects.get(text[len("object:"):])
            if field.shape is None:
                raise ApiError(f"{place}: there is no object {text[len('object:'):]!r} before this")
        elif text == "object":
            field.kind = "OBJECT"
        else:
            raise ApiError(f"{place}: there is no type {text!r}")
        if field.has("LIST") and field.kind != "OBJECT" and field.kind not in C_LIST:
            raise ApiError(f"{place}: lists of {text} are not known")


PARAMETER = {"name", "type", "required", "default", "min", "max", "max_items", "error", "too_many", "missing", "summary",
             "effect", "note", "fields", "secret"}
EFFECTS = ("honoured", "accepted", "refused")


def _parameter_default(field, value, types, place):
    kinds = {"BOOL": bool, "INT": int, "FLOAT": (int, float), "STR": str, "ENUM": str}
    if field.has("LIST") or field.kind not in kinds:
        raise ApiError(f"{place}: this type takes no default")
    if not isinstance(value, kinds[field.kind]) or (field.kind != "BOOL" and isinstance(value, bool)):
        raise ApiError(f"{place}: {value!r} is not a default of {field.type_text}")
    if field.kind == "ENUM" and value not in types.enums[field.enum]:
        raise ApiError(f"{place}: {value!r} is not a word of {field.enum}")
    return {True: "true", False: "false"}[value] if field.kind == "BOOL" else str(value)


def _parameter_bounds(field, facts, place):
    for key in ("min", "max", "max_items"):
        if key in facts:
            setattr(field, key, check_type(facts[key], int, f"{place}.{key}"))
    if ("min" in facts or "max" in facts) and (field.kind not in ("INT", "STR") or field.has("JSON")):
        raise ApiError(f"{place}: bounds are for numbers and lengths")
    if ("min" in facts or "max" in facts) and (field.max < field.min or field.max == 0):
        raise ApiError(f"{place}: max is missing, zero or below min")
    if ("max_items" in facts or "too_many" in facts) and not field.has("LIST"):
        raise ApiError(f"{place}: only lists have max_items")
    if field.default is not None and field.kind == "INT" and (field.min or field.max):
        if not field.min <= int(field.default) <= field.max:
            raise ApiError(f"{place}: the default is out of bounds")


def _parameter_effect(field, facts, place):
    field.effect = facts.get("effect", "honoured")
    if field.effect not in EFFECTS:
        raise ApiError(f"{place}: effect is one of {', '.join(EFFECTS)}")
    if field.effect != "honoured" and not field.note:
        raise ApiError(f"{place}: what is {field.effect} says why in `note`")
    if field.effect == "refused":
        if field.kind == "OBJECT" or field.has("REQUIRED"):
            raise ApiError(f"{place}: only optional values and lists of them can be refused")
        field.flags.append("REFUSED")
        field.error = field.error or "E_PARAMETER_NOT_SUPPORTED"


def parse_parameter(facts, types, prefix, place):
    """One parameter of a request; nested objects are called <prefix>_<member>."""
    check_members(facts, PARAMETER, ("name", "type"), place)
    name = check_type(facts["name"], str, place)
    place = f"{place}.{name}"
    if not WIRE_NAME.match(name):
        raise ApiError(f"{place}: not a name of a parameter")
    field = Field(name)
    types.resolve(field, check_type(facts["type"], str, place), place)
    if (field.kind == "OBJECT" and field.shape is None) != ("fields" in facts):
        raise ApiError(f"{place}: `fields` belong to the types object and list:object")
    if "fields" in facts:
        field.shape = parse_parameters(facts["fields"], types, f"{prefix}_{field.member}", name, place)
    if check_type(facts.get("required", False), bool, place):
        field.flags.append("REQUIRED")
    if check_type(facts.get("secret", False), bool, place):
        field.flags.append("SECRET")
    if "default" in facts:
        if field.has("REQUIRED"):
            raise ApiError(f"{place}: a required parameter has no default")
        field.default = _parameter_default(field, facts["default"], types, place)
    if field.kind in C_OPT and not field.has("LIST") and not field.has("REQUIRED") and field.default is None:
        field.flags.append("OPT")
    for key in ("error", "too_many", "missing"):
        if key in facts:
            if facts[key] not in types.errors:
                raise ApiError(f"{place}: there is no error {facts[key]!r} with at most one argument")
            setattr(field, key, facts[key])
    if field.missing and not field.has("REQUIRED"):
        raise ApiError(f"{place}: only what is required can be missing")
    field.summary = check_type(facts.get("summary", ""), str, place)
    field.note = check_type(facts.get("note", ""), str, place)
    _parameter_bounds(field, facts, place)
    _parameter_effect(field, facts, place)
    return field


def parse_parameters(facts, types, struct, name, place):
    """The shape of a request or of an object in it."""
    shape = Shape(struct, name)
    for number, entry in enumerate(check_type(facts, list, place)):
        shape.add(parse_parameter(entry, types, struct, f"{place}[{number}]"), place)
    return shape


REPLY = {"type", "list", "object", "item", "omit", "summary"}


def parse_reply_member(name, facts, types, prefix, place):
    """One member of a reply: "type", or an object with exactly one of type, list, object."""
    place = f"{place}.{name}"
    if not WIRE_NAME.match(name):
        raise ApiError(f"{place}: not a name of a member")
    if isinstance(facts, str):
        facts = {"type": facts}
    check_members(facts, REPLY, (), place)
    forms = [key for key in ("type", "list", "object") if key in facts]
    if len(forms) != 1:
        raise ApiError(f"{place}: give one of type, list, object")
    field, value = Field(name), facts[forms[0]]
    if "item" in facts:
        field.item = check_type(facts["item"], str, place)
        if forms[0] != "list" or not WIRE_NAME.match(field.item):
            raise ApiError(f"{place}: `item` names the elements of a list")
    if isinstance(value, str):
        if value.startswith(("list:", "json:")) or value == "object":
            raise ApiError(f"{place}: write lists and objects as members of their own")
        types.resolve(field, ("list:" if forms[0] == "list" else "") + value, place)
    else:
        if forms[0] == "type":
            raise ApiError(f"{place}: a type is a word")
        field.kind, field.type_text = "OBJECT", "object"
        inner = snake(field.item) if field.item else field.member
        field.shape = parse_reply(value, types, f"{prefix}_{inner}", field.item or name, place)
        field.flags += ["LIST"] if forms[0] == "list" else []
    if check_type(facts.get("omit", False), bool, place):
        field.flags.append("OMIT")
        if not field.has("LIST") and (field.kind in C_OPT or field.kind == "OBJECT"):
            field.flags.append("OPT")
    field.summary = check_type(facts.get("summary", ""), str, place)
    return field


def parse_reply(facts, types, struct, name, place):
    """The shape of a reply or of an object in it."""
    shape = Shape(struct, name)
    for key, value in check_type(facts, dict, place).items():
        shape.add(parse_reply_member(key, value, types, struct, place), place)
    return shape


def load_types(api):
    """types.json over errors.txt."""
    facts = load_json(pathlib.Path(api) / "types.json")
    check_members(facts, ("enums", "objects"), ("enums", "objects"), "types.json")
    types = Types(load_errors(api))
    for name, words in facts["enums"].items():
        place = f"types.json: {name}"
        check_type(words, list, place)
        if not NOUN.match(name) or not words:
            raise ApiError(f"{place}: needs a name in small letters and words")
        constants = [constant(name, check_type(word, str, place)) for word in words] + [f"{name}_COUNT".upper()]
        if len(set(constants)) != len(constants) or len({w.lower() for w in words}) != len(words):
            raise ApiError(f"{place}: two words are the same")
        types.enums[name] = words
    for name, entry in facts["objects"].items():
        place = f"types.json: {name}"
        if not NOUN.match(name) or name in types.enums:
            raise ApiError(f"{place}: not a name of an object, or taken")
        if isinstance(entry, list):
            types.objects[name] = parse_parameters(entry, types, name, name, place)
        else:
            types.objects[name] = parse_reply(entry, types, name, name, place)
    return types


# ---------------------------------------------------------------------------------------------------------------
# Actions

ACTION = {"action", "product", "version", "kind", "summary", "note", "permission", "idempotent", "https_only", "post_only",
          "parameters", "reply", "errors"}
ACTION_NEEDED = ("action", "product", "version", "kind", "summary", "parameters", "reply", "errors")


class Action:
    """One row: an action that is built, or (without shapes) one that is only known."""

    def __init__(self, action, product, version):
        self.action = action
        self.product = product
        self.version = version
        self.built = False
        self.kind = "read"
        self.summary = self.note = ""
        self.permission = self.resource = None
        self.client_token = self.https_only = self.post_only = False
        self.request = self.reply = None
        self.errors = []
        self.symbol = ("" if product == "Ecs" else snake(product) + "_") + snake(action)


class Api:
    """All of it."""

    def __init__(self):
        self.errors = []
        self.types = None
        self.products = []
        self.actions = []


def _read_permission(action, facts, place):
    if "permission" not in facts:
        return
    check_members(facts["permission"], ("action", "resource"), ("action", "resource"), place)
    action.permission = check_type(facts["permission"]["action"], str, place)
    action.resource = check_type(facts["permission"]["resource"], str, place)
    if not re.fullmatch(r"[a-z]+:[A-Za-z]+", action.permission):
        raise ApiError(f"{place}: {action.permission!r} is not an action of a policy")
    wire = {field.name for field in action.request.fields} | {"region", "account"}
    for name in re.findall(r"\{([^}]*)\}", action.resource):
        if name not in wire:
            raise ApiError(f"{place}: the resource names {name!r}, which is no parameter")


def parse_action(facts, api, place):
    """One file of actions/."""
    check_members(facts, ACTION, ACTION_NEEDED, place)
    action = Action(*(check_type(facts[key], str, place) for key in ("action", "product", "version")))
    if (action.version, action.product) not in [(p["version"], p["product"]) for p in api.products]:
        raise ApiError(f"{place}: products.json has no {action.product} {action.version}")
    action.built = True
    action.kind = facts["kind"]
    if action.kind not in ("read", "write"):
        raise ApiError(f"{place}: kind is read or write")
    action.summary = check_type(facts["summary"], str, place)
    action.note = check_type(facts.get("note", ""), str, place)
    if not re.fullmatch(r"[A-Z].*\.", action.summary):
        raise ApiError(f"{place}: the summary is a sentence")
    action.request = parse_parameters(facts["parameters"], api.types, f"{action.symbol}_request", action.action, place)
    action.reply = parse_reply(facts["reply"], api.types, f"{action.symbol}_reply", f"{action.action}Response", place)
    _prefix_inner(action)
    _read_permission(action, facts, place)
    action.https_only = check_type(facts.get("https_only", False), bool, place)
    action.post_only = check_type(facts.get("post_only", False), bool, place)
    if "idempotent" in facts:
        if facts["idempotent"] != "ClientToken" or "ClientToken" not in [f.name for f in action.request.fields]:
            raise ApiError(f"{place}: idempotent is \"ClientToken\", and that is a parameter")
        action.client_token = True
    codes = {row.code for row in api.errors}
    for code in check_type(facts["errors"], list, place):
        if code not in codes:
            raise ApiError(f"{place}: errors.txt has no {code!r}")
    action.errors = facts["errors"]
    if len(set(action.errors)) != len(action.errors):
        raise ApiError(f"{place}: an error stands twice")
    return action


def _prefix_inner(action):
    """Inline objects are called <action>_<member>, without _request_ and _reply_, where that leaves no two alike."""
    inner = [s for shape in (action.request, action.reply) for s in shape.nested()
             if s.struct.startswith((f"{action.symbol}_request_", f"{action.symbol}_reply_"))]
    plain = [re.sub(r"_(request|reply)_", "_", s.struct, count=1) for s in inner]
    for shape, name in zip(inner, plain):
        if plain.count(name) == 1:
            shape.struct = name


def load_products(api):
    """products.json: which version belongs to which product."""
    facts = load_json(pathlib.Path(api) / "products.json")
    for number, row in enumerate(check_type(facts, list, "products.json")):
        place = f"products.json[{number}]"
        check_members(row, ("version", "product", "label"), ("version", "product", "label"), place)
        for value in row.values():
            check_type(value, str, place)
    if len({row["version"] for row in facts}) != len(facts):
        raise ApiError("products.json: a version stands twice")
    return facts


def load_known(api):
    """The names of ecs_actions.txt."""
    path = pathlib.Path(api) / "ecs_actions.txt"
    names = [line for line in path.read_text(encoding="utf-8").split("\n") if line and not line.startswith("#")]
    if names != sorted(set(names)):
        raise ApiError("ecs_actions.txt: names are sorted, each once")
    for name in names:
        if not re.fullmatch(r"[A-Z][A-Za-z0-9]+", name):
            raise ApiError(f"ecs_actions.txt: {name!r} is not a name of an action")
    return names


def load_api(folder):
    """Everything that stands in the api folder about calls; rows sorted by (version, action)."""
    api = Api()
    api.errors = load_errors(folder)
    api.types = load_types(folder)
    api.products = load_products(folder)
    for path in sorted((pathlib.Path(folder) / "actions").glob("*.json")):
        action = parse_action(load_json(path), api, path.name)
        stem = action.action if action.product == "Ecs" else f"{action.product}.{action.action}"
        if path.stem != stem:
            raise ApiError(f"{path.name}: should be called {stem}.json")
        api.actions.append(action)
    known, built = load_known(folder), {a.action for a in api.actions if a.product == "Ecs"}
    for name in sorted(built - set(known)):
        raise ApiError(f"ecs_actions.txt: lacks {name}")
    version = next(p["version"] for p in api.products if p["product"] == "Ecs")
    api.actions += [Action(name, "Ecs", version) for name in known if name not in built]
    api.actions.sort(key=lambda action: (action.version.encode(), action.action.encode()))
    symbols = [action.symbol for action in api.actions]
    for symbol in symbols:
        if symbols.count(symbol) > 1:
            raise ApiError(f"two actions are called {symbol} in C")
    return api


# ---------------------------------------------------------------------------------------------------------------
# What all generators share

MADE_BY = "/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by tools/{tool}; edit api/ instead. */\n"


def c_text(text):
    """A C string literal; NULL for None."""
    if text is None:
        return "NULL"
    out = []
    for byte in text.encode("utf-8"):
        char = chr(byte)
        if char in '"\\':
            out.append("\\" + char)
        elif 32 <= byte < 127:
            out.append(char)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def usec_of(text, place):
    """2024-05-31T06:22:25Z in microseconds since 1970."""
    try:
        moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    except ValueError as error:
        raise ApiError(f"{place}: {text!r} is not a time") from error
    return int(moment.timestamp()) * 1000000


def write_text(out, name, text):
    """Writes a file only where it changes, so that a build is not repeated for nothing."""
    path = pathlib.Path(out) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def run_generator(description, generate):
    """The command line that every generator has: generate(api, out)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--api", required=True, help="the api folder")
    parser.add_argument("--out", required=True, help="where the generated files go")
    args = parser.parse_args()
    try:
        generate(args.api, args.out)
    except (ApiError, OSError, json.JSONDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
