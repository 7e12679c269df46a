"""DataJoint's own tests on PostgreSQL, unchanged, without and with an export session around them.

In: a folder with DataJoint's source, of the version that is installed (its sdist has the tests, which also need
faker, and `dot` of Graphviz). Out: what each test gave, twice; exit code 0 only if no test differs. It is not part of
the suite.

    pip download --no-deps --no-binary datajoint datajoint==2.3.5 && tar -xzf datajoint-2.3.5.tar.gz
    python -m tests.datajoint_suite datajoint-2.3.5
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datajoint as dj

import dj_sqlspy as sqlspy
from dj_sqlspy.servers import private_postgresql

ROOT = Path(__file__).resolve().parent.parent
# As a superuser it drops information_schema.
LEFT_OUT = "test_drop_unauthorized"


def pytest_sessionstart(session: Any) -> None:
    """As a plugin: begin an export session."""
    sqlspy.start_export("datajoint", "its own tests")


def pytest_sessionfinish(session: Any) -> None:
    """As a plugin: end the export session, and tell what it has."""
    sqlspy.stop_export()
    paper = sqlspy.Paper("datajoint")
    kinds = Counter(statement.kind for statement in paper.statements)
    print(f"\nstatements: {dict(kinds)}, complete: {paper.complete}")


def outcomes(source: Path, environment: Mapping[str, str], *plugin: str) -> dict[str, str]:
    """What each test of PostgreSQL gave."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--tb=line",
        ]
        command += [
            f"--junitxml={report}",
            "-k",
            f"postgresql and not {LEFT_OUT}",
            *plugin,
            "tests/integration",
        ]
        subprocess.run(command, cwd=source, env={**os.environ, **environment})
        found = {}
        for case in ElementTree.parse(report).iter("testcase"):
            result = next(
                (child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed"
            )
            parameters = str(case.get("name")).partition("[")[2].rstrip("]")
            if "postgresql" in parameters.split("-"):  # the others find no server
                found[f"{case.get('classname')}::{case.get('name')}"] = result
        return found


def main(source: Path) -> int:
    with private_postgresql() as server, tempfile.TemporaryDirectory() as home:
        environment = {
            "DJ_USE_EXTERNAL_CONTAINERS": "1",
            "DJ_PG_HOST": server.host,
            "DJ_PG_PORT": str(server.port),
            "DJ_PG_USER": server.user,
            "DJ_PG_PASS": server.password,
            "DJ_USE_TLS": "false",
            "DJ_SQLSPY_HOME": home,
            # DataJoint's own package is named tests, too
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]),
        }
        plain = outcomes(source, environment)
        spied = outcomes(source, environment, "-p", "datajoint_suite")
    differ = {name for name in {*plain, *spied} if plain.get(name) != spied.get(name)}
    print(f"DataJoint {dj.__version__}, PostgreSQL {server.version}: {dict(Counter(plain.values()))},")
    print(f"not passed: {sorted(name for name, result in plain.items() if result != 'passed')}")
    print(f"with an export session {dict(Counter(spied.values()))}; {len(differ)} differ {sorted(differ)}")
    return 1 if differ or not plain else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
