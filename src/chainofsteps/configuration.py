"""Hold a configuration against its schema and against what the project has; refuse it in one line."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import yaml

from chainofsteps.refusal import Refused


def load_yaml(path: str | Path) -> dict:
    """Read a YAML mapping.

    Raises
    ------
    Refused
        No such file, not YAML, or not a mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise Refused(path, "file", "nothing", "a YAML file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused(path, "file", f"unreadable ({error})", "YAML") from None
    if not isinstance(content, dict):
        raise Refused(path, "file", type(content).__name__, "a mapping")
    return content


def check_schema(content: dict, schema: dict, where: object) -> dict:
    """Hold a mapping against a JSON schema and name the first thing that is wrong.

    Raises
    ------
    Refused
        With the path of the field, what was given and what the schema accepts.
    """
    validator = jsonschema.validators.validator_for(schema)(schema)
    errors = sorted(validator.iter_errors(content), key=lambda e: [str(p) for p in e.absolute_path])
    if errors:
        raise Refused(where, *_explained(jsonschema.exceptions.best_match(errors)))
    return content


def _explained(error: jsonschema.ValidationError) -> tuple[str, object, object]:
    """Field, given, accepted."""
    field = ".".join(map(str, error.absolute_path))
    rule, limit, given = error.validator, error.validator_value, error.instance
    if rule == "additionalProperties" and isinstance(given, dict):
        known = error.schema.get("properties", {})
        unknown = sorted(map(str, set(given) - set(known)))
        return ".".join(filter(None, [field, unknown[0]])), "an unknown key", ", ".join(known)
    if rule == "required":
        missing = next(key for key in limit if key not in given)
        return ".".join(filter(None, [field, missing])), "nothing", error.schema["properties"][missing]["description"]
    accepted = {
        "type": f"{limit}",
        "enum": ", ".join(map(str, limit)) if rule == "enum" else "",
        "minimum": f"at least {limit}",
        "maximum": f"at most {limit}",
        "minItems": f"at least {limit} of them",
        "minProperties": f"at least {limit} of them",
        "uniqueItems": "each value once",
        "pattern": f"text that matches {limit}",
    }.get(rule, f"{rule} {limit}")
    return field or "file", repr(given), accepted


def check_choice(where: object, field: str, given: object, accepted: object) -> None:
    """Refuse a name that is not among the accepted ones."""
    if given not in accepted:
        raise Refused(where, field, repr(given), ", ".join(map(str, accepted)))


def deep_merged(base: dict, overlay: dict) -> dict:
    """A mapping with another laid over it, key by key, as Snakemake lays a ``--configfile`` over the default."""
    merged = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = deep_merged(merged[key], value) if both else value
    return merged
