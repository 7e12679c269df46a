"""Every error that dj-sqlspy raises. Each says what was being done, on what, and what to do about it."""

from __future__ import annotations


class SpyError(Exception):
    """Base of all errors raised by dj-sqlspy."""


class JournalError(SpyError):
    """A journal cannot be read, or is not complete."""


class LineageError(SpyError):
    """A statement cannot be analysed (raised where ``strict`` asks for it, or its tables are unknown)."""


class CatalogError(SpyError):
    """The server's catalog lacks something that the slice needs."""


class SliceError(SpyError):
    """The slice cannot be made or is refused."""


class BundleError(SpyError):
    """A bundle cannot be written, dumped, restored or verified."""


class FilesError(SpyError):
    """A file behind the slice, or the store that it is in, cannot be read or copied."""


class ServerError(SpyError):
    """A private server cannot be started or reached."""
