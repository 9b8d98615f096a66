"""From the words on the command line to a command, and from an error to one line and an exit status."""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence

from dlcore.cli._completion import completion
from dlcore.cli._config import with_config
from dlcore.cli._doctor import doctor
from dlcore.cli._evaluate import evaluate
from dlcore.cli._list import list_names
from dlcore.cli._plan import plan
from dlcore.cli._predict import predict
from dlcore.cli._report import report
from dlcore.cli._show import show
from dlcore.cli._signals import leave_at_once
from dlcore.cli._summary import summary
from dlcore.cli._sweep import sweep
from dlcore.cli._train import train
from dlcore.cli._verify import verify
from dlcore.errors import DlcoreError, PeerError

COMMANDS: dict[str, Callable[..., None]] = {
    "train": train,
    "sweep": sweep,
    "evaluate": evaluate,
    "predict": predict,
    "report": report,
    "verify": verify,
    "show": show,
    "list": list_names,
    "summary": summary,
    "plan": plan,
    "doctor": doctor,
    "completion": completion,
}

ABOUT = """\
Deep learning as pure functions. Without options, `dlcore train` trains LeNet-5 on handwritten digits.

Exit status:
  0    fine
  1    something was found wrong (verify, doctor), or another process of the run was lost, or does not fit (plan)
  2    bad input; one line on standard error says what was expected and what was found
  130  interrupted (Ctrl-C); a run that was going on is saved
  141  the reader of a pipe has gone
  143  terminated (SIGTERM); a run that was going on is saved

Shell completion: eval "$(dlcore completion bash)", or zsh."""

PIPE = 141  # 128 + SIGPIPE, as other tools end


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line.

    Args:
        arguments: the words after `dlcore`; those of the process unless given.

    Raises:
        SystemExit: 1 where something was found wrong, 2 for what the user can mend, 130 after Ctrl-C, 141 where nobody
            reads the output any more, 143 after SIGTERM.
    """
    with _one_line_errors(), leave_at_once() if arguments is None else contextlib.nullcontext():
        import tyro

        # Where there is no home, it would tell at length where it keeps its cache.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        words = list(sys.argv[1:] if arguments is None else arguments)
        commands = with_config(COMMANDS, words)
        tyro.extras.subcommand_cli_from_dict(commands, prog="dlcore", description=ABOUT, args=words)


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    for stream in (sys.stdout, sys.stderr):  # a terminal that has no ± gets a question mark
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _say(str(message))
        try:
            try:
                yield
            finally:
                _flush()  # here, where a closed pipe is still caught
        except KeyboardInterrupt:
            sys.exit(130)
        except BrokenPipeError:
            _leave_pipe()
            sys.exit(PIPE)
        except PeerError as error:
            _say(str(error))
            os._exit(1)  # an ordinary exit waits for the process that is gone
        except ImportError as error:
            _say(f"{error}; `dlcore doctor` says what to install")
            sys.exit(2)
        except (DlcoreError, ValueError, TypeError, OSError) as error:
            place = "".join(f" ({note})" for note in getattr(error, "__notes__", ()) if note.startswith(("in ", "at ")))
            _say(f"{error}{place}")
            try:
                _flush()
            except OSError:  # the error was that nothing can be written there
                _leave_pipe()
            sys.exit(2)


def _say(text: str) -> None:
    # A path may hold a newline or an escape sequence; what is said stays one line.
    plain = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    print(f"dlcore: {plain}", file=sys.stderr, flush=True)


def _flush() -> None:
    if sys.stdout is not None:  # closed before the start
        sys.stdout.flush()


def _leave_pipe() -> None:
    """Lets Python's own last flush go nowhere: it would fail once more, and say so."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
