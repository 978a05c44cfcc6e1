"""Reads {"version": [object, ...]} and writes what is wrong with each as a list of texts."""

import functools
import json
import sys

import jsonschema
from kubernetes_validate import utils

# Read once: otherwise each object reads all definitions of its version again.
utils.schema_contents = functools.lru_cache(maxsize=None)(utils.schema_contents)


def problems(objects, version):
    for each in objects:
        name = f"{each['kind']}/{each['metadata']['name']}"
        try:
            utils.validate(each, version, strict=True)
        except (utils.ValidationError, jsonschema.ValidationError) as error:
            where = ".".join(str(part) for part in error.absolute_path)
            yield f"{version}: {name}: {where}: {error.message}"
        except utils.SchemaNotFoundError as error:
            yield f"{version}: {name}: {error.message}"


asked = json.load(sys.stdin)
json.dump([text for version, objects in asked.items() for text in problems(objects, version)], sys.stdout)
