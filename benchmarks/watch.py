"""The dashboard and the alerts over a run of the deployed topology, by a real Prometheus.

    python -m benchmarks.watch --prometheus /usr/bin/prometheus --picture docs/pictures/dashboard.svg

Gateway workers, knowledge with a standby, Chroma and PostgreSQL are real; engines and embedder are fakes. Prometheus
scrapes with deploy/watch/prometheus.yaml but for addresses and intervals, and evaluates alerts.yaml. The picture is
drawn here, from the dashboard's JSON and what Prometheus answers to its queries: it is no screenshot of Grafana. Exits
with 1 where a query or a rule is refused, or a panel stays empty.
"""

import argparse
import asyncio
import json
import random
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from benchmarks.stack import machine, run
from serving.supervisor.plan import free_ports
from tests.deploy.clients import Client, client
from tests.deploy.topology import CONFIGURATION, Process, Topology
from tests.fakes.engine import Fault

WATCH = Path(__file__).parents[1] / "deploy" / "watch"
SCRAPE = 3
RATE_INTERVAL = f"{4 * SCRAPE}s"
"""What Grafana puts in the place of `$__rate_interval` on such a short stretch."""
QUESTIONS = ("What is the annual fee of the Harbour Gold Card?", "Who won the match in Osaka yesterday evening?")
SOURCE = '\n[[sources]]\nname = "leaflets"\nkind = "folder"\nknowledge = "kb"\npath = "{}"\n'

WITHOUT_TLS = "Until the certificate ends"
"""The panel that has nothing to show here: the gateway of this topology speaks plain HTTP."""

Answers = list[tuple[str, list[tuple[float, float]]]]


def prometheus(topology: Topology, program: str) -> Process:
    """A Prometheus that scrapes the topology as the compose file's does."""
    told: Any = yaml.safe_load((WATCH / "prometheus.yaml").read_text())
    told["global"] = {"scrape_interval": f"{SCRAPE}s", "evaluation_interval": f"{SCRAPE}s"}
    told["rule_files"] = [str(WATCH / "alerts.yaml")]
    ours, engines = told["scrape_configs"]
    ours["authorization"] = {"credentials_file": str(topology.folder / "gateway" / "metrics.key")}
    del ours["file_sd_configs"]
    ours["static_configs"] = [{"targets": [topology.gateway.url.removeprefix("http://")]}]
    engines["static_configs"] = [{"targets": [one.url.removeprefix("http://") for one in topology.engines]}]
    file = topology.folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(told))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    data = topology.folder / "prometheus"
    command = [program, f"--config.file={file}", f"--storage.tsdb.path={data}", f"--web.listen-address={address}"]
    return topology.process("prometheus", command, f"http://{address}", "/-/ready", {}, Process).up()


async def live(topology: Topology, seconds: float) -> None:
    """Clients ask, while one thing after another happens."""
    end = time.monotonic() + seconds

    async def asks(asking: Client) -> None:
        while time.monotonic() < end:
            question = {"role": "user", "content": random.choices(QUESTIONS, (4, 1))[0]}
            await asking.ask(model=random.choice(("plain", "tuned")), stream=random.random() < 0.5, messages=[question])

    async def happens() -> None:
        leaflet = topology.folder / "leaflets" / "fees.md"
        await asyncio.sleep(0.2 * seconds)
        topology.engines[0].kill()
        await source("pause")
        leaflet.write_text("# Fees\n\nA transfer costs 220 yen.\n")
        await asyncio.sleep(0.2 * seconds)
        await asyncio.to_thread(topology.engines[0].start().up)
        await order(fault=Fault.FULL)
        await asyncio.sleep(2 * SCRAPE)
        await order(
            fault=None, tokens_per_second=40, answer="The annual fee of the Harbour Gold Card is 12,345 yen [7]."
        )
        await source("resume")
        await asyncio.sleep(0.2 * seconds)
        await order(answer=None)
        (topology.folder / "groundtone.toml").write_text(
            (topology.folder / "groundtone.toml").read_text() + '\n[[assistants]]\nname = "new"\n'
        )
        topology.gateway.tell(signal.SIGHUP)

    async def order(**orders: Any) -> None:
        for engine in topology.engines:
            await asyncio.to_thread(engine.order, **orders)

    async def source(verb: str) -> None:
        told = {"authorization": f"Bearer {topology.key}"}
        await asking.http.post(f"{topology.gateway.url}/v1/sources/leaflets:{verb}", headers=told)

    await order(tokens_per_second=40)
    async with client(topology.gateway.url, topology.key) as asking, asyncio.TaskGroup() as group:
        group.create_task(happens())
        for _ in range(6):
            group.create_task(asks(asking))


def told(watching: Process, path: str, **query: Any) -> Any:
    """What Prometheus' API answers. Raises OSError where it refuses a query."""
    with urlopen(f"{watching.url}/api/v1/{path}?{urlencode(query)}", timeout=60) as answer:
        return json.load(answer)["data"]


def panels(watching: Process, start: float, end: float) -> dict[str, tuple[str, Answers]]:
    """The unit and the lines of every panel of the dashboard but that of TLS, by its title."""
    board: Any = json.loads((WATCH / "dashboards" / "groundtone.json").read_text())
    found: dict[str, tuple[str, Answers]] = {}
    for panel in board["panels"]:
        if panel["title"] == WITHOUT_TLS:
            continue
        lines: Answers = []
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", RATE_INTERVAL)
            for one in told(watching, "query_range", query=query, start=start, end=end, step=SCRAPE)["result"]:
                labels: dict[str, str] = one["metric"]
                legend = re.sub(r"\{\{(\w+)\}\}", lambda at, of=labels: of.get(at[1], ""), target["legendFormat"])
                points = [(at - start, float(value)) for at, value in one["values"] if value != "NaN"]
                lines += [(legend[:48], points)] if points else []
        found[panel["title"]] = panel["fieldConfig"]["defaults"]["unit"], lines
    return found


def draw(found: dict[str, tuple[str, Answers]], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "groundtone", "font.size": 8})
    rows = -(-len(found) // 3)
    figure, axes = pyplot.subplots(rows, 3, figsize=(15, 2.9 * rows), layout="constrained", squeeze=False)
    for axis in axes.flat[len(found) :]:
        axis.set_axis_off()
    for axis, (title, (unit, lines)) in zip(axes.flat, found.items(), strict=False):
        for name, points in lines:
            axis.plot([at / 60 for at, _ in points], [value for _, value in points], label=name, linewidth=1.2)
        named = {"ops": "a second", "s": "seconds", "percentunit": "share"}.get(unit)
        axis.set_title(f"{title} ({named})" if named else title, loc="left", fontsize=10)
        axis.margins(y=0.5)  # room for the names
        axis.set_ylim(bottom=0)
        axis.grid(color="#e3e5ec", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        if lines:
            axis.legend(frameon=False, loc="upper left", fontsize=7)
    figure.supxlabel("minutes", fontsize=8)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


async def main(program: str, picture: Path, seconds: float) -> int:
    with tempfile.TemporaryDirectory(prefix="groundtone-watch-") as name:
        folder = Path(name)
        (folder / "leaflets").mkdir()
        (folder / "leaflets" / "fees.md").write_text("# Fees\n\nA transfer costs 330 yen.\n")
        with Topology(folder, CONFIGURATION + SOURCE.format(folder / "leaflets")) as topology:
            watching = prometheus(topology, program)
            start = time.time()
            await live(topology, seconds)
            found = panels(watching, start, time.time())
            rules = [rule for group in told(watching, "rules")["groups"] for rule in group["rules"]]
    draw(found, picture)
    print(f"{machine()}\n{seconds:.0f} s, fake engines\n")
    for title, (_, lines) in found.items():
        print(f"{title:32} {len(lines)} lines")
    for rule in rules:
        print(f"{rule['name']:32} {rule['health']}, {rule['state']}")
    return 0 if all(lines for _, lines in found.values()) and all(rule["health"] == "ok" for rule in rules) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", default="prometheus", help="the program")
    parser.add_argument("--picture", type=Path, required=True, help="where it is drawn, as SVG")
    parser.add_argument("--seconds", type=float, default=240.0)
    given = parser.parse_args()
    sys.exit(run(lambda: main(given.prometheus, given.picture, given.seconds)))
