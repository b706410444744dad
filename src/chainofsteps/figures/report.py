"""Tables and frame of the HTML report."""

from __future__ import annotations

import html

import pandas as pd
import xarray as xr

from chainofsteps.figures.style import label

ANSWER = "answer"

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1c1c; margin: 0 auto; max-width: 70rem; padding: 1rem; }
h1, h2, h3 { line-height: 1.2; }
img { max-width: 100%; height: auto; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: left; white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; }
td:first-child { white-space: normal; min-width: 6.5rem; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
code { background: #f3f3f3; padding: 0 .2em; overflow-wrap: anywhere; }
a.anchor-link, .jp-OutputPrompt, .prompt { display: none; }
"""


def page(title: str, body: str) -> str:
    """A whole HTML page around the body of a notebook, with its style inside."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _table(header: list[str], rows: list[list[tuple[str, str]]]) -> str:
    """Rows of (css class, text); names may break after an underscore."""

    def cell(css: str, text: str) -> str:
        return f'<td class="{css}">{html.escape(text).replace("_", "_<wbr>")}</td>'

    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(cell(*each) for each in row) + "</tr>" for row in rows)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:z.3f}"


def verdict_table(verdicts: pd.DataFrame) -> str:
    """The judged claims as an HTML table.

    Parameters
    ----------
    verdicts : DataFrame
        As written to ``verdicts.csv``.
    """
    judged = verdicts[verdicts["id"] != ANSWER].fillna({"reason": ""})
    header = [
        "claim",
        "family",
        "verdict",
        "estimate",
        "95 % interval",
        "smallest effect",
        "adjusted p",
        "n",
        "role",
        "control",
        "why",
    ]
    rows = [
        [
            ("", row.id),
            ("", row.family),
            ("", row.verdict),
            ("number", _number(row.estimate)),
            ("number", "none" if pd.isna(row.ci_low) else f"{_number(row.ci_low)} to {_number(row.ci_high)}"),
            ("number", f"{row.smallest_effect:g}"),
            ("number", "< 0.001" if row.p_adjusted < 0.001 else _number(row.p_adjusted)),
            ("number", f"{row.n_cases:g} x {row.n_seeds:g}"),
            ("", row.role),
            ("", str(row.controls)),
            ("", row.reason),
        ]
        for row in judged.itertuples()
    ]
    return _table(header, rows)


def answer_table(verdicts: pd.DataFrame) -> str:
    """Steps, frames or single pass, by family."""
    answers = verdicts[verdicts["id"] == ANSWER].fillna({"reason": ""})
    rows = [[("", row.family), ("", row.reading), ("", row.reason)] for row in answers.itertuples()]
    return _table(["family", "answer", "why"], rows)


def run_line(fingerprint: dict, by_family: dict[str, dict[str, xr.Dataset]]) -> str:
    """One paragraph: model, revision, cases, seeds, network evaluations."""
    experiments = next(iter(by_family.values()))
    first = next(iter(experiments.values()))
    runs = "; ".join(f"{label(name)}: {ds.sizes['step']} network evaluations" for name, ds in experiments.items())
    parameters = sum(fingerprint["parameters"].values())
    text = (
        f"Model {fingerprint['model_id']}, revision {fingerprint['revision'][:12]}, "
        f"{parameters / 1e6:.2f} M parameters; "
        f"{first.sizes['case']} {first.attrs['purpose']} cases a family, {first.sizes['seed']} seeds each; {runs}."
    )
    return f"<p>{html.escape(text)}</p>"


def failure_table(failures: list[dict[str, object]]) -> str:
    """Failed streams, a row each, as :func:`chainofsteps.readout.failures.explain_failure` gives them."""
    header = [
        "case",
        "seed",
        "difficulty",
        "first wrong frame",
        "wrong since step",
        "held then",
        "right would be",
        "plan ever right",
        "fails in",
        "other seeds right",
    ]
    rows = [
        [
            ("", str(row["case"])),
            ("number", str(row["seed"])),
            ("number", str(row["difficulty"])),
            ("number", "none" if row["frame"] is None else str(row["frame"])),
            ("number", "-" if row["step"] is None else str(row["step"])),
            ("", row["held"] or "-"),
            ("", row["right"] or "-"),
            ("", "yes" if row["was_right"] else "no"),
            ("", ", ".join(map(label, row["broken"]))),
            ("number", "{} of {}".format(*row["other_seeds"])),
        ]
        for row in failures
    ]
    return _table(header, rows)
