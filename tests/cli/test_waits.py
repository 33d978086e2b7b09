"""What `klio` says of messages that wait for an input which another job makes."""

from klio_dagster.core.letter import Asked, Letter
from klio_dagster.store.inbox import Batch
from klio_dagster.store.kept import Unasked, Waiting, put_unasked, put_waiting
from klio_dagster.store.store import Store

UPSTREAM = """output=Json(), upstream=UpstreamTrigger(
            JobId("p", "maker"), "projects/p/topics/maker", wait_s=3600.0
        )),"""


def test_whoever_asks_sees_what_waits_and_for_whom(project):
    text = (project.folder / "definitions.py").read_text()
    text = text.replace("output=Json()),", UPSTREAM, 1)
    text = text.replace("import EntityAsset", "import EntityAsset, JobId, UpstreamTrigger")
    project.write("definitions.py", text)
    assert project.klio("entities", "add", "asked", "unasked", "other").code == 0
    store = Store.open(str(project.folder / "data"))
    asked, unasked = (
        Waiting(asset="size", sensor="s", asked=Asked(entity=entity, letters=(Letter(data=b"x"),)))
        for entity in ("asked", "unasked")
    )
    put_waiting(store, Unasked("", "1-aaaaaaaa-bbbbbbbb", 0.0), asked)
    put_unasked(store, Batch("s", "2-aaaaaaaa"), [unasked])

    status = project.klio("status")
    counts = project.klio("status", "--json").json
    planned = project.klio("plan")
    explained = project.klio("explain", "asked").out
    not_yet = project.klio("explain", "unasked").out

    told = "2 entities wait for an input of another job (size 2): klio explain ENTITY\n"
    assert status.out.endswith(told)
    assert planned.out.endswith(told)
    assert counts["waiting"] == {"size": 2}
    assert "size: fail, input_missing" in explained
    assert "its messages wait for this input: p::maker was asked on 2" in explained
    assert "; they become dead letters on 2" in explained
    assert "the next tick asks p::maker for it" in not_yet
    assert "wait" not in project.klio("explain", "other").out
