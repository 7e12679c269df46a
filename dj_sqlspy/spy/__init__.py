"""Spy: records what DataJoint sends while an export session is open.

`session` says to which sessions a thread, task or process belongs, `reads` which statements read, `observe` what is
recorded. `clusters` does the same for workers of Dask and Ray. `patches` holds all changes of DataJoint and Python.
"""
