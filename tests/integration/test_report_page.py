"""The report in a real browser, where one is installed: fits both widths, and asks the network for nothing."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from chainofsteps.figures.report import join_chapters, page, read_verdicts, show, verdict_matrix, verdict_table

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (1280, 390)
FAMILIES = ("maze", "maze_loop", "largest", "largest_tie")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
]


class Browser:
    """Chromium without a window, asked by its devtools protocol over two pipes."""

    def __init__(self, profile):
        theirs, to_them = os.pipe()
        self.from_them, ours = os.pipe()
        self.to_them, self.ids, self.events, self.rest = to_them, itertools.count(1), [], b""
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        ]
        # The protocol wants descriptors 3 and 4.
        redirect = f'exec "$0" "$@" 3<&{theirs} 4>&{ours}'
        self.process = subprocess.Popen(
            ["bash", "-c", redirect, CHROMIUM, *options], pass_fds=(theirs, ours), stderr=subprocess.DEVNULL
        )
        os.close(theirs)
        os.close(ours)
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.ask(f"{domain}.enable")

    def read(self):
        """Next message, kept if it is an event."""
        while b"\0" not in self.rest:
            more = os.read(self.from_them, 1 << 16)
            assert more, "chromium ended"
            self.rest += more
        message, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(message)
        self.events += [message] if "method" in message else []
        return message

    def ask(self, method, **params):
        """Send a command and wait for what it gives."""
        number = next(self.ids)
        message = {"id": number, "method": method, "params": params}
        if hasattr(self, "session"):
            message["sessionId"] = self.session
        os.write(self.to_them, json.dumps(message).encode() + b"\0")
        while (answer := self.read()).get("id") != number:
            pass
        assert "result" in answer, answer
        return answer["result"]

    def evaluate(self, script):
        """Value of a JavaScript expression."""
        return self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)["result"]["value"]

    def open(self, path, width):
        """Show a file in a window of a width, as a phone or a desk has it."""
        self.events = []
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
        self.ask("Page.navigate", url=path.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.read()

    def close(self):
        """End it."""
        self.ask("Browser.close")
        self.process.wait(timeout=30)
        os.close(self.to_them)
        os.close(self.from_them)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


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


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_the_report_of_a_run_fits_its_width_and_shows_all_it_links_to(browser, finished, width):
    browser.open(finished.folder / "results/quick/report/index.html", width)
    check_page(browser)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def check_page(browser):
    """Links lead somewhere, pictures are there and have words, and nothing was fetched."""
    dead = "[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href')).filter(href => "
    dead += "!href.startsWith('#') || !document.getElementById(decodeURIComponent(href.slice(1))))"
    assert browser.evaluate(dead) == []
    assert browser.evaluate("[...document.images].filter(i => !i.naturalWidth || !i.alt).length") == 0
    assert browser.evaluate("document.scripts.length") == 0
    twice = "[...document.querySelectorAll('[id]')].map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i)"
    assert browser.evaluate(twice) == []
    asked = [
        event["params"]["request"]["url"] for event in browser.events if event["method"] == "Network.requestWillBeSent"
    ]
    assert [url[:60] for url in asked if not url.startswith(("file:", "data:"))] == []
