"""`python -m antiphon` is the command line."""

from antiphon.cli import main

main()
