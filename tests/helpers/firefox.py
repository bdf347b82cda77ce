"""A headless Firefox that is spoken to by WebDriver BiDi over a WebSocket of the loopback: no driver, no package."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

BINARY = shutil.which("firefox-esr") or shutil.which("firefox")
# Nothing of its own goes out: no updates, no portal, no safe browsing; and it renders without a graphics card.
QUIET = {
    "browser.startup.homepage": "about:blank", "app.update.enabled": False, "app.normandy.enabled": False,
    "network.captive-portal-service.enabled": False, "network.connectivity-service.enabled": False,
    "browser.safebrowsing.malware.enabled": False, "browser.safebrowsing.phishing.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False, "toolkit.telemetry.enabled": False,
    "browser.aboutwelcome.enabled": False, "extensions.update.enabled": False, "services.settings.server": "data:,",
    "remote.prefs.recommended": True, "dom.ipc.processCount": 1,
}  # fmt: skip
# Keys of WebDriver that are no characters
KEYS = {"Tab": "\ue004", "Enter": "\ue006", "Escape": "\ue00c", "Home": "\ue011", "ArrowLeft": "\ue012",
        "ArrowUp": "\ue013", "ArrowRight": "\ue014", "ArrowDown": "\ue015", "Shift": "\ue008"}  # fmt: skip


class Firefox:
    """One page in a browser of its own; a context manager.

    `console` are warnings and errors that the page caused, `requests` the addresses that it asked for.
    """

    def __init__(self, folder: Path) -> None:
        profile = folder / "firefox"
        profile.mkdir()
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in QUIET.items()]
        (profile / "user.js").write_text("\n".join(lines))
        environment = {**os.environ, "HOME": str(folder), "MOZ_HEADLESS": "1"}
        self.process = subprocess.Popen(
            [str(BINARY), "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        self.events: list[dict[str, Any]] = []
        self.count = 0
        try:
            self.socket = self._connect(profile / "WebDriverBiDiServer.json")
            self.send("session.new", capabilities={})
            self.context = self.send("browsingContext.getTree")["contexts"][0]["context"]
            self.send("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])
        except BaseException:
            self.process.kill()
            raise

    def _connect(self, told: Path) -> socket.socket:
        """The WebSocket, whose port Firefox writes into its profile."""
        end = time.monotonic() + 120
        while True:
            with suppress(OSError, ValueError, KeyError):
                where = json.loads(told.read_text())
                connection = socket.create_connection((where["ws_host"], where["ws_port"]), timeout=120)
                break
            if time.monotonic() > end or self.process.poll() is not None:
                raise TimeoutError("Firefox does not listen")
            time.sleep(0.05)
        key = base64.b64encode(os.urandom(16)).decode()
        host = f"{where['ws_host']}:{where['ws_port']}"
        head = ("GET /session HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
                f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", "")  # fmt: skip
        connection.sendall("\r\n".join(head).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(1)
        assert answer.startswith(b"HTTP/1.1 101"), answer
        return connection

    def __enter__(self) -> Firefox:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, RuntimeError, EOFError):
            self.send("browser.close")
        self.socket.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def send(self, method: str, **options: Any) -> dict[str, Any]:
        """Give an order and wait for its answer."""
        self.count += 1
        data = json.dumps({"id": self.count, "method": method, "params": options}).encode()
        length = len(data)
        if length < 126:
            size = bytes([0x80 | length])
        else:
            size = struct.pack("!BH", 0xFE, length) if length < 1 << 16 else struct.pack("!BQ", 0xFF, length)
        mask = os.urandom(4)
        masked = bytes(sign ^ mask[place % 4] for place, sign in enumerate(data))
        self.socket.sendall(b"\x81" + size + mask + masked)  # one frame of text
        while True:
            message = json.loads(self._message())
            if message.get("id") == self.count:
                if message["type"] == "error":
                    raise RuntimeError(f"{method}: {message['error']}: {message['message']}")
                return message["result"]
            self.events.append(message)

    def _message(self) -> bytes:
        """The next message of text, whatever the frames that it comes in."""
        parts = []
        while True:
            first, second = self._exactly(2)
            size = second & 0x7F
            if size > 125:
                size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
            data = self._exactly(size)
            if first & 0x0F > 2:  # a ping, a close
                continue
            parts.append(data)
            if first & 0x80:
                return b"".join(parts)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError("the browser has ended")
            data += part
        return data

    def open(self, url: str, ready: str = "window.separatrixReady === true", *, width: int = 1200) -> None:
        """Go to a page and wait until an expression is true on it."""
        self.size(width)
        self.send("browsingContext.navigate", context=self.context, url="about:blank", wait="complete")
        self.send("browsingContext.navigate", context=self.context, url=url, wait="complete")
        self.wait(ready)

    def size(self, width: int, height: int = 900) -> None:
        """Set the size of the window in CSS pixels."""
        self.send("browsingContext.setViewport", context=self.context, viewport={"width": width, "height": height})

    def run(self, expression: str) -> Any:
        """The value of an expression on the page; a promise is waited for."""
        answer = self.send(
            "script.evaluate", target={"context": self.context}, awaitPromise=True,
            expression=f"Promise.resolve({expression}).then((value) => JSON.stringify(value) ?? 'null')",
        )  # fmt: skip
        if answer["type"] == "exception":
            raise AssertionError(f"{expression}: {answer['exceptionDetails']['text']}")
        return json.loads(answer["result"]["value"])

    def wait(self, expression: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {expression}; console: {self.console}")
            time.sleep(0.02)

    def drag(self, path: list[tuple[float, float]], keys: str = "") -> None:
        """Press at the first place, go along, let go at the last, while a key is held."""
        steps = [{"type": "pointerMove", "x": round(x), "y": round(y)} for x, y in path]
        pointer = [steps[0], {"type": "pointerDown", "button": 0}, *steps[1:], {"type": "pointerUp", "button": 0}]
        actions: list[dict[str, Any]] = [{"type": "pointer", "id": "mouse", "actions": pointer}]
        if keys:
            wait = [{"type": "pause"}] * len(pointer)
            held = [{"type": "keyDown", "value": KEYS[keys]}, *wait, {"type": "keyUp", "value": KEYS[keys]}]
            pointer.insert(0, {"type": "pause"})
            actions.append({"type": "key", "id": "keys", "actions": held})
        self.send("input.performActions", context=self.context, actions=actions)

    def key(self, key: str) -> None:
        """Press a key."""
        value = KEYS.get(key, key)
        actions = [{"type": kind, "value": value} for kind in ("keyDown", "keyUp")]
        self.send(
            "input.performActions", context=self.context, actions=[{"type": "key", "id": "k", "actions": actions}]
        )

    def shot(self, path: Path, *, whole: bool = False) -> Path:
        """A picture of the window or of the whole page as a PNG file."""
        origin = "document" if whole else "viewport"
        data = self.send("browsingContext.captureScreenshot", context=self.context, origin=origin)["data"]
        path.write_bytes(base64.b64decode(data))
        return path

    @property
    def console(self) -> list[str]:
        """What the page said on its console, uncaught errors with it."""
        return [each["params"]["text"] for each in self.events if each.get("method") == "log.entryAdded"]

    @property
    def requests(self) -> list[str]:
        """Addresses that the page asked for, other than files and data."""
        asked = [each["params"]["request"]["url"] for each in self.events
                 if each.get("method") == "network.beforeRequestSent"]  # fmt: skip
        return [url for url in asked if not url.startswith(("file:", "about:", "data:", "blob:"))]
