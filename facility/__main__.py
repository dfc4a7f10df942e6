"""`python -m facility`."""

from facility.cli import main

main()
