"""`python -m separatrix` is the command `separatrix`."""

import sys

from separatrix.cli import main

if __name__ == "__main__":
    sys.exit(main())
