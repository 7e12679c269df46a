"""``python -m dj_sqlspy`` is ``dj-sqlspy``."""

import sys

from .cli import main

sys.exit(main())
