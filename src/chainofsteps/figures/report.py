"""Tables and frame of the HTML report: front page, chapters, pictures inside."""

from __future__ import annotations

import base64
import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import xarray as xr

from chainofsteps.figures.style import label
from chainofsteps.statistics.claims import ANSWER, POOLED

# Word of a verdict -> sign before it: colour alone says nothing to some readers.
SIGNS = {
    "replicated": "\u25b2",
    "direction only": "\u25b3",
    "inconclusive": "\u25cb",
    "contradicted": "\u25bc",
    "not testable here": "\u2013",
    "exploratory": "?",
    "passed": "\u2713",
    "failed": "\u2717",
}

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1c1c; margin: 0 auto; max-width: 76rem; padding: 0 1rem 3rem;
  overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.2; }
h2 { border-top: 2px solid #ddd; padding-top: 1rem; margin-top: 2.5rem; }
img { max-width: 100%; height: auto; }
figure { margin: 1.2rem 0; }
figcaption { font-size: .9rem; color: #333; max-width: 55rem; }
nav { background: #fff; border-bottom: 1px solid #ddd; padding: .4rem 0; font-size: .85rem; position: sticky; top: 0; }
nav a { margin-right: 1rem; white-space: nowrap; }
p, li { max-width: 55rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .82rem; line-height: 1.3; }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .5rem; text-align: left; vertical-align: top; }
th { vertical-align: bottom; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.name { min-width: 11rem; max-width: 20rem; }
td.cell { min-width: 8.2rem; }
small { color: #555; display: block; }
.verdict { border-radius: .25rem; padding: 0 .35rem; white-space: nowrap; font-weight: 600; }
.replicated, .passed { background: #cfe6f5; }
.direction-only { background: #e6f1f8; }
.inconclusive, .exploratory { background: #eee; font-weight: 400; }
.contradicted, .failed { background: #fbdcc4; }
.not-testable-here { font-weight: 400; color: #555; }
summary { cursor: pointer; }
code { background: #f3f3f3; padding: 0 .2em; overflow-wrap: anywhere; }
a.anchor-link, .jp-OutputPrompt, .prompt { display: none; }
@media (max-width: 40rem) { body { font-size: 15px; } nav { position: static; } }
"""


def page(title: str, parts: Sequence[tuple[str, str, str]]) -> str:
    """A whole HTML page around the bodies of notebooks, with its style inside and a list of its parts.

    Parameters
    ----------
    title : str
    parts : sequence of tuple of str
        Anchor, name and HTML body of each part.
    """
    links = "".join(f'<a href="#{anchor}">{html.escape(name)}</a>' for anchor, name, _ in parts)
    bodies = "\n".join(f'<section id="{anchor}">\n{body}\n</section>' for anchor, _, body in parts)
    listed = f"<nav>{links}</nav>\n" if len(parts) > 1 else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"{listed}<main>\n{bodies}\n</main>\n</body>\n</html>\n"
    )


def picture(path: str | Path, says: str) -> str:
    """A figure inside the page.

    Parameters
    ----------
    path : path
        PNG.
    says : str
        What it shows, for those who cannot see it.
    """
    content = base64.b64encode(Path(path).read_bytes()).decode()
    return f'<figure><img alt="{html.escape(says)}" src="data:image/png;base64,{content}"></figure>'


def _table(header: list[str], rows: list[list[tuple[str, str]]]) -> str:
    """Rows of (css class, text); names may break after an underscore."""

    def cell(css: str, text: str) -> str:
        return f'<td class="{css}">{_broken(text)}</td>'

    body = "".join("<tr>" + "".join(cell(*each) for each in row) + "</tr>" for row in rows)
    return _framed(header, body)


def _framed(header: list[str], body: str) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _broken(text: str) -> str:
    return html.escape(text).replace("_", "_<wbr>")


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:z.3f}"


def _interval(row: pd.Series) -> str:
    """Estimate and 95 % interval, or nothing where there is none."""
    if pd.isna(row["estimate"]):
        return ""
    between = "" if pd.isna(row["ci_low"]) else f" [{row['ci_low']:z.2f}, {row['ci_high']:z.2f}]"
    return f"{row['estimate']:z.2f}{between}"


def _chip(word: str) -> str:
    return f'<span class="verdict {word.replace(" ", "-")}">{SIGNS[word]}\u00a0{html.escape(word)}</span>'


def _verdict_cell(row: pd.Series, span: int) -> str:
    word = row["verdict"]
    if row["role"] == "control":
        word = {"passed": "passed", "not run": "not testable here"}.get(row["controls"], "failed")
    asked = "" if not row["n_cases"] else f"n = {row['n_cases']:g}"
    more = [text for text in (_interval(row), asked) if text]
    # What was seen is said above already where all cases are one.
    reason = row["reason"]
    lines = "".join(f"<small>{_broken(text)}</small>" for text in (", ".join(more), reason) if text)
    return f'<td class="cell" colspan="{span}">{_chip(word)}{lines}</td>'


def verdict_matrix(verdicts: pd.DataFrame, role: str = "confirmatory") -> str:
    """The judged claims on one screen: an entry a row, a family a column, and what was pooled across all of them.

    Parameters
    ----------
    verdicts : DataFrame
        As written to ``verdicts.csv``.
    role : str
        Rows of this role; of ``confirmatory`` those that cannot be tested, too.
    """
    roles = ("confirmatory", "untestable") if role == "confirmatory" else (role,)
    rows = verdicts[verdicts["role"].isin(roles)].fillna({"reason": "", "paper": "", "claim": "", "controls": ""})
    families = [family for family in dict.fromkeys(rows["family"]) if family != POOLED]
    body = []
    for entry, part in rows.groupby("id", sort=False):
        first, cells = part.iloc[0], {row["family"]: row for _, row in part.iterrows()}
        claims = f" ({first['claim']})" if first["claim"] else ""
        link = f'<a href="#{first["group"]}">{_broken(entry)}</a>{claims}'
        name = f'<td class="name">{link}<small>{html.escape(first["question"])}</small></td>'
        paper = f'<td class="name"><small>{html.escape(first["paper"])}</small></td>' if role == "confirmatory" else ""
        if POOLED in cells:
            judged = _verdict_cell(cells[POOLED], len(families))
        else:
            judged = "".join(_verdict_cell(cells[family], 1) if family in cells else "<td></td>" for family in families)
        said = ", ".join(dict.fromkeys(part["controls"])) if role == "confirmatory" else ""
        controls = f"<td>{_broken(said)}</td>" if role == "confirmatory" else ""
        body.append(f"<tr>{name}{paper}{judged}{controls}</tr>")
    header = ["claim", *(["paper"] if role == "confirmatory" else []), *map(label, families)]
    return _framed([*header, *(["controls"] if role == "confirmatory" else [])], "".join(body))


def summary(verdicts: pd.DataFrame) -> str:
    """How many rows earned which verdict, in words."""
    rows = verdicts[verdicts["role"].isin(("confirmatory", "untestable"))]
    counts = Counter(rows["verdict"])
    controls = verdicts[verdicts["role"] == "control"]["controls"]
    said = ", ".join(f"{counts[word]} {word}" for word in SIGNS if counts[word])
    return (
        f"<p>{len(rows)} rows of {rows['id'].nunique()} claims: {said}. Of {len(controls)} control rows "
        f"{(controls == 'passed').sum()} passed, {(controls == 'failed').sum()} failed, "
        f"{(controls == 'not run').sum()} could not be asked.</p>"
    )


def verdict_table(verdicts: pd.DataFrame) -> str:
    """The judged claims as an HTML table, with every number.

    Parameters
    ----------
    verdicts : DataFrame
        As written to ``verdicts.csv``.
    """
    judged = verdicts[verdicts["id"] != ANSWER].fillna({"reason": "", "controls": ""})
    header = [
        "claim",
        "family",
        "verdict",
        "estimate",
        "95 % interval",
        "corrected interval",
        "smallest effect",
        "unit",
        "p",
        "adjusted p",
        "cases x seeds",
        "role",
        "controls",
        "why",
    ]
    rows = [
        [
            ("", row.id),
            ("", row.family),
            ("", row.verdict),
            ("number", _number(row.estimate)),
            ("number", _range(row.ci_low, row.ci_high)),
            ("number", _range(row.ci_low_corrected, row.ci_high_corrected)),
            ("number", "-" if pd.isna(row.smallest_effect) else f"{row.smallest_effect:g}"),
            ("", "" if pd.isna(row.unit) else str(row.unit)),
            ("number", _small(row.p)),
            ("number", _small(row.p_adjusted)),
            ("number", f"{row.n_cases:g} x {row.n_seeds:g}"),
            ("", row.role),
            ("", str(row.controls)),
            ("", row.reason),
        ]
        for row in judged.itertuples()
    ]
    return _table(header, rows)


def _range(low: float, high: float) -> str:
    return "none" if pd.isna(low) else f"{_number(low)} to {_number(high)}"


def _small(p: float) -> str:
    return "< 0.001" if p < 0.001 else _number(p)


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
