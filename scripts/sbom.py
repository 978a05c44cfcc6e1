"""What is inside an image, as CycloneDX 1.5: `sbom.py PACKAGE [LIBRARY]...`

The crates that the package of this workspace is linked with, from Cargo.lock, and the Debian packages of the libraries.
"""

import json
import os
import subprocess
import sys


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def linked_crates(name):
    """The package itself, and each crate that it needs to run (not to be built or tested)."""
    # What images are built for is what this machine is.
    host = next(line.removeprefix("host: ") for line in output("rustc", "-vV").splitlines() if line.startswith("host: "))
    metadata = json.loads(output("cargo", "metadata", "--format-version=1", "--locked", "--offline", f"--filter-platform={host}"))
    packages = {package["id"]: package for package in metadata["packages"]}
    needs = {
        node["id"]: [dep["pkg"] for dep in node["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
        for node in metadata["resolve"]["nodes"]
    }
    start = next(id for id in metadata["workspace_members"] if packages[id]["name"] == name)
    found, queue = set(), [start]
    while queue:
        id = queue.pop()
        if id not in found:
            found.add(id)
            queue.extend(needs[id])
    return packages[start], sorted((packages[id] for id in found - {start}), key=lambda package: (package["name"], package["version"]))


def component(package):
    entry = {
        "type": "library",
        "name": package["name"],
        "version": package["version"],
        "purl": f"pkg:cargo/{package['name']}@{package['version']}",
    }
    if package["license"]:
        # Older crates write a slash for a choice.
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    return entry


def debian_packages(libraries):
    names = set()
    for library in libraries:
        for path in (library, os.path.realpath(library), library.removeprefix("/usr")):
            found = subprocess.run(["dpkg-query", "--search", path], capture_output=True, text=True)
            if found.returncode == 0:
                names.add(found.stdout.split(":")[0])
                break
        else:
            sys.exit(f"no Debian package has {library}")
    for name in sorted(names):
        version = output("dpkg-query", "--show", "--showformat=${Version}\n", name).split()[0]
        yield {"type": "library", "name": name, "version": version, "purl": f"pkg:deb/debian/{name}@{version}"}


def main():
    name, *libraries = sys.argv[1:]
    package, crates = linked_crates(name)
    program = {**component(package), "type": "application"}
    components = [component(crate) for crate in crates] + list(debian_packages(libraries))
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": program},
        "components": components,
    }
    json.dump(document, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
