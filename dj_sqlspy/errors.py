"""Every error that dj-sqlspy raises. A message says what was being done, on what, and what the user can do."""

from __future__ import annotations


class SpyError(Exception):
    """Base of all errors raised by dj-sqlspy."""


class JournalError(SpyError):
    """A journal cannot be read, or is not complete."""


class LineageError(SpyError):
    """A statement cannot be analysed. Raised with ``strict``, or if not even its tables can be told."""


class CatalogError(SpyError):
    """The server's catalog lacks something that the slice needs."""


class SliceError(SpyError):
    """The slice cannot be made or is refused."""


class BundleError(SpyError):
    """A bundle cannot be written, dumped, restored or verified."""


class FilesError(SpyError):
    """A file of the slice, or its store, cannot be read or copied."""


class ServerError(SpyError):
    """A private server cannot be started or reached."""
