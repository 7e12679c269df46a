"""What a bundle holds for its readers: README.md, the manifest's schema, RO-Crate metadata."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import datajoint as dj
import jsonschema
import pytest
import requests
from requests_cache import CachedSession
from urllib3 import HTTPResponse

from dj_sqlspy.bundle import texts as publish
from dj_sqlspy.bundle.about import read_about
from dj_sqlspy.bundle.code import Code
from dj_sqlspy.bundle.guide import FORMATS, readme_text
from dj_sqlspy.errors import BundleError
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.servers import Server
from tests.conftest import drop_schemas, no_tls, user_schemas
from tests.reported import EVIL, make_bundle

pytestmark = pytest.mark.separately

ABOUT = {
    "title": "Place cells remember",
    "description": "What 12 mice did.",
    "license": "CC-BY-4.0",
    "doi": "https://doi.org/10.1000/xyz",
    "citation": f"Lovelace A (1843) {EVIL}",
    "keywords": ["hippocampus"],
    "authors": [
        {"name": "Ada Lovelace", "orcid": "0000-0002-1825-0097", "affiliation": "Analytical Society"},
        {"name": "Charles Babbage"},
    ],
}


@pytest.fixture
def bundle(server: Server, prefix: str, tmp_path: Path) -> Bundle:
    return make_bundle(server, prefix, tmp_path / "bundle")


@pytest.fixture
def published(bundle: Bundle, server: Server) -> Bundle:
    """A bundle with a dump, and with what a lab says of it."""
    bundle.dump([f"--defaults-file={server.defaults_file()}"])
    (bundle.path / "code").mkdir()
    (bundle.path / "code" / "fig.py").write_text("1")
    code = Code("code/fig.py", b"1", ("fig <1>",), "as it ran", None).about()
    manifest = {**bundle.manifest, "about": read_about(ABOUT), "code": [code]}
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))
    publish.refresh(bundle.path, manifest)
    return Bundle(bundle.path)


def manifest_schema() -> Any:
    folder = resources.files("dj_sqlspy.bundle").joinpath("schemas")
    return json.loads(folder.joinpath("manifest-1.schema.json").read_text())


def test_the_manifest_is_as_its_schema_says(bundle: Bundle, published: Bundle) -> None:
    schema = manifest_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for manifest in (bundle.manifest, published.manifest):
        validator.validate(manifest)
    for change in ({"complete": "yes"}, {"more": 1}, {"tables": [{"name": "t"}]}, {"format_version": 2}):
        assert list(validator.iter_errors({**bundle.manifest, **change}))


def test_every_file_is_described(published: Bundle) -> None:
    names = {path.name for path in published.path.iterdir()}
    assert names <= {*FORMATS, "code"}
    readme = (published.path / "README.md").read_text()
    for name in names - {"code"} | {"code/fig.py"}:
        assert f"`{name}`" in readme


def blocks(readme: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)


def test_what_readme_tells_a_reader_to_run(
    published: Bundle, clean_scratch: Server, prefix: str, tmp_path: Path
) -> None:
    readme = (published.path / "README.md").read_text()
    restore, compose, docker, _ = blocks(readme, "bash")
    assert compose == "docker compose up\n"  # test_compose runs it
    words = shlex.split(restore)
    assert words[:2] == ["bash", "restore.sh"]
    login = [f"--defaults-file={clean_scratch.defaults_file()}"]
    subprocess.run([*words[:2], *login], cwd=published.path, check=True, stdout=subprocess.DEVNULL)
    starts, loads = map(shlex.split, docker.splitlines())
    assert starts[:2] == ["docker", "run"] and starts[-1].startswith(f"{clean_scratch.flavor}:")
    container = [word for word in starts if "=" in word or word.startswith("/")]
    assert f"{clean_scratch.flavor.upper()}_ROOT_PASSWORD=simple" in container
    assert loads[:2] == ["docker", "exec"] and loads[4] == starts[starts.index("--name") + 1]
    # without Docker: what runs inside, on the server's socket as there, with the password where docker puts it
    name, _, value = loads[loads.index("-e") + 1].partition("=")
    assert value == "simple" and "/bundle:ro" in starts[starts.index("-v") + 1]
    drop_schemas(clean_scratch, user_schemas(clean_scratch))
    inside = [word.replace("/bundle/", f"{published.path}/") for word in loads[5:]]
    subprocess.run(
        [*inside, f"--socket={clean_scratch.socket}", *no_tls(clean_scratch)],
        env={**os.environ, name: clean_scratch.password},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (code,) = blocks(readme, "python")
    for said, here in (
        ('"127.0.0.1"', repr(clean_scratch.host)),
        ('"root"', repr(clean_scratch.user)),
        ('"simple"', repr(clean_scratch.password)),
        ("3306", str(clean_scratch.port)),
        ("\n\n", '\ndj.config["database.use_tls"] = False\n'),
    ):
        assert said in code
        code = code.replace(said, here, 1)
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "subject" in ran.stdout and "a" in ran.stdout


def test_readme_says_what_the_lab_says(published: Bundle) -> None:
    readme = (published.path / "README.md").read_text()
    for text in (
        "# Data behind “Place cells remember”",
        "What 12 mice did.",
        "[Ada Lovelace](https://orcid.org/0000-0002-1825-0097), Charles Babbage.",
        "<https://doi.org/10.1000/xyz>",
        "License of the data: CC-BY-4.0.",
        f'pip install "datajoint=={dj.__version__}"',
    ):
        assert text in readme
    assert "<script>" not in readme and "&lt;script&gt;" in readme
    files = [{"store": "raw", "path": "a", "size": 2048, "state": "ok"}]
    assert "need 1 files (2.0 KB)" in readme_text({**published.manifest, "files": files}, [])
    assert "capture has gaps" in readme_text({**published.manifest, "complete": False}, [])
    assert 'dj.config["database.use_tls"] = False' in readme
    files = [{**files[0], "kind": "filepath"}]
    told = "DJ_SUPPORT_FILEPATH_MANAGEMENT" in readme_text({**published.manifest, "files": files}, [])
    assert told == dj.__version__.startswith("0.")
    assert "DJ_SUPPORT_FILEPATH_MANAGEMENT" not in readme


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"tilte": "x"}, "tilte"),
        ({"authors": [{"name": "x", "orcid": "1"}]}, "authors"),
        ({"authors": "x"}, "authors"),
        ({"keywords": [1]}, "keywords"),
        ({"title": 1}, "title"),
    ],
)
def test_what_a_lab_says_is_checked(about: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=said):
        read_about(about)
    file = tmp_path / "about.json"
    file.write_text(json.dumps(about))
    with pytest.raises(BundleError, match=said):
        read_about(file)
    file.write_text("[1")
    with pytest.raises(BundleError, match=r"about\.json"):
        read_about(file)


class Disk(requests.adapters.BaseAdapter):
    """Answers for w3id.org with the JSON-LD context that the library rocrate ships."""

    def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
        body = resources.files("rocrate").joinpath("data/ro-crate.jsonld").read_bytes()
        response = requests.Response()
        response.status_code, response.url, response.request = 200, request.url, request
        response.headers["Content-Type"] = "application/ld+json"
        raw = io.BytesIO(body)
        response.raw = HTTPResponse(body=raw, status=200, preload_content=False, request_url=request.url)
        return response

    def close(self) -> None:
        pass


@pytest.mark.slow
def test_the_crate_is_valid(published: Bundle, tmp_path: Path) -> None:
    """A public validator, without the network: the context that it would fetch is in its cache already."""
    published.source_data(published.path / "source-data", formats="csv")
    crate = json.loads((published.path / "ro-crate-metadata.json").read_text())
    assert any(entry["@id"] == "source-data/" for entry in crate["@graph"])
    context = crate["@context"]
    with CachedSession(tmp_path / "cache", backend="sqlite", expire_after=-1) as session:
        session.mount("https://w3id.org/", Disk())
        accept = "application/ld+json, application/json, */*;q=0.1"
        found = session.get(context, headers={"Accept": accept}).json()
    assert found["@id"] == context  # the library ships the context that it writes
    version = context.split("/")[-2]
    command = [str(Path(sys.executable).with_name("rocrate-validator")), "--no-interactive", "validate"]
    command += [
        f"--profile-identifier=ro-crate-{version}",
        "--requirement-severity=RECOMMENDED",
        "--no-paging",
    ]
    command += ["--offline", f"--cache-path={tmp_path / 'cache'}", "--output-format=json"]
    command += [f"--output-file={tmp_path / 'report.json'}", str(published.path)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (tmp_path / "report.json").exists(), ran.stdout + ran.stderr
    issues = json.loads((tmp_path / "report.json").read_text())["issues"]
    assert [issue["message"] for issue in issues if issue["severity"] == "REQUIRED"] == []
    # what is only recommended and not there: how to reach people, and places that nobody named
    known = ("publisher", "affiliation", "organization", "Organization", "ORCID", "contactPoint")
    assert [i["message"] for i in issues if not any(word in i["message"] for word in known)] == []
    entries = {entry["@id"]: entry for entry in crate["@graph"]}
    dump = entries["dump.sql.gz"]
    assert int(dump["contentSize"]) == (published.path / "dump.sql.gz").stat().st_size
    assert entries["./"]["author"][0]["@id"] == "https://orcid.org/0000-0002-1825-0097"
    described = {Path(name).name for name in entries}
    assert {path.name for path in published.path.rglob("*") if path.is_file()} <= described
