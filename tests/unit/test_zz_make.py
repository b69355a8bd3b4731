import shutil
from pathlib import Path


def test_make(email_run, intent_run, ticket_bundles):
    out = Path("/tmp/cluster/bundles")
    for name, where in {
        "email": email_run.bundle,
        "intent": intent_run.bundle,
        "ticket": ticket_bundles.network,
        "ticket-classical": ticket_bundles.classical,
    }.items():
        shutil.copytree(where, out / name)
