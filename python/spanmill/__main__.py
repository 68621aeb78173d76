"""`python -m spanmill` is `spanmill`."""

from spanmill.cli import main

main()
