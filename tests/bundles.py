"""Small real bundles, trained once per test session through the library's own jobs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from frontdesk.email.recipe import EmailParameters
from frontdesk.features import OpenJoin
from frontdesk.storage import MANIFEST, Store, canonical_json
from frontdesk.ticket.recipe import TicketParameters


@dataclass(frozen=True)
class TicketBundles:
    """The folders of the network's bundle and of the classical system's, from the same rows."""

    network: Path
    classical: Path


def build_ticket_bundles(folder: Path, *, rows: int, **parameters: Any) -> TicketBundles:
    """Train on simulated tickets: snapshot, Spark, transfer, training, fusion; no evaluation."""
    from frontdesk.simulation.tickets import simulate, write

    data = folder / "tickets.parquet"
    write(simulate(rows, seed=7), data)
    return train_ticket_bundles(folder, data, **parameters)[0]


def train_ticket_bundles(
    folder: Path, data: Path, columns: str = "", open_join: OpenJoin | None = None, **parameters: Any
) -> tuple[TicketBundles, str]:
    """Train on a table of tickets; return the bundles and the id of the snapshot in the folder's ``store``.

    Args:
        columns: the mapping as JSON; empty for the simulator's.
        open_join: finds the features that it names.
    """
    import orjson

    from frontdesk.fusion import fuse
    from frontdesk.preprocessing.spark import preprocess
    from frontdesk.preprocessing.spec import Spec
    from frontdesk.tensors import transfer
    from frontdesk.ticket.classical import train_classical
    from frontdesk.ticket.jobs import TicketJobs
    from frontdesk.training import train

    store, jobs = Store(str(folder / "store")), TicketJobs(open_join)
    asked = TicketParameters(split="random", **parameters).model_dump_json()
    snapshot = jobs.etl(data=str(data), test="", columns=columns, parameters=asked, store=store.root)["id"]
    chosen = jobs.parameters(asked)
    tensors = transfer(store, preprocess(store, snapshot, chosen)["id"], folder / "node")
    spec = Spec.from_json(orjson.loads((tensors / "spec.json").read_bytes()))
    network, classical = fuse(
        store,
        network=train(tensors, folder, chosen),
        classical=train_classical(store, snapshot, spec, chosen, folder),
        tensors=tensors,
        snapshot_id=snapshot,
        parameters=chosen,
        work=folder,
    )
    return TicketBundles(network, classical), snapshot


@pytest.fixture(scope="session")
def ticket_bundles(spark: object, tmp_path_factory: pytest.TempPathFactory) -> TicketBundles:
    """Both bundles of a few hundred tickets. Their answers are poor; their form is that of any other."""
    return build_ticket_bundles(
        tmp_path_factory.mktemp("bundles"), rows=600, epochs=1, embedding=16, filters=16, hidden=32, max_tokens=64
    )


@pytest.fixture(scope="session")
def ticket_bundle(ticket_bundles: TicketBundles) -> Path:
    """The network's bundle."""
    return ticket_bundles.network


@dataclass(frozen=True)
class EmailRun:
    """What jobs 1 to 5 of the email recipe left.

    Attributes:
        data: the table.
        store: holds everything.
        snapshot: id of job 1's.
        fused: folder of job 5: bundles and evaluation.
    """

    data: Path
    store: Store
    snapshot: str
    fused: Path

    @property
    def bundle(self) -> Path:
        """The candidate's bundle."""
        return self.fused / "bundle"


def run_email_jobs(folder: Path, data: Path, **parameters: Any) -> EmailRun:
    """Run jobs 1 to 5 of the email recipe on a table with the simulator's columns."""
    from frontdesk.email.jobs import EmailJobs

    jobs, store = EmailJobs(), Store(str(folder / "store"))
    chosen = EmailParameters.of({"split": "random"} | parameters).model_dump_json()
    given = {"parameters": chosen, "store": store.root}
    snapshot = jobs.etl(data=str(data), test="", columns="", **given)["id"]
    made = jobs.spark_preprocess(snapshot=snapshot, **given)["id"]
    tensors = jobs.data_transfer(tensors=made, store=store.root, node=folder / "node")
    trained = jobs.train(snapshot=snapshot, tensors=tensors, work=folder / "train", **given)["id"]
    fused = jobs.fuse(snapshot=snapshot, tensors=tensors, trained=trained, work=folder / "fuse", **given)["id"]
    return EmailRun(data, store, snapshot, Path(store.uri("fused", fused)))


@pytest.fixture(scope="session")
def email_run(spark: object, tmp_path_factory: pytest.TempPathFactory) -> EmailRun:
    """Run a few hundred simulated mails through the jobs. The answers are poor; their form is that of any other."""
    from frontdesk.simulation.emails import simulate, write

    folder = tmp_path_factory.mktemp("mails")
    write(simulate(300, seed=7), folder / "mails.parquet")
    small = {"folds": 1, "epochs": 2, "vocabulary": 600, "grams": 1_500, "directions": 16, "hidden": 16}
    return run_email_jobs(folder, folder / "mails.parquet", **small)


def fused(store: Store, name: str, bundle: Path) -> str:
    """Put a bundle where job 5 leaves it; return the name of its folder."""
    manifest = orjson.loads((bundle / MANIFEST).read_bytes())
    with store.writing("fused", name) as folder:
        shutil.copytree(bundle, folder / "bundle")
        content = {"id": name, "model_id": manifest["model_id"], "snapshot": manifest["snapshot"]}
        content |= {"parameters": {"seed": 0}, "history": [{"loss": 1.0}]}
        content |= {"metrics": {"test": {"reply": {"accuracy": 0.5}}}}
        (folder / MANIFEST).write_bytes(canonical_json(content))
    return name
