"""Bundle: the folder that a lab publishes.

`manifest` says what is in it, `folder` writes it and runs its scripts, `texts` makes what readers see (`guide`,
`report`, `crate`), `privacy` looks for what it tells of people.
"""
