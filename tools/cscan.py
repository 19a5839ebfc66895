# SPDX-License-Identifier: Apache-2.0
"""A light scanner of C for the house rules: tokens without comments, text and preprocessor lines; functions with their size.

It does not expand macros; a macro that takes a block (list_for_each) counts as a loop by its name.
"""

import re

TOKEN = re.compile(r"""
    (?P<space>[ \t\r\f\v]+|\\\r?\n)
  | (?P<newline>\n)
  | (?P<comment>//(?:\\\n|[^\n])*|/\*.*?\*/)
  | (?P<text>(?:u8|[LuU])?(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
  | (?P<name>[A-Za-z_]\w*)
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
  | (?P<mark>&&|\|\||[^\s])
""", re.VERBOSE | re.DOTALL)

BRANCHES = {"if", "for", "while", "case", "&&", "||", "?"}
LOOP_MACRO = re.compile(r"\w*for_each\w*")


class Token:
    """A word, number, text or mark and where it stands."""

    __slots__ = ("kind", "text", "line")

    def __init__(self, kind, text, line):
        self.kind, self.text, self.line = kind, text, line


def split(source, with_directives=False):
    """All tokens but space and comments; preprocessor lines are left out unless asked for."""
    tokens, line, directive, at_start = [], 1, False, True
    for match in TOKEN.finditer(source):
        kind, text = match.lastgroup, match.group()
        if kind == "newline":
            directive, at_start = False, True
        elif kind not in ("space", "comment"):
            directive = directive or (at_start and text == "#")
            at_start = False
            if with_directives or not directive:
                tokens.append(Token(kind, text, line))
        line += text.count("\n")
    return tokens


class Function:
    """One function's numbers."""

    def __init__(self, name, line):
        self.name, self.line = name, line
        self.lines, self.complexity, self.nesting = 0, 1, 0


def _opens_block(tokens, at):
    """Does the brace at `at` open a block of statements, rather than a list of initialisers?"""
    before = tokens[at - 1].text
    if before in (";", "{", "}", ":", "else", "do", "("):
        return True
    if before != ")":
        return False
    depth = 0
    for i in range(at - 1, -1, -1):
        depth += (tokens[i].text == ")") - (tokens[i].text == "(")
        if depth == 0:
            # `if (…) {` or `list_for_each(…) {`, but not `= (struct x){`, `return (struct x){` or `sizeof (int[]){`.
            word = tokens[i - 1]
            return word.kind == "name" and word.text not in ("return", "sizeof", "case")
    return False


def _head_name(head):
    """The name in `static int name(args)`, or None when these tokens head no function."""
    if not head or head[-1].text != ")" or any(token.text == "=" for token in head):
        return None
    depth = 0
    for i, token in enumerate(head):
        if token.text == "(" and depth == 0 and i and head[i - 1].kind == "name" and head[i - 1].text != "__attribute__":
            return head[i - 1].text
        depth += (token.text == "(") - (token.text == ")")
    return None


def _measure(tokens, start, function):
    """Walks the body that opens at `start`; returns the index behind its closing brace."""
    stack = []  # True: a block of statements
    for i in range(start, len(tokens)):
        text = tokens[i].text
        if text == "{":
            stack.append(not stack or (stack[-1] or tokens[i - 1].text == "(") and _opens_block(tokens, i))
            function.nesting = max(function.nesting, sum(stack) - 1)
        elif text == "}":
            stack.pop()
            if not stack:
                function.lines = tokens[i].line - function.line + 1
                return i + 1
        elif text in BRANCHES or (tokens[i].kind == "name" and LOOP_MACRO.fullmatch(text)):
            function.complexity += 1
    return len(tokens)


def functions(source):
    """Every function that is defined in `source`."""
    tokens, found = split(source), []
    head, i = [], 0
    while i < len(tokens):
        text = tokens[i].text
        if text == "{":
            name = _head_name(head)
            function = Function(name, head[0].line if head else tokens[i].line)
            i = _measure(tokens, i, function)
            if name:
                found.append(function)
                head = []
            continue
        head = [] if text == ";" else head + [tokens[i]]
        i += 1
    return found
