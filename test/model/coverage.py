# SPDX-License-Identifier: Apache-2.0
"""Which actions succeeded, and which rows of errors.txt were told."""

import collections

succeeded = collections.Counter()  # by the action's key
told = collections.Counter()  # by (status, code, message)


def note(key, status, code, message):
    """A reply that was seen."""
    if code is None:
        succeeded[key] += 1
    else:
        told[status, code, message] += 1
