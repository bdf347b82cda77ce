"""A headless Chromium that is spoken to through its pipe of the DevTools protocol: no port, no further package."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

FLAGS = [
    "--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-sync", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-pipe",
    "--mute-audio", "--hide-scrollbars",
]  # fmt: skip
SOFTWARE = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # WebGL without a graphics card
FLAT = ["--disable-gpu", "--disable-3d-apis"]  # no WebGL at all

# Numbers of keys that a browser itself acts on: the focus goes on, a slider moves.
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36,
        "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}  # fmt: skip


class Chromium:
    """One page in a browser of its own; a context manager.

    Events are collected in `events`; `console` are warnings and errors that the page caused, `requests` the addresses
    that it asked for.
    """

    def __init__(self, folder: Path, *flags: str) -> None:
        self.log = folder / "net.json"
        orders, self.orders = os.pipe()
        self.answers, answers = os.pipe()
        own = [f"--user-data-dir={folder / 'profile'}", f"--log-net-log={self.log}", "about:blank"]
        # The browser reads from its file 3 and writes to its file 4.
        shell = [
            "bash",
            "-c",
            f'exec "$@" 3<&{orders} 4>&{answers}',
            "_",
            "chromium",
            *FLAGS,
            *(flags or SOFTWARE),
            *own,
        ]
        self.process = subprocess.Popen(
            shell, pass_fds=(orders, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(orders)
        os.close(answers)
        self.buffer, self.count, self.events, self.session = b"", 0, [], None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.close()

    def close(self) -> None:
        """End the browser; its log of the network is complete then."""
        self.session = None
        with suppress(OSError, EOFError):
            self.send("Browser.close")
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        os.close(self.orders)
        os.close(self.answers)

    def send(self, method: str, **options: Any) -> dict[str, Any]:
        """Give an order and wait for its answer."""
        self.count += 1
        order = {"id": self.count, "method": method, "params": options}
        if self.session:
            order["sessionId"] = self.session
        os.write(self.orders, json.dumps(order).encode() + b"\0")
        while True:
            message = self._next(120)
            if message.get("id") == self.count:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]

    def _next(self, seconds: float) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            if not select.select([self.answers], [], [], seconds)[0]:
                raise TimeoutError("the browser says nothing")
            part = os.read(self.answers, 1 << 20)
            if not part:
                raise EOFError("the browser has ended")
            self.buffer += part
        line, _, self.buffer = self.buffer.partition(b"\0")
        message = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    def open(self, url: str, ready: str = "window.separatrixReady === true", *, width: int = 1200) -> None:
        """Go to a page and wait until an expression is true on it."""
        self.size(width)
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=url)
        self.wait(ready)

    def size(self, width: int, height: int = 900, *, mobile: bool = False) -> None:
        """Set the size of the window in CSS pixels."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def media(self, **features: str) -> None:
        """Set media features such as `prefers_color_scheme="dark"`."""
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.send("Emulation.setEmulatedMedia", features=wanted)

    def run(self, expression: str) -> Any:
        """The value of an expression on the page; a promise is waited for."""
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            what = answer["exceptionDetails"]
            raise AssertionError(f"{expression}: {what.get('exception', what).get('description', what)}")
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while True:
            try:
                if self.run(f"Boolean({expression})"):
                    return
            except RuntimeError:  # the page is being changed
                pass
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {expression}; console: {self.console}")
            time.sleep(0.02)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """One event of the mouse: `mousePressed`, `mouseReleased`, `mouseMoved` or `mouseWheel`."""
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        """Move to a place and press."""
        self.drag([(x, y)])

    def drag(self, path: list[tuple[float, float]], modifiers: int = 0) -> None:
        """Press at the first place, go along, let go at the last; modifiers: 1 Alt, 2 Ctrl, 8 Shift."""
        held = {"button": "left", "buttons": 1, "modifiers": modifiers}
        self.mouse("mouseMoved", *path[0], modifiers=modifiers)
        self.mouse("mousePressed", *path[0], clickCount=1, **held)
        for place in path[1:]:
            self.mouse("mouseMoved", *place, **held)
        self.mouse("mouseReleased", *path[-1], clickCount=1, **held)

    def key(self, key: str, modifiers: int = 0) -> None:
        """Press a key; modifiers: 1 Alt, 2 Ctrl, 8 Shift."""
        number = KEYS.get(key) or (ord(key.upper()) if key.isalnum() and len(key) == 1 else 0)
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, modifiers=modifiers,
                      windowsVirtualKeyCode=number, **text)  # fmt: skip
            text = {}

    def pdf(self, path: Path) -> Path:
        """The page as it prints, as a PDF file."""
        printed = self.send("Page.printToPDF", printBackground=True)
        path.write_bytes(base64.b64decode(printed["data"]))
        return path

    def shot(self, path: Path, *, whole: bool = False) -> Path:
        """A picture of the window or of the whole page as a PNG file."""
        picture = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(picture["data"]))
        return path

    @property
    def console(self) -> list[str]:
        """What the page said on its console, uncaught errors and broken policies with it."""
        lines = []
        for event in self.events:
            what = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                lines.append(str(what["exceptionDetails"].get("exception", {}).get("description")))
            elif event["method"] == "Runtime.consoleAPICalled":
                lines.append(" ".join(str(one.get("value", one.get("description"))) for one in what["args"]))
            elif event["method"] == "Log.entryAdded":
                lines.append(what["entry"]["text"])
        return lines

    @property
    def requests(self) -> list[str]:
        """Addresses that pages asked for, from the log of the network: after `close`."""
        told = [event.get("params") or {} for event in json.loads(self.log.read_text())["events"]]
        # A request of the browser itself (its clock, its updates) has no page as its initiator.
        own = ("not an origin", None)
        return [what["url"] for what in told if "url" in what and what.get("initiator") not in own]
