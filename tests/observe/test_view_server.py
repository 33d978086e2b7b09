"""The page over HTTP: what it lets out, to whom, and in which parts."""

import json
import socket
import struct
import threading
import time
from http.client import HTTPConnection
from urllib.parse import urlencode

import dagster as dg
import pytest

from klio_dagster.observe.view_server import ViewServer
from tests.observe.viewed import HOSTILE


@pytest.fixture(scope="module")
def port(catalogue):
    with ViewServer([catalogue.view], port=0, dagster_url="http://127.0.0.1:3000") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def get(port):
    def get(path, method="GET", headers=None, **asked):
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        address = f"{path}?{urlencode(asked)}" if asked else path
        connection.request(method, address, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers, body

    return get


@pytest.fixture
def stored(catalogue):
    """The bytes of the long track."""
    return catalogue.store.get("recording/long.wav")


def test_the_page_and_all_its_files_come_from_the_package(get):
    for path, kind in {
        "/": "text/html",
        "/view.css": "text/css",
        "/view.js": "text/javascript",
        "/player.js": "text/javascript",
        "/icon.svg": "image/svg+xml",
    }.items():
        status, headers, body = get(path)

        assert status == 200
        assert headers["Content-Type"].startswith(kind)
        assert body


def test_nothing_is_executed_or_loaded_but_the_page_s_own_files(get):
    for path in ("/", "/api/summary", "/nowhere"):
        headers = get(path)[1]

        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1]:80", "127.1"]
)
def test_a_page_elsewhere_whose_name_leads_here_gets_nothing(get, host):
    for path in ("/", "/api/summary", "/output"):
        status, _, body = get(path, headers={"Host": host})

        assert status == 403
        assert b"only" in body


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:1"])
def test_this_machine_is_let_in_also_through_a_forwarded_port(get, host):
    assert get("/api/summary", headers={"Host": host})[0] == 200


def test_only_this_machine_can_connect(port):
    with socket.socket() as elsewhere:
        elsewhere.settimeout(2)
        others = socket.gethostbyname_ex(socket.gethostname())[2]
        for address in (each for each in others if not each.startswith("127.")):
            with pytest.raises(OSError, match=r"refused|timed out"):
                elsewhere.connect((address, port))


@pytest.mark.parametrize("entity", HOSTILE)
def test_a_track_is_heard_whatever_its_id(get, catalogue, entity):
    status, headers, body = get("/output", asset="recording", entity=entity)

    assert status == 200
    assert headers["Content-Type"] == "audio/wav"
    assert body[:4] == b"RIFF"
    assert len(body) == int(headers["Content-Length"])
    assert entity in {row["entity"] for row in json.loads(get("/api/page")[2])["rows"]}
    assert json.loads(get("/api/entity", entity=entity)[2])["entity"] == entity


@pytest.mark.parametrize(
    "path",
    [
        "/../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/view.js/../view.py",
        "//etc/passwd",
        "/page/view.js",
        "/__init__.py",
        "/..",
        "/output/../../x",
    ],
)
def test_no_path_leads_to_a_file(get, path):
    assert get(path)[0] == 404


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        pytest.param({"asset": "recording", "entity": "broken"}, 404, id="never-worked"),
        pytest.param({"asset": "recording", "entity": "../long"}, 404, id="not-an-id"),
        pytest.param({"asset": "../recording", "entity": "long"}, 404, id="not-an-asset"),
        pytest.param({"asset": "recording"}, 404, id="no-id"),
        pytest.param({}, 404, id="nothing"),
        pytest.param(
            {"asset": "recording", "entity": "long", "catalogue": "x"}, 404, id="catalogue"
        ),
    ],
)
def test_only_recorded_outputs_are_let_out(get, asked, status):
    assert get("/output", **asked)[0] == status


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        pytest.param("bytes=0-99", 0, 99, id="beginning"),
        pytest.param("bytes=1000-1999", 1000, 1999, id="middle"),
        pytest.param("bytes=60000-", 60000, None, id="to-the-end"),
        pytest.param("bytes=-10", -10, None, id="the-end"),
        pytest.param("bytes=60000-99999999", 60000, None, id="beyond-the-end"),
        pytest.param("bytes=-99999999", 0, None, id="more-than-all"),
    ],
)
def test_a_player_gets_the_part_it_seeks(get, stored, asked, first, last):
    status, headers, body = get(
        "/output", headers={"Range": asked}, asset="recording", entity="long"
    )

    begins = first if first >= 0 else len(stored) + first
    ends = (len(stored) if last is None else last + 1) - 1
    assert status == 206
    assert body == stored[begins : ends + 1]
    assert headers["Content-Range"] == f"bytes {begins}-{ends}/{len(stored)}"
    assert headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-9", "bytes=9-1", "bytes=x-", "lines=1-2", "bytes="])
def test_a_range_that_cannot_be_followed_gets_everything(get, stored, asked):
    status, _, body = get("/output", headers={"Range": asked}, asset="recording", entity="long")

    assert (status, body) == (200, stored)


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0"])
def test_a_range_outside_of_the_file_is_refused(get, stored, asked):
    status, headers, body = get(
        "/output", headers={"Range": asked}, asset="recording", entity="long"
    )

    assert status == 416
    assert headers["Content-Range"] == f"bytes */{len(stored)}"
    assert not body


def test_a_part_of_an_older_version_is_not_mixed_with_the_new_one(get, stored):
    tag = get("/output", "HEAD", asset="recording", entity="long")[1]["ETag"]
    part = {"Range": "bytes=5-9"}

    same = get("/output", headers={**part, "If-Range": tag}, asset="recording", entity="long")
    older = get("/output", headers={**part, "If-Range": '"v0"'}, asset="recording", entity="long")
    known = get("/output", headers={"If-None-Match": tag}, asset="recording", entity="long")

    assert (same[0], same[2]) == (206, stored[5:10])
    assert (older[0], older[2]) == (200, stored)
    assert (known[0], known[2]) == (304, b"")


def test_a_version_that_somebody_reported_is_no_header(get, catalogue):
    made = dg.AssetMaterialization(
        "recording",
        partition="reported",
        metadata={"codec": {"name": "audio", "format": "wav", "bit_depth": 16}},
        tags={"dagster/data_version": 'x"\r\nX-Smuggled: yes\r\n\u2013'},
    )
    catalogue.instance.report_runless_asset_event(made)
    catalogue.store.put("recording/reported.wav", catalogue.store.get("recording/long.wav"))

    status, headers, _ = get("/output", asset="recording", entity="reported")

    assert status == 200
    assert "X-Smuggled" not in headers


def test_a_head_request_has_the_size_and_no_body(get, stored):
    status, headers, body = get("/output", "HEAD", asset="recording", entity="long")

    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) == len(stored)


def test_what_is_no_sound_is_downloaded_and_never_shown_as_a_page(get):
    _, headers, _ = get("/output", asset="features", entity="long")

    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith("attachment")


def test_an_output_that_is_gone_is_said_to_be_gone(get, catalogue):
    catalogue.store_audio("soon-gone")
    catalogue.store.delete("recording/soon-gone.wav")

    status, _, body = get("/output", asset="recording", entity="soon-gone")

    assert status == 404
    assert "problem" in json.loads(body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(get, method):
    assert get("/api/summary", method)[0] == 501


def test_a_question_that_makes_no_sense_is_one_line(get):
    status, _, body = get("/api/page", state="fine")

    assert status == 400
    assert json.loads(body)["problem"].startswith("state: there is no state 'fine'")


def test_a_reader_that_goes_away_is_no_noise(get, port, capfd):
    request = b"GET /output?asset=recording&entity=long HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset
        reader.sendall(request)
        reader.recv(10)

    time.sleep(0.2)  # its thread finds out by itself
    assert get("/api/summary")[0] == 200
    assert capfd.readouterr().err == ""
