"""Child: the process that `measure.in_process` starts; it calls one function and prints what that returned."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict

from .measure import Figure, Place


def main() -> None:
    task = json.loads(sys.stdin.read())
    module, name = task["function"].split(":")
    function = getattr(importlib.import_module(f"benchmarks.{module}"), name)
    found = function(Place(**task["place"]), **task["arguments"])
    if isinstance(found, list):
        found = [asdict(one) if isinstance(one, Figure) else one for one in found]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
