"""Headless Chromium over its debugging pipe, with the standard library only."""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

BINARY = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
SECONDS = 60
# What WCAG 2.2 calls contrast, of every element that has text of its own, against what is painted behind it.
CONTRAST = """(() => {
  const channels = text => text.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const parts = [.2126, .7152, .0722];
  const light = ink => parts.map((part, i) => part * linear(ink[i] / 255)).reduce((sum, value) => sum + value);
  const behind = node => {
    for (let at = node; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
  };
  const bad = [];
  let checked = 0;
  for (const node of document.body.querySelectorAll("*")) {
    const own = [...node.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || !node.getClientRects().length) continue;
    checked += 1;
    const style = getComputedStyle(node);
    const ink = channels(node.closest("svg") ? style.fill : style.color), paper = behind(node);
    const [high, low] = [light(ink), light(paper)].sort((a, b) => b - a);
    const ratio = (high + .05) / (low + .05);
    if (ratio < 4.5) bad.push([node.tagName, node.textContent.slice(0, 40), ratio]);
  }
  return {checked, bad};
})()"""
# Elements that stick out of the window without a box of their own to scroll in, and text that its box cuts.
CUT = """[...document.body.querySelectorAll("*")].filter(node => {
  const box = node.getBoundingClientRect();
  if (!box.width || node.closest(".scroll, .screen, .aside, .skip, .cards thead, details:not([open])")) return false;
  return box.right > innerWidth + 1 || box.left < -1;
}).map(node => [node.tagName, node.className.baseVal ?? node.className, node.textContent.slice(0, 40)])"""

# Tables of numbers that are wider than the box in which they scroll.
CUT_NUMBERS = """[...document.querySelectorAll(".scroll")].filter(box => box.querySelector("td.num")
  && box.scrollWidth > box.clientWidth + 1).map(box => [box.getAttribute("aria-label"), box.scrollWidth])"""


class Browser:
    """One page of one browser; `messages` is all that its console said, and what it asked for elsewhere.

    Args:
        origin: of the server that pages may load from.
    """

    def __init__(self, profile, origin="file:"):
        self.origin = origin
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        descriptors = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (to_read, to_write)]
        os.close(to_read)
        os.close(to_write)

        def as_it_expects():  # Chromium reads commands from 3 and answers on 4
            os.dup2(descriptors[0], 3)
            os.dup2(descriptors[1], 4)

        command = [BINARY, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"]
        command += ["--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1"]
        command += ["--no-first-run", "--disable-background-networking", f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(3, 4), preexec_fn=as_it_expects
        )
        for fd in descriptors:
            os.close(fd)
        self._number, self._buffer, self._session = 0, b"", None
        self.messages, self._events = [], []
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method, **parameters):
        """The result of one command."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], SECONDS)
            assert ready, "the browser does not answer"
            part = os.read(self._read, 1 << 20)
            assert part, "the browser is gone"
            self._buffer += part
        raw, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(raw)
        self._events.append(message.get("method"))
        if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self.messages.append(message["params"])
        if message.get("method") == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            if not url.startswith(("file:", "data:", self.origin)):
                self.messages.append(f"asked for {url}")
        return message

    def open(self, page, *, width, height=900, scheme="light", motion="no-preference"):
        """Load a file, or an address of `origin`, at a width, in a colour scheme."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        features += [{"name": "prefers-reduced-motion", "value": motion}]
        self.send("Emulation.setEmulatedMedia", features=features)
        self._events.clear()
        self.send("Page.navigate", url=page if str(page).startswith("http:") else Path(page).resolve().as_uri())
        while "Page.loadEventFired" not in self._events:
            self._next()

    def evaluate(self, expression):
        """The value of a JavaScript expression, which the page's own policy cannot forbid."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, key, code):
        """One key, down and up."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": " "} if key == " " and kind == "keyDown" else {}
            number = {"Tab": 9, " ": 32, "Enter": 13}[key]
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else text
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=code, windowsVirtualKeyCode=number, **text)

    def wait_for(self, expression):
        """Wait until a JavaScript expression is true."""
        for _ in range(600):
            with contextlib.suppress(AssertionError):  # the page is being left
                if self.evaluate(expression):
                    return
            time.sleep(0.05)
        raise AssertionError(f"never true: {expression}")

    def picture(self, file):
        """The whole page as PNG."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        screenshot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        Path(file).write_bytes(base64.b64decode(screenshot["data"]))

    def close(self):
        """End the browser that this object started."""
        with contextlib.suppress(Exception):
            self._session = None
            self.send("Browser.close")
        self._process.terminate()
        self._process.wait(timeout=120)
        os.close(self._read)
        os.close(self._write)
