"""Clients: what people type and start for a kind of server.

In: a flavor. Out: a `Client`: options of its client programs for passwords, and the official Docker image of the
server. It runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Client:
    """What differs between the client programs and images of servers.

    Attributes
    ----------
    ask : str
        The option that asks for the password.
    file : str
        Where the password can stand instead.
    given : tuple of str
        How options begin that give the password, which every user of a machine can read.
    in_part : tuple of str
        Options of ``restore.sh`` that leave out views which a server refuses. Without them, all or nothing is loaded.
    image : str
        The name of the image.
    numbers : int
        How many numbers of a version a tag of the image needs.
    password : str
        The variable with which the image takes the password.
    """

    ask: str
    file: str
    given: tuple[str, ...]
    in_part: tuple[str, ...]
    image: str
    numbers: int
    password: str


_POSTGRESQL = Client("-W", "~/.pgpass", ("--password=",), (), "postgres", 1, "POSTGRES_PASSWORD")


def client_of(flavor: str) -> Client:
    """What differs for servers of a flavor.

    >>> client_of("mariadb").password, client_of("postgresql").image
    ('MARIADB_ROOT_PASSWORD', 'postgres')
    """
    if flavor == "postgresql":  # where -p is the port
        return _POSTGRESQL
    given, in_part = ("--password=", "-p"), ("--skip-refused",)
    return Client(
        "-p", "--defaults-extra-file=FILE", given, in_part, flavor, 2, f"{flavor.upper()}_ROOT_PASSWORD"
    )
