"""Hold a configuration against its schema and against what the project has; refuse it in one line."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import yaml

from chainofsteps.refusal import Refused

# libyaml's safe loader, where PyYAML was built with it, takes a tenth of the time: schemas are read at every start.
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# JSON Schema takes 20.0 for an integer; range() and torch do not.
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


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
        content = yaml.load(path.read_text(encoding="utf-8"), _YAML)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused(path, "file", f"unreadable ({error})", "YAML") from None
    if not isinstance(content, dict):
        raise Refused(path, "file", type(content).__name__, "a mapping")
    return content


def check_schema(content: dict, schema: dict, where: object) -> dict:
    """Hold a mapping against a JSON schema (2020-12) and name the first thing that is wrong.

    An integer is written as one: 20.0 is refused.

    Raises
    ------
    Refused
        With the path of the field, what was given and what the schema accepts.
    """
    errors = sorted(_Validator(schema).iter_errors(content), key=lambda e: [str(p) for p in e.absolute_path])
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
        "exclusiveMinimum": f"more than {limit}",
        "exclusiveMaximum": f"less than {limit}",
        "minItems": f"at least {limit} of them",
        "minProperties": f"at least {limit} of them",
        "uniqueItems": "each value once",
        "pattern": f"text that matches {limit}",
    }.get(rule, f"{rule} {limit}")
    return field or "file", repr(given), accepted


def check_choice(where: object, field: str, given: object, accepted: object) -> None:
    """Refuse a name that is not among the accepted ones."""
    if given not in accepted:
        raise Refused(where, field, repr(given), ", ".join(map(str, accepted)) or "none")
