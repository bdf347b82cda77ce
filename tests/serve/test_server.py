import pytest

from separatrix.errors import OptionError, StoreError
from separatrix.serve.server import PageServer, Query, Reply


def fail(_query):
    raise RuntimeError("a secret")


def refuse(query):
    query.number("row", 0, 5)
    raise StoreError("the file was replaced")


@pytest.fixture(scope="module")
def server(running):
    with running(PageServer({"": lambda _: Reply(b"page"), "fails": fail, "refuses": refuse})) as server:
        yield server


def test_who_knows_the_token_gets_the_page_and_headers_that_keep_it_here(server, ask):
    answer, content = ask(server)
    assert (answer.status, content) == (200, b"page")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert server.server_address[0] == "127.0.0.1"


PATHS = ["/", "//", "/x/", "/{token}", "/{token}x/", "/{token}/../", "/{token}/%2e%2e/etc/passwd", "/%00", "/*"]
PATHS += ["/{token}/../../etc/passwd", "/{token}/no-such", "/http://other/{token}"]


@pytest.mark.parametrize("path", PATHS)
def test_another_path_is_not_there(server, ask, path):
    answer, content = ask(server, path.replace("{token}", server.token))
    assert (answer.status, content) == (404, b"Not Found")


@pytest.mark.parametrize(
    "host", ["example.org", "example.org:80", "127.0.0.1", "127.0.0.1:1", "localhost", "", "127.0.0.1.example.org"]
)
def test_a_name_that_was_bent_to_this_machine_is_refused(server, ask, host):
    answer, content = ask(server, Host=host)
    assert answer.status == 403
    assert b"page" not in content


def test_localhost_is_this_machine_too(server, ask):
    assert ask(server, Host=f"localhost:{server.port}")[0].status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://example.org"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "script"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
    ],
)
def test_pages_of_other_sites_are_refused(server, ask, headers):
    assert ask(server, **headers)[0].status == 403


def test_a_link_that_was_pressed_elsewhere_opens_the_page(server, ask):
    linked = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert ask(server, **linked)[0].status == 200
    assert ask(server, Origin=f"http://127.0.0.1:{server.port}", Sec_Fetch_Site="same-origin")[0].status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "NONSENSE"])
def test_only_get_is_answered(server, ask, method):
    answer, content = ask(server, method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")
    assert b"page" not in content


def test_errors_are_sentences_and_the_server_goes_on(server, ask):
    assert ask(server, "fails")[1] == b"RuntimeError"
    answer, content = ask(server, "refuses?row=9")
    assert (answer.status, content) == (400, b"row is out of range: got 9, expected 0 to 5")
    answer, content = ask(server, "refuses?row=5")
    assert (answer.status, content) == (409, b"the file was replaced")
    assert ask(server, "x" * 5000)[0].status == 414
    assert ask(server)[0].status == 200


def test_a_port_that_is_taken_is_one_sentence(server):
    with pytest.raises(StoreError, match=rf"port {server.port} cannot be used: got Address already in use"):
        PageServer({}, server.port)


@pytest.mark.parametrize("text", ["", "-1", "6", "1.0", "1e3", "\u0665", "9" * 5000, "x"])
def test_numbers_of_a_query_are_checked(text):
    with pytest.raises(OptionError, match="row is out of range"):
        Query({"row": text}).number("row", 0, 5)
