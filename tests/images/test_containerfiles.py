"""What is promised of the images, as far as it can be seen without building them."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ("gateway", "pipelines", "serving")
LABELS = ("title", "description", "licenses", "version", "revision")


def lines(name: str) -> list[str]:
    """Return the instructions of a Containerfile, each on one line."""
    text = (ROOT / "images" / f"{name}.Containerfile").read_text("utf-8")
    text = re.sub(r"(?m)^#.*\n", "", text)
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def asked_extras(name: str) -> list[str]:
    """Return the extras that an image installs when nothing else is asked for."""
    text = " ".join(lines(name))
    given = re.search(r'ARG EXTRAS="(.*?)"', text)
    words = re.findall(r"printf -- '--extra %s ' (.*?)\)", text)[0]
    return words.replace("$EXTRAS", given[1] if given else "").split()


def closure(extras: list[str]) -> set[str]:
    """Return the names of what the core and some extras need, by the metadata of what is installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [*project["dependencies"], *(one for extra in extras for one in project["optional-dependencies"][extra])]
    waiting = [Requirement(one) for one in asked]
    seen: dict[str, set[str]] = {}
    while waiting:
        one = waiting.pop()
        name, wanted = canonicalize_name(one.name), {"", *one.extras}
        new = wanted - seen.setdefault(name, set())
        seen[name] |= wanted
        if not new:
            continue
        for text in importlib.metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in new):
                waiting.append(needed)
    return set(seen)


@pytest.mark.parametrize("name", IMAGES)
def test_a_base_is_an_argument_and_pinned(name: str) -> None:
    first = [line for line in lines(name) if line.startswith(("ARG", "FROM"))]
    defaults = {line.split()[1].partition("=")[0]: line.partition("=")[2] for line in first if "=" in line}
    assert re.fullmatch(r"docker\.io/library/python:3\.11\.\d+-slim-bookworm", defaults["BASE"])
    assert re.fullmatch(r"\S+/uv:\d+\.\d+\.\d+", defaults["UV"])
    stages = [line for line in first if line.startswith("FROM")]
    assert len(stages) > 1
    assert {"${BASE}", "${UV}"} <= {line.split()[1] for line in stages} <= {"${BASE}", "${UV}", "${JARS}"}


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_runs_as_a_numbered_user_and_says_what_it_is(name: str) -> None:
    found = lines(name)
    users = [line for line in found if line.startswith("USER")]
    assert users == ["USER 1000:1000"]
    assert not [line for line in found[found.index("USER 1000:1000") :] if line.startswith(("RUN", "COPY"))]
    labels = next(line for line in found if line.startswith("LABEL"))
    assert re.findall(r"org\.opencontainers\.image\.(\w+)=", labels) == list(LABELS)


@pytest.mark.parametrize("name", IMAGES)
def test_code_lies_in_the_last_layers(name: str) -> None:
    """A change of our code must not install the dependencies again."""
    final = lines(name)
    final = final[max(place for place, line in enumerate(final) if line.startswith("FROM")) :]
    first = next(place for place, line in enumerate(final) if line.startswith("COPY --from=code"))
    assert not [line for line in final[first:] if line.startswith("RUN")]
    assert not [line for line in final[:first] if re.match(r"COPY (\.|frontdesk)", line)]


@pytest.mark.parametrize("name", IMAGES)
def test_packages_come_from_the_lock_with_its_hashes(name: str) -> None:
    for line in lines(name):
        for command in re.findall(r"uv pip install (.*?)(?:&&|$)", line):
            assert re.search(r"--(build-)?constraints? \S*requirements.lock", command)
            assert not {"--no-verify-hashes", "--index-url", "--extra-index-url"} & set(command.split())


@pytest.mark.parametrize("name", IMAGES)
def test_no_address_stands_in_a_containerfile(name: str) -> None:
    assert "://" not in "\n".join(lines(name))


@pytest.mark.parametrize(
    ("name", "absent"),
    [
        ("serving", {"torch", "pyspark", "kfp", "mlflow", "feast", "transformers", "scikit-learn", "pip"}),
        ("gateway", {"torch", "pyspark", "kfp", "mlflow", "feast", "kserve", "scikit-learn", "pip"}),
        ("pipelines", {"pip", "pytest", "playwright", "openvino"}),
    ],
)
def test_an_image_holds_its_share_of_the_lock(name: str, absent: set[str]) -> None:
    locked = re.findall(r"(?m)^([a-z0-9-]+)==\S+ \\\n    --hash=", (ROOT / "requirements.lock").read_text("utf-8"))
    needed = closure(asked_extras(name))
    assert not needed & absent
    # What the marker of another system asks for is not installed here, and not in the lock.
    assert needed <= set(locked), sorted(needed - set(locked))


def test_the_pipelines_image_holds_what_the_steps_import() -> None:
    assert {"torch", "pyspark", "kfp", "kfp-kubernetes", "mlflow", "feast", "evidently"} <= closure(
        asked_extras("pipelines")
    )
