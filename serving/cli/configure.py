"""Writes to groundtone.toml what a command found out, and leaves every other line, comments too, as it is."""

from pathlib import Path
from typing import Any

from serving.cli.command import Usage


def write_entry(file: Path, table: str, entry: dict[str, Any]) -> None:
    """Sets the keys of `entry` in the `[[table]]` of its `name`, which is added where it is missing.

    The file is replaced whole or not at all. Raises Usage where it is not TOML or can't be written.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document: Any = tomlkit.parse(file.read_text(encoding="utf-8") if file.exists() else "")
        entries: Any = document.setdefault(table, tomlkit.aot())
        found = next((one for one in entries if one.get("name") == entry["name"]), None)
        if found is None:
            found = tomlkit.table()
            found.add("name", entry["name"])
            entries.append(found)
        for key, value in entry.items():
            if found.get(key) != value:
                found[key] = value
        beside = file.with_name(f".{file.name}.new")
        beside.write_text(tomlkit.dumps(document), encoding="utf-8")
        beside.replace(file)
    except (TOMLKitError, UnicodeDecodeError, AttributeError, TypeError):
        raise Usage(f"`{file}` is not TOML with [[{table}]] tables. Correct it, or write the keys by hand.") from None
    except OSError as error:
        raise Usage(f"`{file}` can't be written ({error.strerror}). Write the keys by hand.") from None
