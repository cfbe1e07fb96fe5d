#!/usr/bin/env python3
"""What a wheel is built from: a bill of materials (CycloneDX 1.5) and the list of licences, from Cargo's own metadata.

usage: scripts/release/sbom.py MANIFEST OUT.cdx.json LICENCES.txt     e.g. harness/Cargo.toml
Packages that only tests and benches need are left out; those that only a build needs are in, and marked so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

PLATFORM = "x86_64-unknown-linux-gnu"


def metadata(manifest: str) -> dict:
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM]
    answer = subprocess.run([*command, "--manifest-path", manifest], check=True, capture_output=True, text=True)
    return json.loads(answer.stdout)


def root_of(found: dict, manifest: str) -> str:
    path = str(Path(manifest).resolve())
    return next(package["id"] for package in found["packages"] if package["manifest_path"] == path)


def reached(found: dict, root: str) -> dict[str, bool]:
    """Every package that the root is built from; true where it ends up in the program, false where only a build runs it."""
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    reached: dict[str, bool] = {}
    pending = [(root, True)]
    while pending:
        package, linked = pending.pop()
        if reached.get(package, not linked) == linked and package in reached:
            continue
        reached[package] = linked or reached.get(package, False)
        for dependency in nodes[package]["deps"]:
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]}
            if None in kinds:
                pending.append((dependency["pkg"], linked))
            elif "build" in kinds:
                pending.append((dependency["pkg"], False))
    return reached


def checksums(found: dict) -> dict[tuple[str, str], str]:
    lock = tomllib.loads((Path(found["workspace_root"]) / "Cargo.lock").read_text())
    return {(p["name"], p["version"]): p["checksum"] for p in lock["package"] if "checksum" in p}


def component(package: dict, linked: bool, hashes: dict) -> dict:
    name, version = package["name"], package["version"]
    entry = {
        "type": "library",
        "bom-ref": f"pkg:cargo/{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:cargo/{name}@{version}",
        "scope": "required" if linked else "excluded",
    }
    if package.get("license"):
        # Some old packages write MIT/Apache-2.0, which is no SPDX expression.
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if (name, version) in hashes:
        entry["hashes"] = [{"alg": "SHA-256", "content": hashes[name, version]}]
    return entry


def bill(found: dict, root: str) -> dict:
    packages = {package["id"]: package for package in found["packages"]}
    members = reached(found, root)
    hashes = checksums(found)
    components = [component(packages[key], members[key], hashes) for key in members if key != root]
    whole = component(packages[root], True, hashes) | {"type": "application"}
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}

    def reference(key: str) -> str:
        return f"pkg:cargo/{packages[key]['name']}@{packages[key]['version']}"

    dependencies = [
        {"ref": reference(key), "dependsOn": sorted(reference(d) for d in nodes[key]["dependencies"] if d in members)}
        for key in members
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": whole},
        "components": sorted(components, key=lambda entry: entry["bom-ref"]),
        "dependencies": sorted(dependencies, key=lambda entry: entry["ref"]),
    }


def allowed() -> set[str]:
    return set(tomllib.loads((Path(__file__).resolve().parents[2] / "deny.toml").read_text())["licenses"]["allow"])


def fits(expression: str, allow: set[str]) -> bool:
    """Of an OR one side is allowed, of an AND both; parentheses stand around an OR alone in what is used here."""
    if "(" in expression:
        inner = expression[expression.index("(") + 1 : expression.index(")")]
        stand_in = next(iter(allow)) if fits(inner, allow) else "NONE"
        return fits(expression.replace(f"({inner})", stand_in), allow)
    return any(all(term.strip() in allow for term in side.split(" AND ")) for side in expression.split(" OR "))


def licences(sbom: dict) -> str:
    """One line a package that is linked into the program."""
    lines = ["Licences of the packages that this program is linked from.", ""]
    for entry in sbom["components"]:
        if entry["scope"] == "required":
            licence = entry["licenses"][0]["expression"] if "licenses" in entry else "NONE"
            lines.append(f"{entry['name']} {entry['version']}: {licence}")
    return "\n".join(lines) + "\n"


def main() -> int:
    manifest, bill_path, licence_path = sys.argv[1:4]
    found = metadata(manifest)
    sbom = bill(found, root_of(found, manifest))
    text = licences(sbom)
    without = [entry["name"] for entry in sbom["components"] if "licenses" not in entry]
    if without:
        print(f"sbom: no licence is stated by {without}", file=sys.stderr)
        return 1
    Path(bill_path).write_text(json.dumps(sbom, indent=1) + "\n")
    Path(licence_path).write_text(text)
    allow = allowed()
    stated = {entry["name"]: entry["licenses"][0]["expression"] for entry in sbom["components"]}
    refused = [f"{name}: {expression}" for name, expression in stated.items() if not fits(expression, allow)]
    if refused:
        print(f"sbom: deny.toml does not allow {refused}", file=sys.stderr)
        return 1
    linked = sum(entry["scope"] == "required" for entry in sbom["components"])
    print(f"sbom: {len(sbom['components'])} packages, {linked} of them linked, licences allowed by deny.toml: {bill_path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
