"""Settings: ``sqlspy.*`` in ``dj.config``, and the environment.

In: ``dj.config`` (code, ``dj_local_conf.json`` or ``datajoint.json``, ``override``/``config(…)``) and environment
variables ``DJ_SQLSPY_…``. Out: checked values, and a call of each function in `on_change` after a change. `spy.patches`
stores them in ``dj.config`` with DataJoint 0.14 and 2.x.

======================  ======================  =============================================================
setting                 environment
======================  ======================  =============================================================
``sqlspy.enabled``      ``DJ_SQLSPY_ENABLED``   capture everything that this process reads
``sqlspy.paper``        ``DJ_SQLSPY_PAPER``     for this paper (required if enabled)
``sqlspy.analysis``     ``DJ_SQLSPY_ANALYSIS``  as this analysis; default: the name of the script or notebook
``sqlspy.home``         ``DJ_SQLSPY_HOME``      where journals live; default: ``$XDG_DATA_HOME/dj-sqlspy``
``sqlspy.append``       ``DJ_SQLSPY_APPEND``    true: add to the newest run of the analysis; else: to the run of
                                                this name (such as the number of a SLURM array)
``sqlspy.preview``      ``DJ_SQLSPY_PREVIEW``   what statements of this kind export (as of `capture.export`)
``sqlspy.count``        ``DJ_SQLSPY_COUNT``     the same of this kind
``sqlspy.exists``       ``DJ_SQLSPY_EXISTS``    the same of this kind
``sqlspy.digests``      ``DJ_SQLSPY_DIGESTS``   digest results while the analysis reads them; true by default
``sqlspy.same_server``  ``DJ_SQLSPY_SAME_SERVER``  names of one server (a tunnel, a replica): a list of lists of
                                                ``host:port``, or lines of them
``sqlspy.schema``       ``DJ_SQLSPY_SCHEMA``    a database schema to share the log through; none by default
``sqlspy.references``   ``DJ_SQLSPY_REFERENCES``  references that the database does not declare as foreign keys: a
                                                list, or lines, of ``lab.session (rig) -> lab.rig (rig)``
``sqlspy.scratch``      ``DJ_SQLSPY_SCRATCH``   a database schema for tables of keys (`dump.keytables`); none by default
======================  ======================  =============================================================

The environment overrides a file, as for DataJoint's own settings. Of an assignment in code and a changed environment
variable, the later one wins.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import SpyError
from .names import listed
from .rules import POLICIES, POLICY_CHOICES

if TYPE_CHECKING:
    from .servers.tables import ForeignKey

logger = logging.getLogger("dj_sqlspy")

DEFAULTS: dict[str, Any] = {
    "enabled": False,
    "paper": None,
    "analysis": None,
    "home": None,
    "append": False,
    **POLICIES,
    "digests": True,
    "same_server": (),
    "schema": None,
    "references": (),
    "scratch": None,
}


_TRUTH = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(("false", "0", "no", "off"), False)


def variable(name: str) -> str:
    """The environment variable of a setting.

    >>> variable("home")
    'DJ_SQLSPY_HOME'
    """
    return f"DJ_SQLSPY_{name.upper()}"


def checked(name: str, value: Any) -> Any:
    """The value in the form in which it is stored.

    >>> checked("enabled", "true"), checked("home", "/data")
    (True, '/data')

    Raises
    ------
    SpyError
        If there is no such setting, or the value is not one for it.
    """
    if name not in DEFAULTS:
        raise SpyError(
            f"There is no setting sqlspy.{name}; there are {', '.join(f'sqlspy.{n}' for n in DEFAULTS)}."
        )
    if value is None:  # as in ``del dj.config["sqlspy.paper"]``
        return DEFAULTS[name]
    if name in ("enabled", "digests"):
        if isinstance(value, bool):
            return value
        if str(value).lower() in _TRUTH:
            return _TRUTH[str(value).lower()]
        raise SpyError(f"sqlspy.{name} is True or False, not {value!r}.")
    if name == "append" and (isinstance(value, bool) or str(value).lower() in ("true", "false")):
        return str(value).lower() == "true"
    if name in POLICIES:
        if value not in POLICY_CHOICES[name]:
            choices = " or ".join(map(repr, POLICY_CHOICES[name]))
            raise SpyError(f"{name}={value!r}: the policy for statements of this kind is {choices}.")
        return value
    if name == "references":
        return _checked_references(value)
    if name == "same_server":
        return _checked_servers(value)
    if name == "home" and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or not value or "\0" in value:
        raise SpyError(f"sqlspy.{name} must be a non-empty string or None, not {value!r}.")
    return value


def _checked_references(value: Any) -> tuple[str, ...]:
    lines = value.splitlines() if isinstance(value, str) else value
    if not isinstance(lines, (list, tuple)) or not all(isinstance(line, str) for line in lines):
        raise SpyError(f"sqlspy.references is a list of strings, not {value!r}.")
    found = tuple(line.strip() for line in lines if line.strip())
    if found:
        from .virtual_fks import references

        try:
            references(found)
        except SpyError as error:
            raise SpyError(f"sqlspy.references: {error}") from None
    return found


def _checked_servers(value: Any) -> tuple[tuple[str, ...], ...]:
    groups = [line.split() for line in value.splitlines()] if isinstance(value, str) else value
    if not isinstance(groups, (list, tuple)) or not all(
        isinstance(group, (list, tuple)) and all(map(_is_address, group)) for group in groups
    ):
        raise SpyError(
            f'sqlspy.same_server is a list such as [["db1:3306", "127.0.0.1:3307"]], not {value!r}.'
        )
    return tuple(tuple(group) for group in groups if group)


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and value.rpartition(":")[2].isdecimal() and len(value.split()) == 1


class Settings:
    """The values as attributes. An assignment is checked, and opens or ends the session that the settings ask for.

    On DataJoint 2.x this is ``dj.config.sqlspy``.
    """

    enabled: bool
    paper: str | None
    analysis: str | None
    home: str | None
    append: str | bool
    preview: str
    count: str
    exists: str
    digests: bool
    same_server: tuple[tuple[str, ...], ...]
    schema: str | None
    references: tuple[str, ...]
    scratch: str | None

    def __init__(self) -> None:
        self.__dict__.update(DEFAULTS)

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = checked(name, value)
        changed()

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


# Set by `attach`: how dj.config is read and written on this line of DataJoint.
_read: Callable[[str], Any] = DEFAULTS.__getitem__
_write: Callable[[str, Any], None] | None = None
_seen: dict[str, str | None] = {}


def attach(read: Callable[[str], Any], write: Callable[[str, Any], None]) -> None:
    """Use ``dj.config`` and the environment from now on. `spy.patches` calls this once."""
    global _read, _write
    _read, _write = read, write
    try:
        changed()
        if get("enabled") and not get("paper"):
            logger.warning("sqlspy.enabled is set and sqlspy.paper is not: nothing is captured until it is.")
    except SpyError as error:  # importing must not break an analysis that does not use us
        logger.error("dj-sqlspy captures nothing: %s", error)
        with suppress(Warning):
            warnings.warn(f"dj-sqlspy captures nothing: {error}", RuntimeWarning, stacklevel=2)


def _follow_environment() -> None:
    if _write is None:
        return
    found = {name: os.environ.get(variable(name)) or None for name in DEFAULTS}
    changed_ones = {name: value for name, value in found.items() if value != _seen.get(name)}
    _seen.update(changed_ones)  # before they are written, which comes here again
    require_environment(changed_ones)
    for name, value in reversed(changed_ones.items()):  # what asks for a capture last
        _write(name, value)


def require_environment(names: Iterable[str] = tuple(DEFAULTS)) -> None:
    """Raise if a variable of the environment has no valid value.

    Raises
    ------
    SpyError
    """
    for name in names:
        try:
            checked(name, os.environ.get(variable(name)) or None)
        except SpyError as error:
            raise SpyError(f"The environment variable {variable(name)}: {error}") from None


def get(name: str) -> Any:
    """The value of a setting, now.

    Raises
    ------
    SpyError
        If the value came from a file or the environment, and is not valid.
    """
    _follow_environment()
    return checked(name, _read(name))


def home(given: str | os.PathLike[str] | None = None) -> Path:
    """Where journals live: as given, else ``sqlspy.home``, else the user's data folder."""
    chosen = get("home") if given is None else given
    if chosen is None:
        data = os.environ.get("XDG_DATA_HOME") or os.path.join("~", ".local", "share")
        chosen = os.path.join(data, "dj-sqlspy")
    return Path(os.path.abspath(os.path.expanduser(chosen)))


# Called after every change since `attach`: `capture` opens and ends sessions, `spy` needs the shared schema.
on_change: list[Callable[[], None]] = []


def changed() -> None:
    """Call the functions in `on_change`."""
    if _write is not None:
        for follow in on_change:
            follow()


def declared_references(given: str | ForeignKey | Iterable[str | ForeignKey] = ()) -> tuple[ForeignKey, ...]:
    """The references of ``dj.config["sqlspy.references"]`` and the given ones."""
    from .virtual_fks import references

    return references((*get("references"), *listed(given)))
