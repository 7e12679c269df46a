"""dj-sqlspy: export exactly the rows that a DataJoint analysis stands on."""

__version__ = "0.1.0"
