"""``python -m lagrange_ad`` is the command ``lagrange-ad``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
