"""``python -m deblur.prepare``."""

import sys

from deblur.prepare.command import main

if __name__ == "__main__":
    sys.exit(main())
