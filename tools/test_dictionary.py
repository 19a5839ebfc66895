#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What libFuzzer reads of a dictionary is what api/ says."""

import pathlib
import re
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS))

import gen_dictionary  # noqa: E402


def read(text):
    """The words of a dictionary, by libFuzzer's rules: in quotes, with \\xNN for any byte."""
    words = []
    for line in text.splitlines():
        match = re.fullmatch(r'"((?:[ !#-\[\]-~]|\\x[0-9a-f]{2})+)"', line)
        if not match:
            raise ValueError(line)
        words.append(re.sub(rb"\\x([0-9a-f]{2})", lambda hex: bytes([int(hex[1], 16)]), match[1].encode()).decode())
    return words


class Dictionary(unittest.TestCase):
    """Both files, and the writing of single words."""

    def test_any_word_is_read_back(self):
        """Quotes, line feeds and other bytes don't end a word."""
        words = ['a"b', "\\", "\r\n\r\n", "\u4f60", "plain words"]
        self.assertEqual(read(gen_dictionary.dictionary(words)), sorted(words))

    def test_too_long_words_are_left_out(self):
        """libFuzzer would stop at one."""
        self.assertEqual(read(gen_dictionary.dictionary(["x" * 64, "y" * 63, ""])), ["y" * 63])

    def test_the_api_is_in_it(self):
        """Actions, parameters, words and options."""
        with tempfile.TemporaryDirectory() as out:
            gen_dictionary.generate(TOOLS.parent / "api", out)
            api = set(read((pathlib.Path(out) / "api.dict").read_text(encoding="utf-8")))
            options = set(read((pathlib.Path(out) / "option.dict").read_text(encoding="utf-8")))
        self.assertLessEqual({"StopInstance", "ForceStop", "StopCharging", "AddHost", "ACS3-HMAC-SHA256"}, api)
        self.assertLessEqual({"stop.on_timeout", "escalate", "\n"}, options)


if __name__ == "__main__":
    unittest.main()
