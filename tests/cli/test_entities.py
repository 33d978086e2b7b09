"""The catalogue: what is registered, and what is said about the rest."""


def test_sync_registers_what_has_a_source_and_tells_new_from_changed(project):
    project.clip("one")
    project.clip("two")

    first = project.klio("entities", "sync", "--json")
    project.clip("two", "another sound")
    project.clip("three")
    second = project.klio("entities", "sync", "--json")

    counts = [
        tuple(done.json["sources"][0][name] for name in ("found", "new", "changed"))
        for done in (first, second)
    ]
    assert (first.code, second.code) == (0, 0)
    assert counts == [(2, 2, 0), (3, 1, 1)]
    assert project.klio("entities", "list").out.split() == ["one", "two", "three"]


def test_sync_names_each_refused_id_and_fails_while_the_others_are_registered(project):
    project.clip("good")
    project.clip("a...b")

    done = project.klio("entities", "sync")

    assert done.code == 1
    assert done.err.startswith("refused: clips/{entity}.raw: a...b: ")
    assert done.err.count("\n") == 1
    assert project.klio("entities", "list", "--json").json == ["good"]


def test_sync_names_the_files_between_which_it_cannot_choose(project):
    text = (project.folder / "definitions.py").read_text()
    project.write("definitions.py", text.replace("{entity}.raw", "{entity}.*"))
    project.clip("one")
    project.write("data/clips/one.wav", "sound")

    done = project.klio("entities", "sync")

    assert done.code == 1
    assert done.err == "ambiguous: one: clips/one.raw, clips/one.wav; keep one of them\n"


def test_ids_are_added_by_name_and_from_a_file_and_bad_ones_are_named(project):
    done = project.klio(
        "entities", "add", "one", "x...y", "--from-file", "-", "--json", stdin="two\n\none\n \n"
    )

    assert done.code == 1
    assert (done.json["given"], done.json["new"]) == (4, 2)
    assert set(done.json["refused"]) == {"x...y", " "}
    assert done.err.count("\n") == 2
    assert project.klio("entities", "list").out == "one\ntwo\n"


def test_ids_that_are_there_already_are_no_error(project):
    project.klio("entities", "add", "one")

    done = project.klio("entities", "add", "one", "two")

    assert done.code == 0
    assert done.out == "1 new in catalogue 'clips', 1 already there\n"


def test_the_list_can_be_of_one_state_only(computed):
    failed = computed.klio("entities", "list", "--entities", "failed")

    assert sorted(failed.out.split()) == ["broken", "nowhere"]


def test_a_pattern_that_matches_nothing_is_named_with_the_place(project):
    done = project.klio("entities", "sync")

    assert done.code == 0
    assert done.err.count("\n") == 1
    assert done.err.startswith("nothing found: no file matches clips/{entity}.raw in ")
    assert str(project.folder / "data") in done.err


def test_files_that_match_no_pattern_are_told_by_sync_and_by_a_run(project):
    project.clip("one")
    project.write("data/clips/two.wav", "sound")
    project.write("data/clips/.hidden", "nothing")
    one = project.klio("entities", "sync")
    project.write("data/clips/older/three.raw", "sound")

    two = project.klio("entities", "sync")
    run = project.klio("run")

    assert one.err == (
        "clips/{entity}.raw: 1 other file there does not match (clips/two.wav); rename or move it,"
        " or change the pattern\n"
    )
    said = "clips/{entity}.raw: 2 other files there do not match (clips/older/three.raw, say);"
    assert two.err.startswith(said)
    assert two.code == 0
    assert two.err.strip() in run.out


def test_new_files_are_told_by_a_run_of_the_catalogue_until_they_are_in_it(project):
    project.clip("one")
    project.klio("entities", "sync")
    project.clip("two")
    project.clip("three")

    run = project.klio("run")
    told = project.klio("run", "--json").json["sources"]
    named = project.klio("run", "one", "--json").json
    project.klio("entities", "sync")

    said = (
        "clips/{entity}.raw: 2 new files are not in the catalogue (three, say);"
        " add them with `klio entities sync`\n"
    )
    assert said in run.out
    assert told["clips/{entity}.raw"]["new"] == 2
    assert "sources" not in named
    assert "sources" not in project.klio("run", "--json").json


def test_sync_tells_whose_file_is_gone_while_the_entity_remains(project):
    project.clip("one")
    project.clip("two")
    project.klio("entities", "sync")
    project.klio("entities", "add", "by-hand")
    (project.folder / "data/clips/two.raw").unlink()

    done = project.klio("entities", "sync")

    assert done.code == 0
    assert done.err == (
        "gone: clips/{entity}.raw: the file of 1 entity is no longer there (two); put it back, or"
        " take it down with `klio entities remove`\n"
    )
    assert project.klio("entities", "sync", "--json").json["sources"][0]["gone"] == ["two"]


def test_a_pattern_that_nothing_matches_any_more_is_told_by_a_run(computed_copy):
    definitions = (computed_copy.folder / "definitions.py").read_text()
    computed_copy.write("definitions.py", definitions.replace('"clips/', '"clisp/'))

    run = computed_copy.klio("run")

    assert "clisp/{entity}.raw: no file matches; mend the pattern" in run.out
