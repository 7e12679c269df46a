"""MySQL and MariaDB: everything particular to them. `backend` is the interface to the rooms above."""
