"""What would be automatic: the coverage simulation on a history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
import yaml
from rich.table import Table

from frontdesk.cli.output import Columns, Json, Taxonomy, TaxonomyVersion, console, print_json
from frontdesk.decisions import PRESELECT_PRECISION, TARGET_PRECISION


def coverage(
    bundle: str = typer.Argument(..., metavar="BUNDLE", help="Folder or s3:// address of a bundle."),
    data: str = typer.Option(..., "--data", help="Table of closed cases with their labels."),
    columns: str | None = Columns,
    automatic: float = typer.Option(TARGET_PRECISION, "--automatic", min=0.5, max=1.0, help="Precision to act alone."),
    preselect: float = typer.Option(
        PRESELECT_PRECISION, "--preselect", min=0.3, max=1.0, help="Precision to fill a field in for confirmation."
    ),
    policy: Path | None = typer.Option(None, "--policy", help="Write the thresholds found to this policy file."),
    taxonomy: str | None = Taxonomy,
    taxonomy_version: str | None = TaxonomyVersion,
    as_json: bool = Json,
) -> None:
    """Simulate on closed cases what share of each field would be automatic at a precision. Nothing is switched on."""
    from frontdesk.bundle.labels import LabelBundle
    from frontdesk.coverage import policy_content
    from frontdesk.history import simulate_history
    from frontdesk.storage import digest, write_atomically

    model = LabelBundle.load(bundle, taxonomy=taxonomy, taxonomy_version=taxonomy_version)
    found = simulate_history(model, data, columns, automatic=automatic, preselect=min(preselect, automatic))
    if policy is not None:
        version = f"{found['model_id'][:8]}-{digest(found)[:8]}"
        content = policy_content(version, found["recipe"], found["heads"], found["scope"])
        write_atomically(policy, yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
    if as_json:
        print_json(found)
        return
    console().print(_table(found))
    if policy is not None:
        console().print(f"policy    {policy}  (frontdesk serve {bundle} --policy {policy})")


def _table(found: dict[str, Any]) -> Table:
    table = Table(title=f"{found['recipe']}: {found['rows']:,} closed cases", title_justify="left", title_style="bold")
    for name in ("head", "level", "precision"):
        table.add_column(name)
    for name in ("from", "share of cases", "right of them"):
        table.add_column(name, justify="right")
    for head, figures in found["heads"].items():
        for place, (level, one) in enumerate(figures["levels"].items()):
            table.add_row(
                "" if place else head,
                level,
                f"{one['precision']:.0%}",
                "never" if one["threshold"] is None else f"{one['threshold']:.3f}",
                _share(one["share"], one["share_interval"]),
                _share(one["reached"], one["reached_interval"]),
            )
        table.add_section()
    return table


def _share(share: float | None, ends: tuple[float, float]) -> str:
    """Return a share with its 95 % interval."""
    return "–" if share is None else f"{share:.1%} ({100 * ends[0]:.1f}–{100 * ends[1]:.1f})"
