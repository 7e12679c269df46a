"""Clusters: tasks of Dask and Ray workers belong to the sessions of their caller, like tasks of a pool.

In: the libraries, if the program loads them. Out: patches of them, made when a session opens and not before. This
module imports neither library. Workers need dj-sqlspy in their Python.

A Dask task carries the names of its sessions as an annotation. A plugin makes the worker visit them while the task
runs, so a cluster may be older than the session and serve several at once. Ray starts separate workers for tasks with
other environment variables. One variable names the sessions, so these workers join them at the start and are used for
nothing else.
"""

from __future__ import annotations

import importlib
import sys
import weakref
from collections.abc import Collection, Sequence
from typing import Any

from ..journal import Journal
from . import session
from .session import Session

ANNOTATION = "dj_sqlspy"
PLUGIN = "dj-sqlspy"


def patch() -> None:
    """Patch the libraries that are loaded, and the others when they are loaded."""
    for name in _PATCHES:
        if name in sys.modules:
            _patch_module(sys.modules[name])
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _patch_module(module: Any) -> None:
    for owner, name, wrapper in _PATCHES[module.__name__]:
        _replace(getattr(module, owner, None), name, wrapper)


def _replace(owner: Any, name: str, wrapper: Any) -> None:
    original = getattr(owner, "__dict__", {}).get(name)
    if original is not None and not hasattr(original, "_dj_sqlspy"):
        replacement = wrapper(original)
        replacement._dj_sqlspy = True
        setattr(owner, name, replacement)


class _Finder:
    """Leaves finding the modules to the other finders, and patches each after it is loaded."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _PATCHES:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None and spec.origin is not None:
                    self.follow(spec.loader)
                return spec
        return None

    def follow(self, loader: Any) -> None:
        """Make the loader of this import call us after the module is loaded."""
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            del loader.exec_module
            execute(module)
            _patch_module(module)

        loader.exec_module = exec_module


# --- Dask ----------------------------------------------------------------------------------------------------

# Clients whose workers have the plugin.
_prepared: weakref.WeakSet[Any] = weakref.WeakSet()


def _annotated(original: Any) -> Any:
    """Annotates tasks. Every computation of a client goes through here: submit, map, compute, persist, get."""

    def _graph_to_futures(self: Any, *args: Any, **options: Any) -> Any:
        sessions = session.receivers()
        if self not in _prepared:
            _prepare(self, sessions)
        with sys.modules["dask"].annotate(**{ANNOTATION: session.as_environment(sessions)}):
            return original(self, *args, **options)

    return _graph_to_futures


def _prepare(client: Any, sessions: Sequence[Session]) -> None:
    """Make all present and later workers use the annotation. If that fails, the sessions report it."""
    _prepared.add(client)
    journals = {each.journal for each in sessions}
    if client.asynchronous:
        _prepare_later(client, journals)
        return
    try:
        _registered(client)
    except Exception as error:  # whatever it is, the analysis goes on
        _cannot_capture(journals, error)


def _prepare_later(client: Any, journals: Collection[Journal]) -> None:
    """Hold back what an asynchronous client sends until all workers have the plugin: the client cannot wait."""
    waiting: list[Any] = []
    client._send_to_scheduler = waiting.append

    async def prepare() -> None:
        try:
            await _registered(client)
        except Exception as error:  # whatever it is, the analysis goes on
            _cannot_capture(journals, error)
        finally:
            del client._send_to_scheduler
            for message in waiting:
                client._send_to_scheduler(message)

    client.loop.add_callback(prepare)


def _registered(client: Any) -> Any:
    register = getattr(client, "register_plugin", None) or client.register_worker_plugin
    return register(_plugin(), name=PLUGIN)


def _cannot_capture(journals: Collection[Journal], error: Exception) -> None:
    reason = f"workers of Dask cannot capture ({type(error).__name__}: {error}); install dj-sqlspy there"
    for journal in journals:
        journal.fault(reason)


def _plugin() -> Any:
    """A plugin for workers. It is pickled as a call of this function, since its class needs Dask."""
    base = importlib.import_module("distributed.diagnostics.plugin").WorkerPlugin
    members = {"name": PLUGIN, "idempotent": True, "setup": _set_up, "__reduce__": lambda _: (_plugin, ())}
    return type("Plugin", (base,), members)()


def _set_up(_: Any, worker: Any) -> None:
    _replace(type(worker), "execute", _visiting)


def _visiting(original: Any) -> Any:
    """Set the scope in this coroutine; the task's thread takes over its context."""

    async def execute(self: Any, key: Any, *args: Any, **options: Any) -> Any:
        annotations = getattr(self.state.tasks.get(key), "annotations", None) or {}
        if ANNOTATION not in annotations:
            return await original(self, key, *args, **options)
        with session.visiting(annotations[ANNOTATION]):
            return await original(self, key, *args, **options)

    return execute


# --- Ray -----------------------------------------------------------------------------------------------------


def _with_environment(original: Any) -> Any:
    """Submit a task or an actor with the sessions in its environment."""

    def _remote(self: Any, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
        value = session.as_environment(session.receivers())
        runtime = dict(options.get("runtime_env") or {})
        variables = dict(runtime.get("env_vars") or {})
        if rest or variables.get(session.ENVIRONMENT) == value:
            return original(self, args, kwargs, *rest, **options)
        runtime["env_vars"] = variables | {session.ENVIRONMENT: value}
        given = {name: option for name, option in options.items() if name != "serialized_runtime_env_info"}
        again = self.options(**given | {"runtime_env": runtime})
        return again.remote(*(args or ()), **(kwargs or {}))

    return _remote


_PATCHES: dict[str, list[tuple[str, str, Any]]] = {
    "distributed.client": [("Client", "_graph_to_futures", _annotated)],
    "ray.remote_function": [("RemoteFunction", "_remote", _with_environment)],
    "ray.actor": [("ActorClass", "_remote", _with_environment)],
}
