"""`python3 -m setup`."""

import sys

from .cli import main

sys.exit(main())
