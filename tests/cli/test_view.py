"""`klio view`: one line, a page until Ctrl-C, and nothing left behind."""

import json
import signal
import socket
import urllib.request

import pytest


@pytest.fixture
def opened(computed):
    """A page that is served."""
    running = computed.start("view", "--no-open", "--json")
    yield running, json.loads(running.stdout.readline())["address"]
    if running.poll() is None:
        running.kill()
    running.communicate()


def ask(address, path):
    with urllib.request.urlopen(address + path, timeout=60) as answer:
        return json.load(answer)


def test_the_page_tells_what_klio_status_and_klio_explain_tell(computed, opened):
    _, address = opened
    status = computed.klio("status", "--json").json["assets"]
    explained = computed.klio("explain", "broken", "--json").json["assets"]

    failed = ask(address, "/api/page?state=failed")
    counts = ask(address, "/api/summary")["counts"]
    told = ask(address, "/api/explain?entity=broken")

    assert {row["entity"] for row in failed["rows"]} == {"broken", "nowhere"}
    assert {
        key: {name: number for name, number in counted.items() if name != "blocked"}
        for key, counted in counts.items()
    } == status
    assert counts["double"]["blocked"] == 2
    assert {each["asset"]: each["facts"] for each in told} == {
        key: each["facts"] for key, each in explained.items()
    }


def test_ctrl_c_ends_it_and_frees_the_port(opened):
    running, address = opened
    ask(address, "/api/page")

    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20)

    assert (running.returncode, out, err) == (0, "", "")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address, timeout=5)


def test_people_get_one_line_with_the_address(computed):
    running = computed.start("view", "--no-open")

    line = running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    out, _ = running.communicate(timeout=20)

    assert line.startswith("Catalogue: http://127.0.0.1:")
    assert out == ""
    assert running.returncode == 0


def test_a_port_in_use_is_one_line(computed):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        done = computed.klio("view", "--no-open", "--port", str(port))

    assert done.code == 2
    assert done.err.startswith(f"port {port} of 127.0.0.1: it cannot be listened on")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("url", ["javascript:alert(1)", "127.0.0.1:3000", "file:///etc"])
def test_a_link_to_anything_but_a_web_page_is_refused(computed, url):
    done = computed.klio("view", "--no-open", "--dagster-url", url)

    assert done.code == 2
    assert done.err.startswith("--dagster-url: ")
