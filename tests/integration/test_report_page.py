"""The report in a real browser, where one is installed: fits both widths, and asks the network for nothing."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from chainofsteps.figures.report import join_chapters, page, read_verdicts, show, verdict_matrix, verdict_table
from tests.integration.browser import WIDTHS, check_page, needs_browser

FAMILIES = ("maze", "maze_loop", "largest", "largest_tie")

pytestmark = [pytest.mark.integration, needs_browser]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page as the workflow joins it, of a small table and an empty figure."""
    folder = tmp_path_factory.mktemp("report")
    figure = folder / "success_by_step.png"
    plt.figure(figsize=(6.8, 2)).savefig(figure)
    plt.close()
    row = {
        "claim": "C6",
        "role": "confirmatory",
        "purpose": "confirmatory",
        "estimate": 0.2,
        "ci_low": 0.1,
        "ci_high": 0.3,
        "p_adjusted": 0.01,
        "n_cases": 64,
        "n_seeds": 2,
        "smallest_effect": 0.05,
        "verdict": "replicated",
        "unit": "share of a frame's own run, easiest to hardest",
        "reading": "steps",
        "controls": "passed",
        "reason": "",
        "group": "steps",
        "paper": "noise at step: .685 to below .3",
        "status": "pilot",
        "question": "Are more cases right at the last step than in the first clean estimate?",
    }
    rows = [row | {"id": name, "family": family} for name in ("E0_gain", "E13_order") for family in FAMILIES]
    rows += [row | {"id": "answer", "family": family, "role": ""} for family in FAMILIES]
    pd.DataFrame(rows).to_csv(folder / "verdicts.csv", index=False)
    verdicts = read_verdicts(folder / "verdicts.csv")
    drawn = show([str(figure)], "success_by_step", "Success.")
    chapters = {
        "verdicts": f'<h2>Verdicts</h2>{verdict_matrix(verdicts)}<h3 id="Which-of-the-three-answers">Answers</h3>',
        "steps": f"<h2>Steps</h2>{verdict_table(verdicts, 'steps')}{drawn}",
    }
    written = folder / "index.html"
    written.write_text(page("Report", join_chapters("Report", "<p>One run.</p>", chapters)))
    return written


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_its_width_and_shows_all_it_links_to(browser, report, width):
    browser.open(report, width)
    check_page(browser)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("document.images.length") == 1
    if width == max(WIDTHS):
        # Narrow pages scroll their tables; here all of a row is seen.
        assert not browser.evaluate("[...document.querySelectorAll('.table')].some(t => t.scrollWidth > t.clientWidth)")
