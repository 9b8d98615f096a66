"""The command line `dlcore`: one command a file, each importing what it needs when it runs."""

from dlcore.cli._main import main

__all__ = ["main"]
