"""Spy: what DataJoint sends while an export session is open goes to the journals of the sessions.

`session` says which sessions a thread, task or process belongs to, `reads` which statements read, `observe` what is
recorded of each, `clusters` takes Dask and Ray along, and `patches` changes DataJoint and Python for all of it.
"""
