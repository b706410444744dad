"""Tables and frame of the HTML report."""

from __future__ import annotations

import base64
import html
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from chainofsteps.figures.words import label, span
from chainofsteps.statistics.claims import ANSWER, POOLED

# What each claim says, in our words.
CLAIMS = {
    "C1": "noise at one step breaks reasoning",
    "C2": "noise at one frame hardly matters",
    "C3": "early noise spreads over the whole trajectory and is not repaired",
    "C4": "early steps hold several candidates, later ones prune to one",
    "C5": "working memory: a state persists along the trajectory",
    "C6": "self-correction over steps, in all frames at once",
    "C7": "perception before action",
    "C8": "layers have roles within a step",
    "C9": "swapping one middle layer's tokens at the first step flips the result",
    "C10": "averaging hidden states over seeds at the first step helps",
    "C11": "fewer frames cost little",
    "C12": "few steps cost much",
}
_BY_FAMILY = (
    "The same estimates in each family, with 95 % intervals: a description, on which no verdict rests. Where families "
    "differ, the pooled estimate is of their mixture. Of a dozen cases and fewer an interval is rough; it is left out "
    "where there are fewer than five or all are alike, and the estimate where too few cases can be asked."
)
_DUST = 1e-9
# Columns of the matrix that have a width of their own.
_NARROW = ("claim", "paper", "unit", "n", "controls")
_MOST_IN_LINE = 4
# Columns of verdicts.csv that tables print as they stand.
_TEXTS = [
    *("id", "family", "claim", "question", "paper", "group", "role", "status", "purpose"),
    *("unit", "verdict", "reading", "controls", "reason"),
]
# Each verdict has a sign as well as a colour, from Okabe and Ito's palette.
_SIGNS = {
    "replicated": "✓",
    "passed": "✓",
    "direction only": "↗",
    "inconclusive": "?",
    "contradicted": "✗",
    "not passed": "✗",
    "controls failed": "!",
    "not testable here": "–",
    "exploratory": "…",
}
_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1c1c; margin: 0 auto; max-width: 80rem;
  padding: .5rem 1rem 3rem; }
h1, h2, h3 { line-height: 1.2; }
h1 { font-size: 1.4rem; margin: .2rem 0; }
h2 { border-top: 2px solid #1c1c1c; padding-top: .6rem; }
section:first-of-type h2 { border: 0; font-size: 1.15rem; margin: .3rem 0; padding: 0; }
section:first-of-type h2 + p { font-size: .85rem; line-height: 1.35; margin: .3rem 0; max-width: none; }
section { scroll-margin-top: 3rem; }
[id] { scroll-margin-top: 3rem; }
p, li { max-width: 52rem; overflow-wrap: anywhere; }
a { color: #00568a; }
.run { color: #555; font-size: .85rem; margin: .2rem 0; max-width: none; }
nav { position: sticky; top: 0; z-index: 1; background: #fff; border-bottom: 1px solid #ccc; margin: .2rem 0;
  padding: .25rem 0; overflow-x: auto; white-space: nowrap; }
nav a { margin-right: 1.1rem; }
img { max-width: 100%; height: auto; }
figure { margin: 1rem 0 2rem; }
figure > div { overflow-x: auto; }
figcaption { color: #333; font-size: .9rem; max-width: 52rem; }
/* A shade at the side on which a table goes on, beneath a white one that scrolls with it. */
.table { overflow-x: auto; background:
  linear-gradient(90deg, #fff 60%, #fff0) 0 0 / 2rem 100% no-repeat local,
  linear-gradient(270deg, #fff 60%, #fff0) 100% 0 / 2rem 100% no-repeat local,
  linear-gradient(90deg, #0004, #0000) 0 0 / .7rem 100% no-repeat,
  linear-gradient(270deg, #0004, #0000) 100% 0 / .7rem 100% no-repeat; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: left; vertical-align: top; }
.table td { white-space: nowrap; }
th { vertical-align: bottom; }
.full tbody th { border-bottom: 2px solid #bbb; font-weight: normal; max-width: 15rem; min-width: 9rem; }
.full tbody th { vertical-align: top; }
.full tbody tr:last-child td { border-bottom: 2px solid #bbb; }
.full small { color: #555; display: block; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.table td.text > span { white-space: nowrap; }
.table td.text { white-space: normal; min-width: 12rem; }
.table .full td.text { max-width: 16rem; min-width: 8rem; }
code { background: #f3f3f3; padding: 0 .2em; overflow-wrap: anywhere; }
a.anchor-link, .jp-OutputPrompt, .prompt { display: none; }
.chip { border-radius: .25rem; border: 1px solid transparent; padding: 0 .35em; white-space: nowrap; }
.replicated, .passed { background: #00568a; color: #fff; }
.direction-only { background: #bfe3f7; color: #10303f; }
.inconclusive, .exploratory { background: #ececec; color: #333; }
.contradicted, .not-passed { background: #a84300; color: #fff; }
.controls-failed { background: #fff; border-color: #a84300; color: #a84300; }
.not-testable-here { background: #fff; border: 1px dashed #777; color: #555; }
.reading { font-weight: 600; }
.table .matrix { font-size: .72rem; line-height: 1.25; min-width: 66rem; table-layout: fixed; width: 100%; }
.table .matrix th, .table .matrix td { overflow: hidden; padding: .1rem .3rem; text-overflow: ellipsis;
  vertical-align: top; white-space: nowrap; }
.matrix tbody th { font-weight: normal; }
.matrix small { color: #555; font-size: .65rem; }
.matrix .is-claim { width: 17%; }
.matrix .is-paper { width: 18.5%; }
.matrix .is-unit { width: 5%; }
.matrix .is-n { width: 4rem; }
.matrix .is-controls { width: 8%; }
.table .matrix td[data-label="paper"], .table .matrix td[data-label="n"], .table .matrix td[data-label="controls"] {
  font-size: .65rem; white-space: normal; }
.words { font-size: .75rem; margin: .2rem 0; max-width: none; }
.words > span { margin-right: 1em; }
/* Where a family has a narrow column its verdict is a sign and a colour; the word is there for who listens. */
.matrix .ours { position: relative; }
.matrix .ours:not(.wide) .chip .word { clip-path: inset(50%); height: 1px; overflow: hidden; position: absolute;
  width: 1px; }
.matrix .ours:not(.wide) .chip { margin-right: .2em; }
.table .by-family { table-layout: auto; }
.table .by-family td { white-space: normal; }
.by-family small { display: block; }
.table .many td { white-space: normal; }
.tag { border: 1px solid #999; border-radius: .25rem; color: #555; font-size: .65rem; padding: 0 .25em; }
details { margin: .6rem 0; }
@media (max-width: 40rem) {
  th, td { font-size: .78rem; padding: .2rem .35rem; }
  .full tbody th { min-width: 6rem; }
  .table td.text { min-width: 9rem; }
  figure img { max-width: none; width: 42rem; }
  .table .matrix { min-width: 0; }
  .matrix thead { display: none; }
  .matrix tr { border-bottom: 2px solid #bbb; display: block; padding: .4rem 0; }
  .table .matrix th, .table .matrix td { border: 0; display: block; font-size: .8rem; white-space: normal; }
  .matrix th small { display: block; }
  .matrix td:empty { display: none; }
  .matrix td::before { color: #555; content: attr(data-label); display: inline-block; width: 6rem; }
  .matrix .ours:not(.wide) .chip .word { clip-path: none; height: auto; position: static; width: auto; }
}
"""


def page(title: str, body: str) -> str:
    """A whole HTML page around a body, with its style inside."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def join_chapters(title: str, run: str, chapters: dict[str, str]) -> str:
    """Body of the report: title, run, contents, then a section a chapter.

    Parameters
    ----------
    title : str
        Heading of the page.
    run : str
        HTML that says what was run.
    chapters : dict
        Name -> HTML. The name is the anchor that links lead to.
    """
    links = "".join(f'<a href="#{name}">{label(name).capitalize()}</a>' for name in chapters)
    sections = "\n".join(f'<section id="{name}">\n{body}\n</section>' for name, body in chapters.items())
    return (
        f"<header><h1>{html.escape(title)}</h1>\n{run}</header>\n"
        f'<nav aria-label="Chapters">{links}</nav>\n<main>\n{sections}\n</main>'
    )


def read_verdicts(path: str | Path, calibration: Sequence[str | Path] = ()) -> pd.DataFrame:
    """``verdicts.csv``, empty where a text is missing, with the ``power`` of each row.

    Parameters
    ----------
    path : path
    calibration : sequence of path
        Tables of the calibration. ``power`` is the share of data sets with an effect of the smallest size (of an
        equivalence: of none), and as many cases, in which the entry was claimed; NaN where none was made, or for
        another estimand or test.
    """
    verdicts = pd.read_csv(path, dtype=dict.fromkeys(_TEXTS, str)).fillna(dict.fromkeys(_TEXTS, ""))
    rates = [pd.read_csv(table) for table in calibration]
    if not rates:
        return verdicts.assign(power=math.nan)
    known = pd.concat(rates, ignore_index=True)
    known = known[known["scenario"] == "smallest"].rename(columns={"cases": "n_cases", "claimed": "power"})
    keys = ["id", "family", "estimand", "test", "n_cases"]
    return verdicts.merge(known[[*keys, "power"]], how="left", on=keys)


def _table(header: list[str], rows: list[list[tuple[str, str]]], name: str = "table") -> str:
    """Rows of (css class, HTML)."""
    head = "".join(f'<th scope="col">{html.escape(each)}</th>' for each in header)
    body = "".join(
        "<tr>" + "".join(f'<td class="{css}">{content}</td>' for css, content in row) + "</tr>" for row in rows
    )
    return _box(f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>", name)


def _box(table: str, name: str, css: str = "") -> str:
    """A table in a box that scrolls by itself, by keyboard as well."""
    return (
        f'<div class="table" role="region" aria-label="{html.escape(name)}" tabindex="0">'
        f'<table class="{css}">{table}</table></div>'
    )


def _text(value: object) -> str:
    """Escaped; may break after an underscore."""
    return html.escape(str(value)).replace("_", "_<wbr>")


def _number(value: float, digits: int = 3) -> str:
    if pd.isna(value):
        return "-"
    # What rounds to 0 and is not: two figures say how small it is. Sums of rounded values leave dust.
    return f"{value:.2g}" if _DUST < abs(value) < 0.5 * 10.0**-digits else f"{value:z.{digits}f}"


def _chip(word: str) -> str:
    sign = f'<span aria-hidden="true">{_SIGNS[word]}</span> ' if word in _SIGNS else ""
    shown = f'<span class="word">{html.escape(word)}</span>'
    return f'<span class="chip {word.replace(" ", "-")}" title="{html.escape(word)}">{sign}{shown}</span>'


def shown_verdict(verdict: str, role: str, controls: str) -> str:
    """The word that a table prints.

    A claim whose controls failed is never said to be replicated, whatever the row says; a control passes or does not.
    """
    if role == "control":
        return {"replicated": "passed", "not testable here": verdict}.get(verdict, "not passed")
    return "controls failed" if controls.startswith("failed") and verdict != "not testable here" else verdict


def _shown(row: pd.Series) -> str:
    return _chip(shown_verdict(row["verdict"], row["role"], row["controls"]))


def _tag(row: pd.Series) -> str:
    """Says that an entry is not confirmatory."""
    return "" if row["status"] == "confirmatory" else f' <span class="tag">{html.escape(row["status"])}</span>'


def _counts(rows: pd.DataFrame) -> list[tuple[str, int]]:
    """How often each word is shown, the most frequent first."""
    words = zip(rows["verdict"], rows["role"], rows["controls"], strict=True)
    return Counter(shown_verdict(*each) for each in words).most_common()


def _judged(verdicts: pd.DataFrame) -> pd.DataFrame:
    return verdicts[verdicts["id"] != ANSWER]


def _size(rows: pd.DataFrame) -> str:
    tested = rows[rows["n_cases"] > 0]
    if tested.empty:
        return "-"
    # Scores are checked without a model, so without a seed.
    seeds = f" x {span(tested['n_seeds'])}" if tested["n_seeds"].any() else ""
    return f"{span(tested['n_cases'])}{seeds}"


def _cell(row: pd.Series) -> str:
    """Verdict, estimate and interval of one family."""
    if row["verdict"] == "not testable here":
        reason = html.escape(row["reason"])
        return f'{_shown(row)} <small title="{reason}">{reason}</small>'
    interval = _brackets(row)
    return f"{_shown(row)} {_number(row['estimate'], 2)} {interval and f'<small>{interval}</small>'}"


def _brackets(row: pd.Series) -> str:
    """The 95 % interval, where there is one."""
    return "" if pd.isna(row["ci_low"]) else f"[{_number(row['ci_low'], 2)}, {_number(row['ci_high'], 2)}]"


def _controls(rows: pd.DataFrame) -> str:
    """What the controls came to where they did not pass, the cells say in which family; what is not tested has none."""
    told = list(dict.fromkeys(filter(None, rows["controls"])))
    failed = [controls for controls in told if controls != "passed"]
    return html.escape("; ".join(failed) or "passed" if told else "-")


def verdict_matrix(verdicts: pd.DataFrame) -> str:
    """All claims on one screen: a row an entry, a column a family, and a wide cell where families are pooled.

    Controls have a column here, and a table of their own.

    Parameters
    ----------
    verdicts : DataFrame
        As :func:`read_verdicts` gives it.
    """
    judged, answers = _judged(verdicts), verdicts[verdicts["id"] == ANSWER]
    judged = judged[judged["role"] != "control"]
    pooled = set(judged.loc[judged["family"] == POOLED, "id"])
    families = list(dict.fromkeys(judged.loc[~judged["id"].isin(pooled), "family"])) or [POOLED]
    head = "".join(
        f'<th scope="col" class="is-{name if name in _NARROW else "ours"}">{_text(name)}</th>'
        for name in ("claim", "paper", *(f"ours: {family}" for family in families), "unit", "n", "controls")
    )
    rows = []
    if len(answers):
        readings = answers.set_index("family")["reading"]
        cells = "".join(
            f'<td class="ours" data-label="{html.escape(family)}"><span class="reading">'
            f"{html.escape(readings.get(family, ''))}</span></td>"
            for family in families
        )
        link = '<a href="#Which-of-the-three-answers">Answer</a> <small>steps, frames or a single pass</small>'
        rows.append(
            f'<tr><th scope="row">{link}</th><td data-label="paper">steps</td>{cells}<td data-label="unit"></td>'
            f'<td class="n" data-label="n">{_size(answers)}</td>'
            f'<td data-label="controls">{_controls(answers)}</td></tr>'
        )
    for entry, part in judged.groupby("id", sort=False):
        rows.append(_matrix_row(entry, part, families))
    words = "".join(f"<span>{_chip(word)}</span>" for word, _ in _counts(judged))
    # Narrower columns than those of four families cut what stands in one line.
    css = "matrix many" if len(families) > _MOST_IN_LINE else "matrix"
    table = _box(f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>", "Verdicts", css)
    return f'<p class="words">{words}</p>\n{table}'


def _matrix_row(entry: str, part: pd.DataFrame, families: list[str]) -> str:
    first = part.iloc[0]
    claims = f"{html.escape(first['claim'])} " if first["claim"] else ""
    name = (
        f'<th scope="row">{claims}<a href="#{html.escape(entry)}">{html.escape(entry)}</a>{_tag(first)}'
        f' <small title="{html.escape(first["question"])}">{html.escape(first["question"])}</small></th>'
    )
    if POOLED in set(part["family"]):
        whole = part[part["family"] == POOLED]
        counts = ", ".join(f"{count} {word}" for word, count in _counts(part[part["family"] != POOLED]))
        more = f" <small>by family: {html.escape(counts)}</small>" if counts else ""
        cells = f'<td class="ours wide" data-label="ours" colspan="{len(families)}">{_cell(whole.iloc[0])}{more}</td>'
        part = whole
    else:
        by_family = {row["family"]: _cell(row) for _, row in part.iterrows()}
        cells = "".join(
            f'<td class="ours" data-label="{html.escape(family)}">{by_family.get(family, "")}</td>'
            for family in families
        )
    unit, paper, controls = html.escape(first["unit"]), html.escape(first["paper"]), _controls(part)
    return (
        f'<tr>{name}<td data-label="paper" title="{paper}">{paper}</td>{cells}'
        f'<td class="unit" data-label="unit" title="{unit}">{unit}</td>'
        f'<td class="n" data-label="n">{_size(part)}</td>'
        f'<td data-label="controls" title="{controls}">{controls}</td></tr>'
    )


def verdict_table(verdicts: pd.DataFrame, group: str) -> str:
    """The entries of a group in full, a row an (entry, family); an entry's first row is what its links lead to.

    Parameters
    ----------
    verdicts : DataFrame
        As :func:`read_verdicts` gives it.
    group : str
        Chapter that the entries belong to.
    """
    judged = _judged(verdicts)
    judged = judged[judged["group"] == group]
    if judged.empty:
        return "<p>No entry of this chapter was judged.</p>"
    # A control has no controls of its own, and stands outside the corrected tests.
    left_out = {"adjusted p", "controls", "power"} if (judged["role"] == "control").all() else set()
    left_out |= set() if judged["power"].notna().any() else {"power"}
    asked = [name for name in _FULL if name not in left_out]
    head = "".join(f'<th scope="col">{name}</th>' for name in ("claim", *asked))
    body = "".join(_full_rows(entry, part, asked) for entry, part in judged.groupby("id", sort=False))
    return _box(f"<thead><tr>{head}</tr></thead>{body}", f"Verdicts on {group}", "full")


def _interval(row: pd.Series) -> str:
    return "none" if pd.isna(row["ci_low"]) else f"{_number(row['ci_low'])} to {_number(row['ci_high'])}"


def _verdict_and_why(row: pd.Series) -> str:
    return _shown(row) + (f"<small>{html.escape(row['reason'])}</small>" if row["reason"] else "")


# Columns of a full table: class and content of a row's cell.
_FULL: dict[str, tuple[str, Callable[[pd.Series], str]]] = {
    "family": ("", lambda row: html.escape(row["family"])),
    "verdict": ("text", _verdict_and_why),
    "estimate": ("number", lambda row: _number(row["estimate"])),
    "95 % interval": ("number", _interval),
    "smallest effect": (
        "number",
        lambda row: "-" if pd.isna(row["smallest_effect"]) else f"{row['smallest_effect']:g}",
    ),
    "unit": ("text", lambda row: html.escape(row["unit"])),
    "adjusted p": (
        "number",
        lambda row: "&lt; 0.001" if row["p_adjusted"] < 0.001 else _number(row["p_adjusted"]),
    ),
    "n": ("number", lambda row: _size(row.to_frame().T)),
    "power": ("number", lambda row: _number(row["power"], 2)),
    "controls": ("", lambda row: _text(row["controls"])),
}


def _full_rows(entry: str, part: pd.DataFrame, asked: Sequence[str]) -> str:
    """The rows of an entry, behind one cell that names it and asks its question."""
    first = part.iloc[0]
    name = (
        f'<th scope="rowgroup" rowspan="{len(part)}" id="{html.escape(entry)}">{_text(entry)}{_tag(first)}'
        f"<small>{html.escape(first['question'])}</small></th>"
    )
    rows = []
    for _, row in part.iterrows():
        cells = [(css, content(row)) for css, content in map(_FULL.get, asked)]
        rows.append("".join(f'<td class="{css}">{content}</td>' for css, content in cells))
    return f"<tbody><tr>{name}{'</tr><tr>'.join(rows)}</tr></tbody>"


def family_matrix(verdicts: str | Path, group: str) -> str:
    """What the pooled entries of a group come to in each family, which lies beside the verdicts: a row an entry.

    Parameters
    ----------
    verdicts : path
        Of verdicts.csv.
    group : str
        Chapter that the entries belong to.
    """
    judged = _judged(read_verdicts(verdicts))
    entries = judged.loc[judged["group"] == group, "id"].unique()
    given = pd.read_csv(Path(verdicts).with_name("by_family.csv"), keep_default_na=False, na_values=[""])
    given = given[given["id"].isin(entries)]
    if given.empty:
        return "<p>No entry of this chapter pools families that were run.</p>"
    families = list(dict.fromkeys(given["family"]))
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in ("claim", *families, "unit"))
    rows = []
    for entry, part in given.groupby("id", sort=False):
        here = {row["family"]: _estimate(row) for _, row in part.iterrows()}
        cells = "".join(
            f'<td class="ours" data-label="{html.escape(family)}">{here.get(family, "")}</td>' for family in families
        )
        unit = html.escape(part["unit"].iloc[0])
        rows.append(
            f'<tr><th scope="row"><a href="#{html.escape(entry)}">{_text(entry)}</a></th>{cells}'
            f'<td class="unit" data-label="unit" title="{unit}">{unit}</td></tr>'
        )
    box = _box(
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>", f"By family: {group}", "matrix by-family"
    )
    return f"<p>{_BY_FAMILY}</p>\n{box}"


def _estimate(row: pd.Series) -> str:
    """Estimate, interval and n; where one is missing, why, for a pointer."""
    small = ", ".join(filter(None, [_brackets(row), f"n {row['n_cases']}"]))
    reason = "" if pd.isna(row["reason"]) else f' title="{html.escape(row["reason"])}"'
    return f"<span{reason}>{_number(row['estimate'], 2)} <small>{small}</small></span>"


def answer_table(verdicts: pd.DataFrame) -> str:
    """Steps, frames or single pass, by family."""
    answers = verdicts[verdicts["id"] == ANSWER]
    rows = [
        [("", _text(row.family)), ("", _text(row.reading)), ("text", _text(row.reason))] for row in answers.itertuples()
    ]
    return _table(["family", "answer", "why"], rows, "Answers")


def claim_table(verdicts: pd.DataFrame) -> str:
    """The paper's claims and how often each verdict was given to their entries."""
    judged = _judged(verdicts)
    judged = judged[judged["role"] != "control"]
    rows = []
    for claim, words in CLAIMS.items():
        part = judged[judged["claim"].str.split(", ").map(lambda claims, claim=claim: claim in claims)]
        entries = ", ".join(f'<a href="#{html.escape(entry)}">{_text(entry)}</a>' for entry in part["id"].unique())
        given = " ".join(f"<span>{count} x {_chip(word)}</span>" for word, count in _counts(part))
        rows.append(
            [("text", f"{claim}: {html.escape(words)}"), ("text", entries or "none"), ("text", given or "not judged")]
        )
    return _table(["the paper's claim", "asked by", "verdicts"], rows, "Claims")


def variance_shares(verdicts: str | Path) -> str:
    """Table of the shares of variance, which lie beside the verdicts: a row an experiment, family and variable.

    Parameters
    ----------
    verdicts : path
        Of verdicts.csv.
    """
    shares = pd.read_csv(Path(verdicts).with_name("variance.csv"))
    if shares.empty:
        return "<p>No variance was shared out: it takes two seeds, or a whole grid of erased cells.</p>"
    rows = []
    for (experiment, family, variable), given in shares.groupby(["experiment", "family", "variable"], sort=False):
        parts = []
        for each in given.itertuples():
            interval = "" if pd.isna(each.ci_low) else f" [{each.ci_low:.2f}, {each.ci_high:.2f}]"
            parts.append(f"{html.escape(each.part)} <b>{each.share:.2f}</b>{interval}")
        names = [("text", _text(name)) for name in (experiment, family, variable)]
        rows.append([*names, ("text", "; ".join(parts)), ("number", f"{given['n_cases'].iloc[0]}")])
    return _table(["experiment", "family", "variance of", "share, 95 % interval", "cases"], rows, "Shares of variance")


def run_lines(fingerprints: list[dict], verdicts: pd.DataFrame) -> str:
    """What was run, in a paragraph: cases, seeds, and each model with its revision."""
    judged = _judged(verdicts)
    judged = judged[judged["n_cases"] > 0]
    models = "; ".join(
        f"{label(each['model_id'])}, revision {each['revision'][:12]}, "
        f"{sum(each['parameters'].values()) / 1e6:.2f} M parameters"
        for each in fingerprints
    )
    seeds = judged["n_seeds"][judged["n_seeds"] > 0]
    text = (
        f"Cases a row: {span(judged['n_cases'])} ({', '.join(judged['purpose'].unique())}); "
        f"seeds a case: {span(seeds)}. Models: {models}."
    )
    return f'<p class="run">{html.escape(text)}</p>'


def show(figures: list[str], name: str, caption: str, rule: str = "run_intervention") -> str:
    """Figures of a name, one a model or family, each with its caption and the command that makes it again.

    Parameters
    ----------
    figures : list of str
        PNG files; those called ``{name}.png`` or ``{name}_*.png`` are shown.
    name : str
        Name of the figure.
    caption : str
        What is seen; also read out in place of the picture.
    rule : str
        Rule from which the command starts anew.
    """
    paths = [path for path in map(Path, figures) if path.stem == name or path.stem.startswith(f"{name}_")]
    blocks = []
    for path in paths:
        which = label(path.stem.removeprefix(name).strip("_"))
        text = html.escape(f"{which.capitalize()}: {caption}" if which else caption)
        image = base64.b64encode(path.read_bytes()).decode()
        blocks.append(
            f'<figure><div role="region" aria-label="{html.escape(label(path.stem))}" tabindex="0">'
            f'<img src="data:image/png;base64,{image}" alt="{text}"></div><figcaption>{text} Rerun: '
            f"<code>snakemake --cores 2 --forcerun {rule} -- {html.escape(path.as_posix())}</code></figcaption>"
            "</figure>"
        )
    return "\n".join(blocks) or f"<p>{html.escape(label(name))}: not made in this run.</p>"


def stability_matrix(tables: Sequence[str | Path]) -> str:
    """How often each verdict came out over blocks of cases and seeds: a row an entry, a column a family.

    Parameters
    ----------
    tables : sequence of path
        ``stability.csv``; nothing where it was not made.
    """
    if not tables:
        return "<p>Not made in this run: <code>snakemake --cores 2 stability</code>.</p>"
    counts = pd.concat(
        [
            pd.read_csv(table, dtype=dict.fromkeys(("model_id", "id", "family", "role", "verdict"), str))
            for table in tables
        ],
        ignore_index=True,
    )
    families = list(dict.fromkeys(counts["family"]))
    rows = []
    for (model, entry), part in counts.groupby(["model_id", "id"], sort=False):
        cells = [" ".join(_counted(row) for _, row in part[part["family"] == family].iterrows()) for family in families]
        rows.append([("", _text(model)), ("", _text(entry)), *(("text", cell) for cell in cells)])
    return _table(["model", "claim", *families], rows, "Stability")


def _counted(row: pd.Series) -> str:
    answer = row["id"] == ANSWER
    word = html.escape(row["verdict"]) if answer else _chip(shown_verdict(row["verdict"], row["role"], ""))
    return f"<span>{row['count']} x {word}</span>"


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
            ("", _text(row["case"])),
            ("number", _text(row["seed"])),
            ("number", _text(row["difficulty"])),
            ("number", "none" if row["frame"] is None else _text(row["frame"])),
            ("number", "-" if row["step"] is None else _text(row["step"])),
            ("", _text(row["held"] or "-")),
            ("", _text(row["right"] or "-")),
            ("", "yes" if row["was_right"] else "no"),
            ("", _text(", ".join(map(label, row["broken"])))),
            ("number", "{} of {}".format(*row["other_seeds"])),
        ]
        for row in failures
    ]
    return _table(header, rows, "Failures")
