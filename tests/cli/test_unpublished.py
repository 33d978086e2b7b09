"""What `klio run` says when nobody can be told of what it has recorded."""

NOBODY = 'KlioPubSubResource(project="p", emulator_host="127.0.0.1:9")'


def test_a_run_that_can_tell_nobody_says_what_it_did_and_what_becomes_of_it(project):
    text = (project.folder / "definitions.py").read_text()
    text = text.replace("import EntityAsset", "import EntityAsset, KlioPubSubResource", 1)
    text = text.replace("\n)\ndef sizes", '\n    publish_to="sizes",\n)\ndef sizes', 1)
    text = text.replace("KlioResource(", f"KlioResource(pubsub={NOBODY}, ", 1)
    project.write("definitions.py", text)
    project.clip("a", "sound")
    assert project.klio("entities", "add", "a").code == 0

    run = project.klio("run", "a", "--select", "size", "--json")

    assert run.code == 1
    assert run.json["assets"]["size"]["materialized"] == 1
    assert "does not answer" in run.json["unpublished"]
    assert "does not answer" in run.err
    assert "the next run or tick publishes it" in run.err
