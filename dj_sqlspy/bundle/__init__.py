"""Bundle: the folder that a lab publishes.

`manifest` describes its contents, `folder` writes it and runs its scripts, `texts` makes the texts for readers
(`guide`, `report`, `crate`), `privacy` looks for personal data in it.
"""
