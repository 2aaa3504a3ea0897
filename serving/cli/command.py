"""What every command shares: `--url`, `--key`, `--json`, the connection they lead to, and the way out for errors."""

import inspect
import os
from collections.abc import Callable
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NoReturn
from urllib.parse import urlsplit

import typer

from serving.cli.client import LOOPBACK, Client, ServiceError, Unreachable
from serving.cli.output import Output

if TYPE_CHECKING:
    from common.settings import Settings
    from serving.home import Home


class Exit(SystemExit):
    """The end of a command whose output is complete."""

    DONE: ClassVar[int] = 0
    NO: ClassVar[int] = 1
    USAGE: ClassVar[int] = 2
    UNREACHABLE: ClassVar[int] = 3


class Usage(Exception):
    """The command was given something that it can't work with; the message says what to give instead."""


class Cli:
    """One command's surroundings. Settings are read only by commands that need them."""

    def __init__(self, url: str | None, key: str | None, as_json: bool) -> None:
        self._url = url
        self._key = key
        self.output = Output(as_json)

    @cached_property
    def settings(self) -> "Settings":
        from pydantic import ValidationError

        from common.settings import config_path, load

        try:
            return load()
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise Usage(f"{config_path()} or the environment is not valid: {wrong}.") from None
        except ValueError as error:
            raise Usage(f"{config_path()} or the environment can't be read: {error}.") from None

    @cached_property
    def home(self) -> "Home":
        from serving.home import Home

        return Home(self.settings.home.absolute())

    @cached_property
    def url(self) -> str:
        """Where the gateway is: as told, else where the one of this folder runs, else where it would be started."""
        if told := self._url or os.environ.get("GROUNDTONE_URL"):
            if urlsplit(told).scheme not in ("http", "https") or not urlsplit(told).hostname:
                raise Usage(f"`{told}` is not an address. Give one such as http://127.0.0.1:8080.")
            return told.rstrip("/")
        if running := self.home.running():
            return str(running["address"])
        server = self.settings.server
        host = "127.0.0.1" if server.host in ("0.0.0.0", "::") else server.host  # noqa: S104 # compared, not bound
        return f"{server.scheme}://{host}:{server.port}"

    @cached_property
    def client(self) -> Client:
        return Client(self.url, self._secret())

    @property
    def on_this_machine(self) -> bool:
        return urlsplit(self.url).hostname in LOOPBACK

    def _secret(self) -> str | None:
        """The key as told, else the admin key of this folder: never sent to another machine unasked."""
        if told := self._key or os.environ.get("GROUNDTONE_API_KEY"):
            return told
        if not self.on_this_machine:
            raise Usage(f"{self.url} is another machine. Give its API key with --key or GROUNDTONE_API_KEY.")
        try:
            return self.home.admin_key
        except FileNotFoundError:
            return None
        except PermissionError:
            raise Usage(
                f"{self.home.admin_key_path} belongs to another user. Give a key with --key or GROUNDTONE_API_KEY."
            ) from None

    def only(self, what: str, given: str | None, existing: Callable[[], list[str]]) -> str:
        """`given`, or the one that exists. Raises Usage where there is a choice to make."""
        if given is not None:
            return given
        match existing():
            case [one]:
                return one
            case []:
                raise Usage(f"There is no {what} yet.")
            case several:
                raise Usage(f"Say which {what}: {', '.join(several)}.")

    def fail(self, code: int, message: str, error: dict[str, Any] | None = None) -> NoReturn:
        """Ends the command with the reason, in JSON as the contract's error object."""
        self.output.progress(message)
        if not self.output.told:
            self.output.document({"error": error or {"message": message}})
        raise Exit(code)


_Url = Annotated[str | None, typer.Option("--url", metavar="URL", help="The gateway, if not this folder's.")]
_Key = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="API key; else GROUNDTONE_API_KEY or admin.key.")
]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, progress on stderr.")]


def command(app: typer.Typer, name: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers `function(cli, …)` as a command that has `--url`, `--key` and `--json` besides its own parameters."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        _, *own = inspect.signature(function).parameters.values()
        shared = [
            inspect.Parameter("url", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_Url),
            inspect.Parameter("key", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_Key),
            inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Json),
        ]

        @wraps(function)
        def run(*, url: str | None, key: str | None, as_json: bool, **given: Any) -> None:
            cli = Cli(url, key, as_json)
            try:
                function(cli, **given)
            except Usage as wrong:
                cli.fail(Exit.USAGE, str(wrong), {"message": str(wrong), "type": "usage"})
            except Unreachable as unreachable:
                cli.fail(Exit.UNREACHABLE, str(unreachable), {"message": str(unreachable), "type": "unreachable"})
            except ServiceError as refused:
                cli.fail(Exit.UNREACHABLE if refused.unavailable else Exit.NO, _told(refused, cli), refused.error)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + shared
        # Typer reads parameters from these two.
        setattr(run, "__signature__", inspect.Signature(parameters))  # noqa: B010 # functions declare no such attribute
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        del run.__wrapped__
        app.command(name)(run)
        return function

    return register


def _told(refused: ServiceError, cli: Cli) -> str:
    message = str(refused)
    if refused.status == 401 and cli.on_this_machine:
        return f"{message} The admin key of the running service is in its admin.key: is GROUNDTONE_HOME its folder?"
    return message


def commas(text: str) -> list[str]:
    """The parts of an option that is written with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def existing_file(path: Path) -> Path:
    """`path`, if it is a file. Raises Usage."""
    if not path.is_file():
        raise Usage(f"There is no file `{path}`.")
    return path
