"""A real Chromium without a window, driven through the pipe of its DevTools protocol, as a person would use it.

The standard library is enough for that: the protocol is JSON between NUL bytes, on the file descriptors 3 and 4.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check", "--disable-gpu",
    "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--hide-scrollbars", "--no-sandbox",
)  # fmt: skip
_LAUNCH = """
import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(reads, 3)
os.dup2(writes, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
_PATIENCE = 60.0  # seconds


def program() -> str | None:
    """Where a Chromium is installed, or None."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Browser:
    """One tab. ``events`` holds what the browser said unasked: requests, console messages, errors."""

    def __init__(self, program: str, profile: Path) -> None:
        reads, self.out = os.pipe()
        self.into, writes = os.pipe()
        command = [
            sys.executable,
            "-c",
            _LAUNCH,
            str(reads),
            str(writes),
            program,
            *_FLAGS,
            f"--user-data-dir={profile}",
        ]
        self.process = subprocess.Popen(
            [*command, "about:blank"], pass_fds=(reads, writes), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        os.close(reads)
        os.close(writes)
        self.left, self.last, self.session, self.events = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.out)  # the end of its input ends the browser
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.into)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") != self.last:
                self.events.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']['message']}")
            else:
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.left:
            ready, _, _ = select.select([self.into], [], [], _PATIENCE)
            data = os.read(self.into, 1 << 16) if ready else b""
            if not data:
                raise RuntimeError("the browser does not answer")
            self.left += data
        message, self.left = self.left.split(b"\0", 1)
        return json.loads(message)

    def screen(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """Size in CSS pixels, colour scheme, and whether fingers are used."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1,
                  mobile=phone)  # fmt: skip
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        features.append({"name": "hover", "value": "none" if phone else "hover"})
        self.call("Emulation.setEmulatedMedia", features=features)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def read(self, expression: str) -> Any:
        """The value of an expression of JavaScript on the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"]["description"])
        return result["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until an expression is true on a page that is complete."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            try:
                if self.read(f"document.readyState === 'complete' && !!({expression})"):
                    return
            except RuntimeError:  # between two pages there is nothing to ask
                pass
            time.sleep(0.02)
        raise TimeoutError(f"{expression}\n{self.read('document.documentElement.outerHTML')}")

    def click(self, selector: str) -> None:
        """A click of the mouse in the middle of what a selector finds."""
        x, y = self.read(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect(); "
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, text: str = "") -> None:
        """A key, which types ``text``."""
        code = {"Enter": 13, "Tab": 9}.get(key, ord(key[0]))
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, text=text if kind == "keyDown" else "",
                      windowsVirtualKeyCode=code)  # fmt: skip

    def picture(self) -> bytes:
        """The screen as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def requests(self) -> list[str]:
        """Addresses that pages asked for."""
        self.read("0")  # what is on its way arrives
        return [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]

    def complaints(self) -> list[str]:
        """What the browser's console says, such as what the content security policy refused."""
        self.read("0")
        logged = [e["params"]["entry"]["text"] for e in self.events if e.get("method") == "Log.entryAdded"]
        said = [str(e["params"]) for e in self.events if e.get("method") == "Runtime.exceptionThrown"]
        return logged + said
