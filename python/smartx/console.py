"""A command of the command line: from its arguments to its outcome, messages and exit status. The
only file that prints.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from smartx import __version__
from smartx.display import flag, in_flags
from smartx.errors import ConfigError, InputError, SmartxError, plain
from smartx.flags import PROGRESS, common_options, paragraphs
from smartx.outcomes import Outcome
from smartx.terminal import FAILED, INTERRUPTED, KILLED, REFUSED, Killed

if TYPE_CHECKING:
    from smartx.tellers import Quiet

EPILOG = """
Start here: [bold]smartx demo[/]. Then: [bold]smartx run data/*.jsonl --rows 25000 --out mix[/]

Exit status: 0 done; 1 it could not be done, or a fault was found; 2 what was asked for cannot be;
130 stopped by Ctrl-C, 143 by a kill; 141 nobody read the output any more. Finished work is kept.
"""
before_work: list[Callable[[], None]] = []  # what the process of the command is to do first
IN_A_FILE = 160  # columns of a table where nobody's terminal says how wide it is
out = Console(soft_wrap=True, highlight=False)
if not out.is_terminal and "COLUMNS" not in os.environ:
    out.width = IN_A_FILE
err = Console(stderr=True, highlight=False)


@dataclass(frozen=True, slots=True)
class Command:
    """A command. fields: of RunConfig, its flags.  sources: whether it takes any.

    own: options that are no fields; the function gets them by name.  works: whether it tells of
    progress.  use: the heading of --help that it stands under.
    """

    function: Callable[..., Outcome]
    fields: Sequence[str]
    sources: bool
    own: Sequence[inspect.Parameter]
    works: bool
    use: str | None

    @property
    def name(self) -> str:
        """As it is typed."""
        return self.function.__name__

    def add_to(self, app: typer.Typer, *, whole: bool) -> None:
        """Let an app have it. whole: with its options, which takes a while; else its name and help.

        Flags that are not given do not hide what a --config file says.
        """

        def run(**given: Any) -> None:
            options = {parameter.name: given.pop(parameter.name) for parameter in self.own}
            _guarded(partial(self.function, **options), given, own=options)

        run.__name__ = self.name
        run.__doc__ = paragraphs(self.function.__doc__ or "")
        accepted = self._parameters() if whole else []
        run.__signature__ = inspect.Signature(accepted)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in accepted}
        app.command(rich_help_panel=self.use)(run)

    def _parameters(self) -> list[inspect.Parameter]:
        if self.fields or self.sources:
            from smartx.field_flags import parameters

            return [*self.own, *parameters(self.fields, sources=self.sources)]
        return [*self.own, *(common_options(config=False) if self.works else ())]


@dataclass(frozen=True, slots=True)
class Group:
    """Commands that are typed behind one word, such as `smartx features llm`.

    words: what its help says.  use: the heading of --help that it stands under.
    """

    name: str
    words: str
    use: str
    commands: list[Command]

    def add_to(self, app: typer.Typer, *, whole: bool) -> None:
        """Let an app have it, as a command."""
        own = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
        for one in self.commands:
            one.add_to(own, whole=whole)
        app.add_typer(own, name=self.name, help=paragraphs(self.words), rich_help_panel=self.use)


COMMANDS: list[Command | Group] = []  # all that there are, once cli.py is loaded


def command(
    fields: Sequence[str],
    *,
    use: str,
    sources: bool = False,
    own: Sequence[inspect.Parameter] = (),
    works: bool = True,
) -> Callable[[Callable[..., Outcome]], None]:
    """Register a command whose options are fields of RunConfig: one place says what a flag means.

    The function gets (config, progress) and does the work; the outcome that it returns is printed
    when progress is over, else the live view would be drawn over it.
    """

    def register(function: Callable[..., Outcome]) -> None:
        COMMANDS.append(Command(function, fields, sources, own, works, use))

    return register


def group(name: str, words: str, *, use: str, commands: Sequence[Command]) -> None:
    """Register commands that are typed behind one word."""
    COMMANDS.append(Group(name, words, use, list(commands)))


@cache
def application(*, whole: bool = True) -> typer.Typer:
    """The command line. whole: with the options of every command; else names and help alone, which
    is all that `smartx --help` shows.
    """
    app = typer.Typer(
        name="smartx",
        help="Which rows do I fine-tune on, and how much of each task?",
        epilog=paragraphs(EPILOG),
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for one in COMMANDS:
        one.add_to(app, whole=whole)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"smartx {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    del version  # its callback has answered


def _guarded(
    function: Callable[..., Outcome], given: dict[str, Any], *, own: Collection[str]
) -> None:
    """Run a command and print its outcome; what goes wrong is a message and an exit status."""
    from smartx.config import config_from

    file, quiet = given.pop("config", None), given.pop("quiet", False)
    shown = given.pop("progress", None)
    fields = {name: value for name, value in given.items() if value not in (None, [])}
    own = {*own, "progress"}
    with _messages(own, _teller("none")):
        display = _teller("none" if quiet else shown or "auto")
    with _messages(own, display):
        config = config_from(fields, file=file)
        for prepare in before_work:
            prepare()
        with display:
            outcome = function(config, display)
        for part in outcome:
            out.print(part)
    display.end(0)


def _teller(name: str) -> Quiet:
    """Who tells of progress: auto, lines, json or none. Raises ConfigError for other names."""
    from smartx.tellers import Bars, JsonLines, LogLines, Quiet

    if name == "auto":
        # Colours may be forced on what is no terminal, as many CI systems do; a live view may not.
        live = err.file.isatty() and not err.is_dumb_terminal
        return Bars(err) if live else LogLines(err)
    kinds: dict[str, type[Quiet]] = {"lines": LogLines, "json": JsonLines, "none": Quiet}
    if name not in kinds:
        names = ", ".join(PROGRESS)
        raise ConfigError(f"it must be one of {names} (given: {name!r})", place="progress")
    return kinds[name](err)


@contextmanager
def _messages(own: Collection[str], display: Quiet) -> Iterator[None]:
    """What goes wrong becomes a message and an exit status. own: options that are no fields."""
    try:
        yield
        return
    except KeyboardInterrupt as stop:
        status, problem = stopped(stop), None
        message = "stopped; finished work is kept, and the same command goes on from there"
    except MemoryError:
        status, problem = FAILED, None
        message = "memory is used up\n  fix: pass a smaller --memory, or free some"
    except SmartxError as fault:
        status, problem = REFUSED if isinstance(fault, InputError) else FAILED, fault
        message = _in_flags(fault, own)
    display.error(plain(message), status, problem)
    display.end(status)
    raise typer.Exit(status)


def stopped(stop: KeyboardInterrupt) -> int:
    """The exit status of what was stopped."""
    return KILLED if isinstance(stop, Killed) else INTERRUPTED


def _in_flags(problem: SmartxError, own: Collection[str]) -> str:
    """An error with the fields of the configuration, and options, as the flags that they are."""
    text = in_flags(str(problem), own)
    named = flag(problem.place, own)
    return text.replace(problem.place, named, 1) if named else text
