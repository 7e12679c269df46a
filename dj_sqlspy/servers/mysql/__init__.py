"""MySQL and MariaDB: all that is their own. `backend` is what the rooms above are handed."""
