"""Write what an image consists of: CycloneDX 1.6 as JSON, from its Python distributions and its Debian packages.

The same image gives the same bytes. The image is read in buildah's storage, and nothing in it is run.

usage: python images/sbom.py IMAGE > IMAGE.cdx.json
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.parser import HeaderParser
from importlib.metadata import Distribution, distributions
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.exception import CycloneDxException
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

NAMESPACE = uuid.UUID("6f4b6c1e-5a35-4d0f-9f57-0a6a3c6c2f0e")


def buildah(*arguments: str) -> str:
    """Run buildah and return what it printed."""
    return subprocess.run(["buildah", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextmanager
def mounted(image: str) -> Iterator[Path]:
    """Give the folder in which an image's files lie, for reading."""
    container = buildah("from", "--pull-never", image)
    try:
        yield Path(buildah("mount", container))
    finally:
        buildah("rm", container)


def python_component(found: Distribution) -> Component:
    """Return the component of an installed Python distribution."""
    name = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
    url = PackageURL("pypi", None, name, found.version)
    licence = found.metadata.get("License-Expression")
    try:
        licences: list[License] = [LicenseFactory().make_from_string(licence)] if licence else []
    except CycloneDxException:
        licences = []
    return Component(
        name=name, version=found.version, type=ComponentType.LIBRARY, purl=url, bom_ref=str(url), licenses=licences
    )


def debian_components(status: str) -> Iterator[Component]:
    """Yield the components of dpkg's list of what is installed."""
    for paragraph in status.strip().split("\n\n"):
        package = HeaderParser().parsestr(paragraph)
        if not (package["Status"] or "").endswith(" installed"):
            continue
        url = PackageURL("deb", "debian", package["Package"], package["Version"], {"arch": package["Architecture"]})
        yield Component(
            name=package["Package"],
            version=package["Version"],
            type=ComponentType.LIBRARY,
            purl=url,
            bom_ref=str(url),
        )


def bill(image: str) -> str:
    """Return the bill of materials of an image in buildah's storage."""
    about = json.loads(buildah("inspect", "--type", "image", image))
    digest = about["FromImageID"].removeprefix("sha256:")
    bom = Bom(serial_number=uuid.uuid5(NAMESPACE, digest))
    bom.metadata.timestamp = datetime.fromisoformat(json.loads(about["Config"])["created"][:19] + "+00:00")
    bom.metadata.component = whole = Component(
        name=image,
        type=ComponentType.CONTAINER,
        bom_ref=image,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )
    with mounted(image) as root:
        for folder in sorted(root.glob("opt/frontdesk/lib/python3*/site-packages")):
            bom.components.update(python_component(found) for found in distributions(path=[str(folder)]))
        bom.components.update(debian_components((root / "var/lib/dpkg/status").read_text("utf-8")))
    bom.register_dependency(whole, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.stdout.write(bill(sys.argv[1]) + "\n")
