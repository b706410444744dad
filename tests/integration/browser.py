"""A real browser, where one is installed, and what a page must hold in it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (1280, 700, 390)

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")


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
