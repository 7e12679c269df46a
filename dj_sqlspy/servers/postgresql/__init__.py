"""PostgreSQL: everything particular to it. docs/servers.md says what works and what is refused."""
