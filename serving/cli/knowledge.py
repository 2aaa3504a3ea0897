"""`groundtone knowledge`: what the assistants know, and what they knew."""

from pathlib import Path
from typing import Annotated, Any

import typer

from serving.cli.ask import point_in_time
from serving.cli.client import ServiceError, path
from serving.cli.command import Cli, Exit, Usage, command, commas
from serving.cli.documents import document_path, files_of, finished, put
from serving.cli.output import moment

app = typer.Typer(name="knowledge", help="Documents, snapshots and sources.", no_args_is_help=True)

Kb = Annotated[str | None, typer.Option("--kb", help="The knowledge base; not needed where there is only one.")]
KbName = Annotated[str | None, typer.Argument(metavar="[KB]", help="The knowledge base.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many rows.")]


def base(cli: Cli, kb: str | None) -> str:
    return cli.only("knowledge base", kb, lambda: [b["name"] for b in cli.client.pages("/v1/knowledge")])


@command(app, "create")
def create(
    cli: Cli,
    kb: Annotated[str, typer.Argument(metavar="KB", help="Its name.")],
    labels: Annotated[
        str | None, typer.Option("--labels", help="Comma-separated; who may read. Default: public.")
    ] = None,
) -> None:
    """Create a knowledge base."""
    made = cli.client.put(path("v1", "knowledge", kb), {"labels": commas(labels)} if labels else {})
    cli.output.document(made)
    cli.output.line(f"Knowledge base {kb} exists, with labels {', '.join(made.get('labels') or ['public'])}.")


@command(app, "add")
def add(
    cli: Cli,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Files, or folders of files.")],
    kb: Kb = None,
    id: Annotated[str | None, typer.Option("--id", help="The document's id; by default the file's name.")] = None,
    title: Annotated[str | None, typer.Option("--title", help="By default the document's own.")] = None,
    labels: Annotated[str | None, typer.Option("--labels", help="Comma-separated; who may read.")] = None,
    lang: Annotated[str | None, typer.Option("--lang", help="en, ja, zh-TW or zh-CN; by default recognised.")] = None,
    effective_from: Annotated[
        str | None, typer.Option("--effective-from", help="RFC 3339; applies from then on.")
    ] = None,
    effective_until: Annotated[
        str | None, typer.Option("--effective-until", help="RFC 3339; applies until then.")
    ] = None,
) -> None:
    """Add or replace documents; the next question finds them once this returns."""
    found = files_of(files)
    if id is not None or title is not None:
        if len(found) > 1:
            raise Usage("--id and --title name one document. Give one file.")
        found = [(id or found[0][0], found[0][1])]
    query = {
        "title": title,
        "labels": labels,
        "lang": lang,
        "effective_from": effective_from,
        "effective_until": effective_until,
    }
    name = base(cli, kb)
    results = [_add(cli, name, document, file, query) for document, file in found]
    failed = [result for result in results if "error" in result]
    cli.output.document({"knowledge": name, "documents": results})
    columns = ("document", "revision", "snapshot", "")
    rows = [
        (r["document"], r.get("revision"), r.get("snapshot"), (r.get("error") or {}).get("message")) for r in results
    ]
    cli.output.table(columns, rows, "")
    if failed:
        raise Exit(Exit.NO)


def _add(cli: Cli, kb: str, document: str, file: Path, query: dict[str, Any]) -> dict[str, Any]:
    """One file; that it can't be read must not keep the others out."""
    cli.output.progress(f"adding {document}")
    try:
        return {"document": document, **put(cli.client, kb, document, file, query)}
    except ServiceError as error:
        if error.status in (401, 403, 404) or error.unavailable:
            raise
        return {"document": document, "error": error.error or {"message": str(error)}}


@command(app, "rm")
def rm(cli: Cli, documents: Annotated[list[str], typer.Argument(metavar="DOCUMENT…")], kb: Kb = None) -> None:
    """Remove documents: the next answer does not cite them."""
    name = base(cli, kb)
    removed = [
        {"document": document, **finished(cli.client, cli.client.send("DELETE", document_path(name, document)))}
        for document in documents
    ]
    cli.output.document({"knowledge": name, "documents": removed})
    for result in removed:
        cli.output.line(f"removed {result['document']}{_in_snapshot(result)}")


@command(app, "ls")
def ls(cli: Cli, kb: KbName = None, limit: Limit = 1000) -> None:
    """List knowledge bases, or the documents of one."""
    if kb is None:
        bases = cli.client.get("/v1/knowledge")["data"]
        cli.output.document({"data": bases})
        rows = [(b["name"], ", ".join(b["labels"]), moment(b["created"])) for b in bases]
        cli.output.table(("knowledge base", "labels", "created"), rows, "No knowledge base yet.")
        return
    documents = list(cli.client.pages(path("v1", "knowledge", kb, "documents"), limit=limit))
    cli.output.document({"knowledge": kb, "data": documents})
    rows = [(d["document"], d["title"], d["lang"], d["revision"], ", ".join(d["labels"])) for d in documents]
    cli.output.table(("document", "title", "lang", "revision", "labels"), rows, f"{kb} is empty.")


@command(app, "show")
def show(cli: Cli, document: Annotated[str, typer.Argument(metavar="DOCUMENT")], kb: Kb = None) -> None:
    """Show one document as it is now."""
    found = cli.client.get(document_path(base(cli, kb), document))
    cli.output.document(found)
    for name, value in found.items():
        if name != "text" and value not in (None, {}):
            cli.output.line(f"{name:16} {', '.join(map(str, value)) if isinstance(value, list) else value}")
    if text := found.get("text"):
        cli.output.line(f"\n{text}")


@command(app, "search")
def search(
    cli: Cli,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    kb: Kb = None,
    top_k: Annotated[int, typer.Option("--top-k", min=1, max=50)] = 5,
    as_of: Annotated[str | None, typer.Option("--as-of", help="A snapshot's number or an RFC 3339 time.")] = None,
) -> None:
    """Search, and show what an assistant would be given."""
    body: dict[str, Any] = {"query": query, "top_k": top_k}
    if as_of is not None:
        body["as_of"] = point_in_time(as_of)
    found = cli.client.post(path("v1", "knowledge", base(cli, kb), "search"), body)
    cli.output.document(found)
    for result in found["results"]:
        page = f", page {result['page']}" if result.get("page") else ""
        cli.output.line(
            f"{result['score']:.2f}  {result['title']} ({result['document']}, revision {result['revision']}{page})"
        )
        cli.output.line("      " + " ".join(result["text"].split()) + "\n")
    weak = ", too weak to answer from" if found.get("weak") else ""
    count = len(found["results"])
    cli.output.line(f"{count} result{'' if count == 1 else 's'} in snapshot {found['snapshot']}{weak}")


@command(app, "snapshots")
def snapshots(cli: Cli, limit: Limit = 20) -> None:
    """List the latest snapshots."""
    listed = list(cli.client.pages("/v1/snapshots", limit=limit))
    cli.output.document({"data": listed})
    rows = [(s["number"], moment(s["created"]), s["author"], s["message"]) for s in listed]
    cli.output.table(("snapshot", "created", "author", "message"), rows, "No snapshot yet.")


@command(app, "diff")
def diff(
    cli: Cli,
    a: Annotated[int, typer.Argument(metavar="A", help="The earlier snapshot.")],
    b: Annotated[int, typer.Argument(metavar="B", help="The later one.")],
) -> None:
    """Show which documents differ between two snapshots."""
    found = cli.client.get(f"/v1/snapshots/{a}/diff/{b}")
    cli.output.document(found)
    for sign, name in (("+", "added"), ("~", "changed"), ("-", "removed")):
        for row in found[name]:
            revisions = " → ".join(f"revision {row[when]}" for when in ("before", "after") if row[when] is not None)
            cli.output.line(f"{sign} {row['knowledge']}/{row['document']}  {revisions}")
    if not any(found[name] for name in ("added", "changed", "removed")):
        cli.output.line("No difference that this key may see.")


@command(app, "restore")
def restore(
    cli: Cli,
    snapshot: Annotated[int, typer.Argument(metavar="N", help="The snapshot to go back to.")],
    kb: Annotated[list[str] | None, typer.Option("--kb", help="Only this knowledge base; may be repeated.")] = None,
) -> None:
    """Make the knowledge what it was at a snapshot, as a new snapshot. Access and erasure stay as they are now."""
    reply = cli.client.send("POST", f"/v1/snapshots/{snapshot}:restore", body={"knowledge": kb} if kb else {})
    restored = finished(cli.client, reply)
    cli.output.document(restored)
    cli.output.line(f"restored snapshot {snapshot}{_in_snapshot(restored)}")


@command(app, "rebuild")
def rebuild(cli: Cli) -> None:
    """Build the vector and the lexical index anew from the ledger. Nothing is embedded; answers go on."""
    built = finished(cli.client, cli.client.send("POST", "/v1/knowledge:rebuild"))
    cli.output.document(built)
    cli.output.line(f"{built['vectors']} vectors and the terms of {built['terms']} chunks stand anew")


@command(app, "sources")
def sources(
    cli: Cli,
    action: Annotated[str | None, typer.Argument(metavar="[pause|resume|sync|release]")] = None,
    name: Annotated[str | None, typer.Argument(metavar="[SOURCE]")] = None,
) -> None:
    """List the sources with their state, or act on one."""
    if action is None:
        found = cli.client.get("/v1/sources")
        cli.output.document(found)
        columns = ("source", "kind", "knowledge", "status", "lag (s)", "documents", "error")
        rows = [
            (s["name"], s["kind"], s["knowledge"], s["status"], s["lag_seconds"], s["documents"], s["error"])
            for s in found["data"]
        ]
        cli.output.table(columns, rows, "No source is configured.")
        for source in found["data"]:
            for one in source["failed"]:
                cli.output.line(f"{source['name']}: {one['document']}: {one['error']}")
        return
    if action not in ("pause", "resume", "sync", "release") or name is None:
        raise Usage("Say `sources`, or `sources pause|resume|sync|release SOURCE`.")
    done = cli.client.post(f"{path('v1', 'sources', name)}:{action}")
    cli.output.document(done)
    cli.output.line(f"{name}: {done.get('status') or action}")


def _in_snapshot(result: dict[str, Any]) -> str:
    return f" (snapshot {result['snapshot']})" if result.get("snapshot") is not None else ""
