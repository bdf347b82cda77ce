import http.client
from contextlib import contextmanager
from threading import Thread
from urllib.parse import urlsplit

import numpy as np
import pytest

from separatrix.points import Points
from separatrix.store.points import write_points


@pytest.fixture(scope="session")
def ask():
    """Send a request to a server, with the headers that a page of its own sends unless others are given."""

    def send(server, path="", method="GET", **headers):
        parts = urlsplit(server.address)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        connection.putrequest(method, path if path.startswith("/") else parts.path + path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer, content

    return send


@pytest.fixture(scope="session")
def running():
    """Serve while a block runs."""

    @contextmanager
    def run(server):
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    return run


@pytest.fixture(scope="session")
def points(tmp_path_factory):
    """The folder of 300 points in three classes, with texts, some of them long or hostile."""
    rng = np.random.default_rng(0)
    label = np.arange(300) % 3
    rows = rng.normal(size=(300, 6)) + 5 * np.eye(6)[label]
    texts = [f"Text number {row} of class {label[row]}" for row in range(300)]
    texts[7] = "</script><script>document.body.dataset.evil=1</script> \u202e\u2028 \u4e2d\u6587"
    texts[8] = "long " * 10_000 + "needle"
    table = {"id": [f"id-{row}" for row in range(300)], "text": texts, "label": [f"class {k}" for k in label]}
    folder = tmp_path_factory.mktemp("points") / "three"
    write_points(folder, Points.of(rows, table), dtype="float32")
    return folder
