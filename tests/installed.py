"""A Python environment with this checkout in it as pip would leave it, without a network.

In: a folder. Out: the path of an interpreter that has the packages of this one, this checkout, and the
start-up hook.
"""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.lab import ROOT


def environment(folder: Path) -> Path:
    """Make the environment in ``folder``; its interpreter."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    packages = Path(subprocess.check_output([python, "-c", where], text=True).strip())
    shared = [*site.getsitepackages(), sysconfig.get_paths()["purelib"]]
    # as code, since a folder named in a .pth file has its own .pth files left out
    lines = [f"import site; site.addsitedir({path!r})" for path in dict.fromkeys(shared)]
    (packages / "a_shared.pth").write_text("\n".join([str(ROOT), *lines]) + "\n")
    for file in (ROOT / "startup").iterdir():
        if file.is_file():
            shutil.copy(file, packages)
    command = folder / "bin" / "dj-sqlspy"
    command.write_text(f"#!{python}\nimport sys\nfrom dj_sqlspy.cli import main\nsys.exit(main())\n")
    os.chmod(command, 0o755)
    return python


def clean_environment() -> dict[str, str]:
    """The environment of this process without settings of dj-sqlspy, DataJoint or Python."""
    ours = ("DJ_", "XDG_", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
        "PYTHONWARNINGS": "ignore",
        "PYTHONDONTWRITEBYTECODE": "1",
        "VIRTUAL_ENV": sys.prefix,
    }
