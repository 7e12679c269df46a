"""The examples of a page of the documentation, run one after the other as a reader would.

In: a page, a server, a folder. Out: what each example printed. A page's Python blocks share one namespace and one
process, its commands run in the same folder; a Python block that starts with ``# name.py`` is a file of that name.

    .venv-2.x/bin/python -m tests.pages docs/tutorial.md      # print what its examples print
    .venv-2.x/bin/python -m tests.pages --write docs/*.md     # and put it where the pages say what is printed
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.readme import CHECKED, Example, examples

ROOT = Path(__file__).resolve().parent.parent
MARK = "-- the next example --"


def shell(server: Any, folder: Path) -> dict[str, Any]:
    """What a user's terminal has: a folder, DataJoint set to the lab's server, this Python's programs on PATH."""
    store = {"raw": {"protocol": "file", "location": str(folder / "raw")}}
    (folder / "raw").mkdir()
    (folder / "dj_local_conf.json").write_text(json.dumps({"database.use_tls": False, "stores": store}))
    (folder / "datajoint.json").write_text(json.dumps({"stores": {"default": "raw", **store}}))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DJ_SQLSPY_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "DJ_HOST": f"{server.host}:{server.port}",
        "DJ_USER": server.user,
        "DJ_PASS": server.password,
        "DJ_LOG_LEVEL": "ERROR",
        "DJ_SUPPORT_FILEPATH_MANAGEMENT": "TRUE",
        "DJ_SQLSPY_HOME": str(folder / "home"),
        "PYTHONWARNINGS": "ignore",
        "COLUMNS": "100",
        "SLURM_ARRAY_JOB_ID": "4711",
        "SLURM_ARRAY_TASK_ID": "0",
    }
    return {"cwd": folder, "env": environment, "text": True}


def run(steps: Sequence[Example], server: Any, folder: Path) -> list[str]:
    """What each example prints on standard output; fails where one ends with an error."""
    (folder / ".steps.json").write_text(json.dumps([[step.language, step.source] for step in steps]))
    command = [sys.executable, str(Path(__file__)), str(folder / ".steps.json")]
    ended = subprocess.run(command, capture_output=True, **shell(server, folder))
    printed = ended.stdout.split(f"{MARK}\n")
    if ended.returncode:
        source = steps[len(printed) - 1].source
        raise AssertionError(f"This example failed:\n{source}\n{printed[-1]}\n{ended.stderr}")
    return printed[:-1]


def written(page: str, outputs: Sequence[str]) -> str:
    """The page with what its examples printed; an output in which something is ``…`` stays as it is."""
    remaining = list(zip(examples(page), outputs, strict=True))
    for example, output in remaining:
        if example.language in CHECKED and "…" not in example.output and example.output:
            before = example.source + ("\n" if example.language == "console" else "```\n\n```text\n")
            assert before + example.output in page, example.source
            plain = "".join(f"{line.rstrip()}\n" for line in output.splitlines())
            page = page.replace(before + example.output, before + plain, 1)
    return page


def _run_here(steps: Sequence[tuple[str, str]]) -> None:
    """In a process of its own: run the steps, with a mark after what each printed."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    cells = None
    for number, (language, source) in enumerate(steps, 1):
        if language == "file":
            place = Path(re.match(r"# (\S+)", source)[1])  # type: ignore[index]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(source)
        elif language == "python":
            exec(compile(source, f"<example {number}>", "exec"), namespace)
        elif language == "ipython":
            if cells is None:
                from IPython.core.interactiveshell import InteractiveShell

                cells = InteractiveShell.instance(user_ns=namespace)
            cells.run_cell(source).raise_error()
        else:
            sys.stdout.flush()
            subprocess.run(["bash", "-euo", "pipefail", "-c", source], check=True)
        print(MARK, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Print, or write into the pages, what their examples print."""
    from dj_sqlspy.servers import private_server
    from tests.conftest import FLAVOR  # SQLSPY_TEST_SERVER

    for page in [Path(argument) for argument in arguments if argument != "--write"]:
        text = page.read_text(encoding="utf-8")
        with private_server(FLAVOR) as server, tempfile.TemporaryDirectory() as folder:
            outputs = run(examples(text), server, Path(folder))
        if "--write" in arguments:
            page.write_text(written(text, outputs), encoding="utf-8")
        else:
            for example, output in zip(examples(text), outputs, strict=True):
                print(f">>> {example.source.strip()}\n{output}")
    return 0


if __name__ == "__main__":
    if sys.argv[1].endswith(".json"):
        _run_here(json.loads(Path(sys.argv[1]).read_text()))
    else:
        sys.exit(main(sys.argv[1:]))
