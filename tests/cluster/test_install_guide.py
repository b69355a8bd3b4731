"""`docs/install.md`, followed by somebody who copies every command."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.chart.rendering import helm
from tests.cluster.conftest import remove_namespace
from tests.cluster.kubectl import Kubectl, program
from tests.cluster.release import Images, S3Address

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/install.md").read_text("utf-8")
BLOCKS = [block.partition("\n")[2] for block in GUIDE.split("```")[1::2] if block.startswith("bash\n")]
VARIABLE = re.compile(r"^export (\w+)=", re.M)


def test_every_block_of_commands_is_run() -> None:
    kinds = [block.partition("\n")[0] for block in GUIDE.split("```")[1::2]]
    assert set(kinds) == {"bash", "json"}
    assert len(BLOCKS) >= 7
    assert VARIABLE.findall(BLOCKS[0]), "the first block says what is where"
    assert not any(VARIABLE.search(block) for block in BLOCKS[1:])


@pytest.fixture
def followed(
    run_name: str, images: Images, s3_address: S3Address, values: dict[str, Any], tmp_path: Path
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The guide, run in an empty folder beside the chart, with the names of this cluster."""
    given = {
        "NAMESPACE": f"frontdesk-test-{run_name}-guide",
        "REGISTRY": images.registry,
        "TAG": images.tag,
        "POSTGRES": values["database"]["bundled"]["image"],
        "STORE": f"{s3_address.prefix}/guide",
    }
    given |= {name: os.environ[name] for name in VARIABLE.findall(BLOCKS[0]) if name not in given}
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, there in (("kubectl", program("kubectl")), ("helm", helm())):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nexec {shlex.quote(there)} "$@"\n')
        tool.chmod(0o755)
    for name in ("helm", "manifests"):
        (tmp_path / name).symlink_to(ROOT / name)
    variables = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in given.items())
    script = "\n".join(["set -euo pipefail", variables, *BLOCKS[1:]])
    path = f"{tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    bash = shutil.which("bash") or "bash"
    try:
        ran = subprocess.run(
            [bash, "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        story = "" if ran.returncode == 0 else Kubectl(given["NAMESPACE"]).story()
        assert ran.returncode == 0, f"{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}\n{story}"
        assert Kubectl().get("namespace", given["NAMESPACE"]) is None
    finally:
        remove_namespace(given["NAMESPACE"])
    return ran, tmp_path


@pytest.mark.timeout(1500)
def test_the_guide_ends_with_a_classified_mail(followed: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    ran, place = followed
    (answer,) = orjson.loads((place / "answer.json").read_bytes())["predictions"]
    assert answer["model_id"] == orjson.loads((place / "first/metrics.json").read_bytes())["model_id"]
    assert answer["degraded"] is False
    assert set(answer["labels"]) == {"business_line", "queue", "topic"}
    assert "wrong" not in ran.stdout
