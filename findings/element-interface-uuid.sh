#!/usr/bin/env bash
# dict_to_uuid of element-interface gives different parameter sets the same UUID: long arrays that differ in
#   the middle, and names and values that are the same written one after the other.
#
# Guess: another value, another UUID; the order of names does not matter.
# Seen: it is the MD5 of str() of each name and value, joined without anything between them. str() of an array of
#   more than 1000 numbers has the first and last three, and of any array eight digits, so a filter, a mask or a
#   template that differs elsewhere has the same UUID. {"a": "bc"} and {"ab": "c"} have the same, as have 1 and
#   "1". In a nested dict the order of names does matter: there the same parameters have two UUIDs. Neither an
#   error nor a warning.
# Versions: element-interface 0.6.1, DataJoint 0.14.10, numpy 2.4.6.
# Why it matters: the Elements of DataJoint know parameter sets by this UUID, as the unique param_set_hash. A new
#   set counts as one that is there already, and results are filed under parameters that did not make them.
# Source: none found. The docstring says "any python dictionary".
. "$(dirname "$0")/common.sh"
environment element element-interface==0.6.1 datajoint==0.14.10 numpy==2.4.6

cat >"$work/try.py" <<'END'
import sys
from importlib.metadata import version

import numpy as np
from element_interface.utils import dict_to_uuid

for name in ("element-interface", "datajoint", "numpy"):
    print(name, version(name), file=sys.stderr)
template = np.linspace(0, 1, 1001)
other = template.copy()
other[500] = -7
fine = np.array([0.1])
for label, one, two in (
    ("another number in a list of 1001", template.tolist(), other.tolist()),
    ("another number in an array of 1000", template[1:], other[1:]),
    ("another number in an array of 1001", template, other),
    ("another tenth digit in an array", fine, fine + 1e-10),
):
    print(f"{label}:", "same" if dict_to_uuid({"template": one}) == dict_to_uuid({"template": two}) else "differs")
for one, two in (
    ({"a": "bc"}, {"ab": "c"}),
    ({"band": 1, "band10": 2}, {"band": "1band102"}),
    ({"bins": 1}, {"bins": "1"}),
    ({"bins": 1}, {"bins": 1.0}),
    ({"low": 1, "high": 2}, {"high": 2, "low": 1}),
    ({"band": {"low": 1, "high": 2}}, {"band": {"high": 2, "low": 1}}),
):
    print(f"{one} and {two}:", "same" if dict_to_uuid(one) == dict_to_uuid(two) else "differs")
END
see "$work/element/bin/python" -W ignore "$work/try.py"
compare <<'END'
another number in a list of 1001: differs
another number in an array of 1000: differs
another number in an array of 1001: same
another tenth digit in an array: same
{'a': 'bc'} and {'ab': 'c'}: same
{'band': 1, 'band10': 2} and {'band': '1band102'}: same
{'bins': 1} and {'bins': '1'}: same
{'bins': 1} and {'bins': 1.0}: differs
{'low': 1, 'high': 2} and {'high': 2, 'low': 1}: same
{'band': {'low': 1, 'high': 2}} and {'band': {'high': 2, 'low': 1}}: differs
END
