#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""api/ -> api.dict, option.dict: the words of the API and of the configuration, as libFuzzer reads them."""

import json
import pathlib

import apilib

# What the texts around those words are made of.
GRAMMAR = ["&", "=", "%26", "%3D", "+", ".1", ".1.", ".Key", ".Value", "[\"", "\"]", "true", "false", "2014-05-26", "HMAC-SHA256",
           "ACS3-HMAC-SHA256", "Credential=", "SignedHeaders=", "Signature=", "x-acs-action", "x-acs-version", "x-acs-date",
           "x-acs-content-sha256", "Transfer-Encoding: chunked\r\n", "Content-Length: ", "Host: ", "HTTP/1.1\r\n", "\r\n\r\n",
           "Content-Type: application/x-www-form-urlencoded\r\n", "Content-Type: application/json\r\n", "\n====\n", "!v1\n",
           "!v3\n", "!op\n", "!key\n", "i-1", "i-2", "2026-11-23T03:18:40Z", "\\u0000", "&lt;", "\xef\xbf\xbe"]
SKIPPED = {"summary", "help", "doc"}


def words_of(value):
    """Names and short texts anywhere in a file of facts."""
    if isinstance(value, dict):
        for name, member in value.items():
            if name not in SKIPPED:
                yield name
                yield from words_of(member)
    elif isinstance(value, list):
        for member in value:
            yield from words_of(member)
    elif isinstance(value, str) and " " not in value:
        yield value


def entry(word):
    """One line of a dictionary; what is not plain becomes \\xNN."""
    text = "".join(chr(c) if 0x20 <= c < 0x7f and c not in b"\"\\" else f"\\x{c:02x}" for c in word.encode("utf-8"))
    return f'"{text}"\n'


def dictionary(words):
    """Each word once, in order. One that is longer than libFuzzer takes (64 bytes) is left out."""
    return "".join(entry(word) for word in sorted(set(words)) if 0 < len(word.encode("utf-8")) < 64)


def generate(api, out):
    """Called by the command line and by the tests."""
    words = list(GRAMMAR)
    for file in sorted((pathlib.Path(api) / "actions").glob("*.json")):
        words.append(file.stem.split(".")[-1])
        words += words_of(json.loads(file.read_text(encoding="utf-8")))
    words += words_of(json.loads((pathlib.Path(api) / "types.json").read_text(encoding="utf-8")))
    apilib.write_text(out, "api.dict", dictionary(words))
    options = json.loads((pathlib.Path(api) / "config.json").read_text(encoding="utf-8"))
    apilib.write_text(out, "option.dict", dictionary(list(words_of(options)) + [" = ", ";", "[", "]", "\n", "ECSD_"]))


if __name__ == "__main__":
    apilib.run_generator(__doc__, generate)
