"""The structure that the documents promise: doors, arrows, names, and what must never be in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("frontdesk", "components", "feature_repo", "pipelines", "serving", "cli")

DOORS = {
    "aiohttp": ("serving/http_client.py",),
    "cryptography": ("frontdesk/bundle/signature.py",),
    "evidently": ("frontdesk/monitoring/evidently_report.py",),
    "feast": ("feature_repo/sdk.py",),
    "kfp": ("components/", "pipelines/"),
    "kserve": ("serving/",),
    "kubernetes": ("frontdesk/kubernetes_api.py",),
    "pyspark": ("frontdesk/preprocessing/spark",),
    "mlflow": ("frontdesk/registry.py",),
    "torch": (
        "frontdesk/ticket/network.py",
        "frontdesk/ticket/start.py",
        "frontdesk/ticket/margin.py",
        "frontdesk/training.py",
        "frontdesk/checkpoint.py",
        "frontdesk/distributed.py",
        "frontdesk/engines/eager.py",
        "frontdesk/intent/network.py",
        "frontdesk/intent/training.py",
        "frontdesk/intent/engines/eager.py",
        "frontdesk/email/network.py",
        "frontdesk/email/hub_network.py",
        "frontdesk/email/building.py",
        "frontdesk/email/fitting.py",
        "frontdesk/email/training.py",
        "frontdesk/email/export.py",
        "frontdesk/email/engines/eager.py",
    ),
    "transformers": ("frontdesk/email/hub_network.py", "frontdesk/email/tokens.py"),
    "tokenizers": ("frontdesk/email/tokens.py",),
    "openvino": ("frontdesk/email/engines/openvino_runtime.py",),
    "lightgbm": ("frontdesk/ticket/classical",),
    "onnx": ("frontdesk/ticket/graph.py",),
    "alembic": ("frontdesk/database/",),
    "sqlalchemy": ("frontdesk/database/",),
    "httpx": ("cli/rehearsal/desk.py", "serving/gateway/desks/outgoing.py"),
    "jwt": ("serving/gateway/tokens.py",),
    "statsmodels": ("frontdesk/experiments/",),
    "redis": ("frontdesk/redis_connection.py",),
    "charset_normalizer": ("frontdesk/text/charset.py",),
    "phonenumbers": ("frontdesk/text/identifiers.py",),
    "stdnum": ("frontdesk/text/identifiers.py",),
    "uvloop": ("serving/event_loop.py",),
    "py3langid": ("frontdesk/text/language.py",),
}
"""The only places that may import an outside system (a prefix of the path)."""

ARROWS = {
    "frontdesk": set(),
    "components": {"frontdesk", "feature_repo"},
    "feature_repo": {"frontdesk"},
    "pipelines": {"frontdesk", "components"},
    "serving": {"frontdesk", "feature_repo"},
    "cli": {"frontdesk", "feature_repo", "pipelines", "serving"},
}
"""Which top-level folders each may import."""


def files(*suffixes: str) -> list[Path]:
    """Return the repository's files, tracked or new, with one of the endings."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and (not suffixes or path.suffix in suffixes)]


@cache
def tree(path: Path) -> ast.Module:
    """Parse a file once."""
    return ast.parse(path.read_text("utf-8"))


def imported(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, wherever in the file, as dotted names."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources() -> list[Path]:
    """Return the Python files of the architecture's folders."""
    return [path for path in files(".py") if path.relative_to(ROOT).parts[0] in CODE]


def folder_of(module: str) -> str | None:
    """Return the top-level folder that a module of ours lies in."""
    parts = module.split(".")
    if parts[0] != "frontdesk":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in CODE else "frontdesk"


@pytest.mark.parametrize("system", sorted(DOORS))
def test_one_door_per_outside_system(system: str) -> None:
    users = {
        path.relative_to(ROOT).as_posix() for path in sources() if system in {m.split(".")[0] for m in imported(path)}
    }
    strangers = sorted(user for user in users if not user.startswith(DOORS[system]))
    assert users, f"nothing imports {system}: drop the rule"
    assert not strangers, f"{system} is imported outside {DOORS[system]}: {strangers}"


def test_arrows_point_one_way() -> None:
    wrong = []
    for path in sources():
        here = path.relative_to(ROOT).parts[0]
        for module in imported(path):
            there = folder_of(module)
            if there is not None and there != here and there not in ARROWS[here]:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong, "\n".join(wrong)


def loaded_by(modules: str, unwanted: str) -> list[str]:
    """Return which of some packages a new process has once it imported modules; both by their names, between spaces."""
    loads = "\n".join(f"import {module}" for module in modules.split())
    probe = f"import sys\n{loads}\nprint(*(name for name in {unwanted.split()} if name in sys.modules))"
    python = ROOT / ".venv/bin/python"
    return subprocess.run([python, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()


def test_the_serving_path_loads_no_training_library() -> None:
    path = (
        "frontdesk.bundle frontdesk.serving.server frontdesk.ticket.opening frontdesk.email.opening "
        "frontdesk.email.engines.arrays frontdesk.email.engines.onnx_runtime frontdesk.intent.opening "
        "frontdesk.intent.redis_store frontdesk.serving.features frontdesk.feature_repo.online"
    )
    assert loaded_by(path, "torch transformers pyspark kfp mlflow sklearn matplotlib") == []


def test_the_gateway_loads_no_model() -> None:
    """It is a small process in front of private servers."""
    unwanted = "kserve onnxruntime torch pandas sklearn matplotlib lightgbm scipy statsmodels"
    assert loaded_by("frontdesk.serving.gateway.process frontdesk.serving.gateway.stack", unwanted) == []


def test_the_command_line_loads_what_the_smallest_image_has() -> None:
    """Every image starts through it, and the time to import it is part of a server's cold start."""
    unwanted = "sqlalchemy alembic pandas onnxruntime kserve kubernetes mlflow torch kfp"
    assert loaded_by("frontdesk.cli.main", unwanted) == []


def test_no_pickle() -> None:
    names = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    for path in sources():
        assert not names & {module.split(".")[0] for module in imported(path)}, path
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "load":
                owner = node.func.value
                assert not (isinstance(owner, ast.Name) and owner.id == "torch"), f"{path}:{node.lineno} torch.load"
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant), path
                assert node.value.value is False, path


def test_no_path_of_a_machine_and_no_registry_address() -> None:
    machine = re.compile(r"(?<![\w.])/(work|home|root|Users|farm)/\w")
    registry = re.compile(r"https?://[\w.-]*(pypi|pythonhosted|npmjs|maven|debian\.org)[\w.-]*")
    for path in files(".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".lock", ".html", ".cfg", ""):
        text = path.read_text("utf-8", errors="ignore")
        found = [line for line in text.splitlines() if machine.search(line) or registry.search(line)]
        assert not found, f"{path.relative_to(ROOT)}: {found[0][:120]}"


def test_the_lock_is_hashed_and_has_no_addresses() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    packages = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert len(packages) > 50
    assert all("==" in line and line.endswith("\\") for line in packages)
    assert "://" not in "\n".join(lines)


def test_every_package_folder_is_declared() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for path in sources():
        folder = path.relative_to(ROOT).parent.as_posix()
        package = folder if folder.startswith("frontdesk") else f"frontdesk/{folder}"
        assert f'"{package.replace("/", ".")}"' in text, f"{package} is missing in pyproject.toml"


def test_names_say_what_a_module_does() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert not [path for path in files(".py") if path.stem in empty or path.parent.name in empty]


def test_public_functions_have_docstrings() -> None:
    silent = []
    for path in sources():
        module = tree(path)
        assert ast.get_docstring(module), f"{path.relative_to(ROOT)} has no docstring"
        public = [
            node
            for node in module.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        ]
        silent += [f"{path.relative_to(ROOT)}:{node.lineno}" for node in public if not ast.get_docstring(node)]
    assert not silent, "\n".join(silent)


def test_exported_names() -> None:
    import frontdesk

    for name in frontdesk.__all__:
        assert getattr(frontdesk, name) is not None
    assert "Bundle" in frontdesk.__all__
    assert "FrontdeskError" in frontdesk.__all__


def test_every_error_has_a_code_of_its_own() -> None:
    from frontdesk import errors

    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.FrontdeskError)
    ]
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
    drawing = errors.__doc__ or ""
    assert all(kind.__name__ in drawing for kind in kinds), "an error is missing in the drawn tree"
