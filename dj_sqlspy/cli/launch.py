"""Launch: run a program that never heard of dj-sqlspy, and capture what it reads.

In: the words behind ``dj-sqlspy run``. Out: for a script or module, this process replaces itself with a fresh Python,
and the start-up hook (``startup/``) captures there. So arguments, ``__main__``, ``sys.path``, standard input, signals
and exit code are those of ``python script.py``. For a notebook, its cells run in a kernel. The file is not changed.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .. import capture, settings
from ..errors import SpyError
from ..journal import analysis_folder, programs, runs
from ..journal.places import make_folder

_PATIENCE = 5  # seconds that a cell has to end in after Ctrl-C


def run(
    program: Sequence[str],
    *,
    paper: str | None = None,
    analysis: str | None = None,
    home: str | os.PathLike[str] | None = None,
    append: bool | str | None = None,
    preview: str | None = None,
    count: str | None = None,
    exists: str | None = None,
    kernel: str | None = None,
) -> int:
    """Run a program and capture it. For a script or module, this process replaces itself where the system can.

    Parameters
    ----------
    program : sequence of str
        ``script.py``, ``-m module`` or ``notebook.ipynb``, and the arguments for it.
    paper, analysis, home, append, preview, count, exists
        As of `export`; the analysis' default is also the name of the program.
    kernel : str, optional
        The kernel of a notebook; default: the one that it names, else ``python3``.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    SpyError
        If there is nothing to run, a name or setting is not valid, nothing can be written into the home, or this
        Python has no start-up hook.
    """
    settings.require_environment()  # an import only warns of it, and captures nothing
    paper = paper or settings.get("paper")
    if not program or not paper or program == ["-m"]:
        raise SpyError(
            "dj-sqlspy run needs a paper and a program: "
            "dj-sqlspy run --paper PAPER --analysis ANALYSIS script.py|-m module|notebook.ipynb arguments…"
        )
    analysis = analysis or settings.get("analysis") or _name(program)
    checked = capture.export(
        paper, analysis, home=home, append=append, preview=preview, count=count, exists=exists
    )
    try:
        make_folder(checked.home)
    except OSError as error:
        raise SpyError(
            f"Capturing {paper!r} into {checked.home}: {error}. Name another home: --home, or sqlspy.home."
        ) from error
    if program[0].endswith(".ipynb"):
        return _run_notebook(Path(program[0]), program[1:], checked, kernel)
    if kernel is not None:
        raise SpyError(f"--kernel is for a notebook, and {program[0]} is none.")
    if "dj_sqlspy_startup" not in sys.modules:
        raise SpyError(
            f"dj-sqlspy run needs the start-up hook, and {sys.executable} has not loaded it. It comes with "
            "`pip install dj-sqlspy` (not with a folder on PYTHONPATH), and DJ_SQLSPY_STARTUP=off turns it off."
        )
    wanted: dict[str, Any] = {
        "enabled": "true",
        "paper": checked.paper,
        "analysis": checked.analysis,
        "home": checked.home,
        "append": checked.append or "false",
        **checked.policies,
    }
    environment = os.environ | {settings.variable(name): str(value) for name, value in wanted.items()}
    # what the start-up hook looks at, to say at the end if nothing was captured
    environment["DJ_SQLSPY_RUN"] = str(analysis_folder(checked.home, checked.paper, checked.analysis))
    command = [sys.executable, *program]
    if sys.platform == "win32":  # a process cannot replace itself there
        return subprocess.call(command, env=environment)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command, environment)


def _name(program: Sequence[str]) -> str:
    if program[0] == "-m":
        return program[1]
    path = Path(program[0])
    return path.stem if path.stem != "__main__" else path.parent.name


def _run_notebook(path: Path, arguments: Sequence[str], export: capture.export, kernel: str | None) -> int:
    if arguments:
        raise SpyError(f"A notebook takes no arguments: {' '.join(arguments)!r} cannot be given to {path}.")
    try:
        import jupyter_client.kernelspec
        import nbclient
        import nbformat
    except ImportError as error:
        raise SpyError(
            f"Running the notebook {path} needs nbclient and ipykernel ({error}). Install them: "
            'pip install "dj-sqlspy[notebook]".'
        ) from error
    try:
        notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call, unused-ignore]
    except (OSError, ValueError) as error:
        raise SpyError(f"Reading the notebook {path}: {error}.") from error
    kernel = kernel or notebook.metadata.get("kernelspec", {}).get("name") or "python3"
    known = sorted(jupyter_client.kernelspec.find_kernel_specs())
    if kernel not in known:
        raise SpyError(
            f"Running the notebook {path}: there is no kernel {kernel!r} here; there is "
            f"{', '.join(known) or 'none'}. Choose one with --kernel, or install it: "
            "python -m ipykernel install --user."
        )
    client = nbclient.NotebookClient(
        notebook,
        timeout=None,
        kernel_name=kernel,
        resources={"metadata": {"path": str(path.absolute().parent)}},
    )
    failed: Exception | None = None
    programs.told = path
    try:
        with export as session:
            _execute(client)
    except nbclient.exceptions.CellExecutionError as error:
        failed = error
        print(error, file=sys.stderr)
    if len(runs.read_run(session.journal.folder).files) == 1:
        print(
            f"dj-sqlspy: nothing was captured of {path}. Either it read nothing, or its kernel "
            f"({client.km.kernel_name if client.km else ''}) is a Python that dj-sqlspy is not installed in.",
            file=sys.stderr,
        )
    return 1 if failed is not None else 0


def _execute(client: Any) -> None:
    """Run the cells of a notebook. Ctrl-C interrupts the cell, ends the kernel, and is raised here.

    In a thread of its own, since in the main one nbclient takes the signal for itself, and then fails.
    """
    began: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()

    async def cells() -> None:
        task = asyncio.current_task()
        assert task is not None
        began.set_result((asyncio.get_running_loop(), task))
        await client.async_execute()

    async def stop(task: asyncio.Task[Any]) -> None:
        try:
            if client.km is not None and client.km.has_kernel:
                await client.km.interrupt_kernel()
                await asyncio.wait([task], timeout=_PATIENCE)  # the cell fails, and the kernel ends as always
        finally:
            task.cancel()

    with ThreadPoolExecutor(1) as pool:  # at its end it waits for the thread
        done = pool.submit(lambda: asyncio.run(cells()))
        try:
            done.result()
        except KeyboardInterrupt:
            loop, task = began.result()
            asyncio.run_coroutine_threadsafe(stop(task), loop)
            raise
