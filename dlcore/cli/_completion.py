"""`dlcore completion`."""

from typing import Literal


def completion(shell: Literal["bash", "zsh"], /) -> None:
    """Print what a shell needs to complete commands and options.

    Args:
        shell: bash (put eval "$(dlcore completion bash)" into ~/.bashrc) or zsh (dlcore completion zsh >
            FOLDER/_dlcore, where FOLDER is in $fpath).
    """
    from dlcore.cli import main

    main(["--tyro-print-completion", shell])
