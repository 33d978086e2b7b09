"""What makes finished work stale: another meaning of the code, never another look of it."""

import json
import subprocess
from pathlib import Path

import pytest

from klio_dagster.codecs.array import Array
from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset, EntityStep
from klio_dagster.core.code_version import code_versions, syntax_hash
from klio_dagster.core.graph import Chain
from klio_dagster.core.output import OutputCodec
from klio_dagster.errors import ConfigError
from tests.strategies import from_inputs, from_source

MEL = """\
def mel(entity, recording, n_mels=128):
    if n_mels > 0:
        return [recording, "mel", 1_000, n_mels]
    return None
"""


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(MEL.replace("    if", "    # why\n    if"), id="a comment"),
        pytest.param(MEL.replace("(entity, ", "(\n    entity,\n    "), id="line breaks"),
        pytest.param(MEL.replace("n_mels]", "n_mels,]"), id="a trailing comma"),
        pytest.param(MEL.replace("n_mels > 0", "(n_mels > 0)"), id="parentheses"),
        pytest.param(MEL.replace('"mel"', "'mel'"), id="other quotes"),
        pytest.param(MEL.replace('"mel"', '"m" "el"'), id="a text in two pieces"),
        pytest.param(MEL.replace('"mel"', 'u"mel"'), id="a text with u"),
        pytest.param(MEL.replace("1_000", "1000"), id="digits grouped otherwise"),
        pytest.param(MEL.replace("    if", '    """Mel."""\n    if'), id="a docstring"),
        pytest.param(MEL.replace("\n    ", "\n  "), id="narrower indentation of the body"),
        pytest.param("    " + MEL.replace("\n", "\n    ").rstrip(" "), id="inside a class"),
        pytest.param(MEL + "\n\n", id="empty lines at the end"),
    ],
)
def test_another_look_of_the_code_computes_nothing_again(source: str):
    assert syntax_hash(source) == syntax_hash(MEL)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(MEL.replace("1_000", "1_001"), id="a number"),
        pytest.param(MEL.replace("1_000", "1_000.0"), id="a float for an integer"),
        pytest.param(MEL.replace("1_000", "True"), id="a truth value"),
        pytest.param(MEL.replace('"mel"', '"Mel"'), id="a text"),
        pytest.param(MEL.replace('"mel"', 'b"mel"'), id="bytes for text"),
        pytest.param(MEL.replace('"mel"', '""'), id="an empty text"),
        pytest.param(MEL.replace("None", "..."), id="None"),
        pytest.param(MEL.replace("return None", "return"), id="nothing for None"),
        pytest.param(MEL.replace(">", ">="), id="an operator"),
        pytest.param(MEL.replace('recording, "', 'entity, "'), id="a name"),
        pytest.param(MEL.replace("n_mels=128", "n_mels=64"), id="a default"),
        pytest.param(MEL.replace("entity,", "entity: str,"), id="an annotation"),
        pytest.param(MEL.replace("    return N", "        return N"), id="where a line belongs"),
        pytest.param("@cached\n" + MEL, id="a decorator"),
        pytest.param("async " + MEL, id="async"),
        pytest.param(
            MEL.replace("    if", '    f"{entity}"\n    if'), id="an f-string is no docstring"
        ),
        pytest.param(MEL.replace("    if", '    b"Mel."\n    if'), id="bytes are no docstring"),
    ],
)
def test_another_meaning_of_the_code_is_another_version(source: str):
    assert source != MEL
    assert syntax_hash(source) != syntax_hash(MEL)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("f'{x:>5}'", "f'{x:>6}'", id="format"),
        pytest.param("f'{x}'", "f'{x!r}'", id="conversion"),
        pytest.param("f'{x}a'", "f'{x}b'", id="text of an f-string"),
        pytest.param("f'{x:>{w}}'", "f'{x:>{v}}'", id="format in a format"),
        pytest.param("[a, [b]]", "[[a], b]", id="nesting"),
        pytest.param("[[], x]", "[x, []]", id="place of something empty"),
        pytest.param("f(a, b=c)", "f(a, c)", id="keyword"),
        pytest.param("f(*a)", "f(**a)", id="stars"),
        pytest.param("x = ''", "x = None", id="empty text and None"),
        pytest.param("x[a:]", "x[:a]", id="side of a slice"),
        pytest.param("{None: a}", "{**a}", id="unpacking and None"),
        pytest.param("1", "1j", id="imaginary"),
        pytest.param("a if b else c", "c if b else a", id="branches"),
    ],
)
def test_sources_that_look_alike_are_told_apart(one: str, other: str):
    assert syntax_hash(one) != syntax_hash(other)


class Renamed(Array):
    @property
    def name(self) -> str:
        return "renamed"


def asset(name: str = "mel", output: OutputCodec | None = None, **fields: object) -> EntityAsset:
    return EntityAsset(name, from_inputs, output=output or Json(), **fields)  # pyright: ignore[reportArgumentType]


def version(part: EntityAsset) -> str:
    return code_versions(Chain([part]))[part.name]


def test_the_same_definition_has_the_same_version_whatever_it_is_called():
    assert version(asset()) == version(asset(name="other", timeout_s=5.0, description="d"))
    assert version(asset()) == version(asset(retries=0, memory=None, transient=[KeyError]))
    assert version(asset(params={"a": 1, "b": 2})) == version(asset(params={"b": 2, "a": 1}))


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(asset(params={"n_mels": 64}), id="a param"),
        pytest.param(asset(params={}), id="no param"),
        pytest.param(asset(params={"n_mels": "128"}), id="a param of another type"),
        pytest.param(asset(params={"n_mels": 128}, output=Array()), id="the codec"),
        pytest.param(asset(params={"n_mels": 128}, output=Json(max_bytes=9)), id="its options"),
        pytest.param(
            EntityAsset(
                "mel", from_source, source="{entity}.wav", output=Json(), params={"n_mels": 128}
            ),
            id="the transform",
        ),
    ],
)
def test_params_codec_and_transform_are_part_of_the_version(changed: EntityAsset):
    assert version(changed) != version(asset(params={"n_mels": 128}))


def test_two_codecs_with_the_same_options_are_two_versions():
    assert Renamed().to_json() == Array().to_json()
    assert version(asset(output=Renamed())) != version(asset(output=Array()))


def test_a_version_the_user_gives_stands_for_the_source_and_not_for_params_and_codec():
    given = version(asset(code_version="v7", params={"n_mels": 64}))

    assert given.startswith("v7.")
    assert version(asset(code_version="v7", params={"n_mels": 64})) == given
    assert version(asset(code_version="v8", params={"n_mels": 64})) != given
    assert version(asset(code_version="v7", params={"n_mels": 65})) != given


def _chain(gain_db: float, *, code_version: str | None = None) -> Chain:
    return Chain(
        [
            EntityStep("decoded", from_source, source="{entity}.wav", params={"gain_db": gain_db}),
            EntityStep("louder", from_inputs, deps=["decoded"]),
            asset("recording", deps=["louder"], code_version=code_version),
            asset("mel", deps=["recording"]),
        ]
    )


@pytest.mark.parametrize("own", [None, "v7"], ids=["automatic", "given by the user"])
def test_a_step_is_part_of_the_version_of_what_uses_it_and_of_nothing_else(own: str | None):
    before = code_versions(_chain(0.0, code_version=own))
    after = code_versions(_chain(3.0, code_version=own))

    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"decoded", "louder", "recording"}


def test_a_transform_whose_source_cannot_be_read_needs_a_version_from_the_user():
    namespace: dict[str, object] = {"__name__": "typed_in"}
    exec(compile("def typed(entity): return 1", "<typed in>", "exec"), namespace)
    typed = namespace["typed"]

    with pytest.raises(ConfigError, match="give the asset a code_version") as caught:
        code_versions(Chain([EntityAsset("mel", typed, output=Json())]))  # pyright: ignore[reportArgumentType]
    given = EntityAsset("mel", typed, output=Json(), code_version="1")  # pyright: ignore[reportArgumentType]

    assert str(caught.value).startswith("asset 'mel': the source of typed_in:typed cannot be read")
    assert len(str(caught.value).splitlines()) == 1
    assert code_versions(Chain([given]))["mel"].startswith("1.")


# Where Python 3.11, 3.12 and 3.13 read or write syntax trees differently, and what is common.
CORPUS = {
    "function": MEL,
    "class": "class C(B, metaclass=M):\n    x: int = 1\n    def __call__(self, entity): pass",
    "decorators": "@a\n@b.c(d=1)\n@e[0]\ndef f(): ...",
    "async": (
        "async def f(xs):\n    async with a as b, c:\n        return [await x async for x in xs]"
    ),
    "walrus": "def f(x):\n    while (y := x()) and [z := 1, z ** 2]:\n        yield y",
    "match": (
        "match x:\n    case {'a': [1, *_, C(k=2)], **rest} if rest: pass\n"
        "    case None | True | -1j | 'text': pass\n    case str() as s: pass\n    case _: pass"
    ),
    "except groups": "try: f()\nexcept* (A, B) as e: raise E from e\nelse: pass\nfinally: g()",
    "parameters": "def f(a, /, b: int = 1, *c, d, e=None, **g) -> 'h': return lambda *, x=1: x",
    "comprehensions": "{k: {*v} for k, v in x if k for _ in [*v, *(i for i in v)]}",
    "slices": "x[1:2, ::3, ...] = y[*a]",
    "global names": "def f():\n    global a\n    def g():\n        nonlocal b\n        del b, c[0]",
    "f-string": "f'{x} {y!r:>10} {{}}' f'' 'plain' f\"{z}\"",
    "f-string, format in a format": "f'{x:>{width}}' f'{x:{w!r}.{p}f}' f'{x:{{}}}'",
    "f-string, empty format": "f'{x:}' f'{x!s:}'",
    "f-string that shows itself": "f'{x = }' f'{x=!r:>5}'",
    "f-string, escapes": "f'\\N{EM DASH}{x}\\n' rf'\\d{x}' f'a\\\n{x}'",
    "f-string over lines": "f'''\n{\nx\n}\n'''",
    "newer Unicode": "x = '\U0001fae8 \u0cf3 \U0001f6dc'",
    "surrogates": "x = '\\ud800'",
    "numbers": "0x_ff, 1e-7, 1e400, 12345678901234567890, 0.1, 1j, -0.0",
    "bytes": "b'\\xff' b'a\\n'",
}
_HASHED = """
import json, sys
from klio_dagster.core.code_version import syntax_hash
json.dump([syntax_hash(source) for source in json.load(sys.stdin)], sys.stdout)
"""
_ROOT = Path(__file__).parents[2]


def _pythons() -> list[Path]:
    """The other supported Pythons of this machine, where pyenv has them."""
    found = (Path.home() / ".pyenv/versions").glob("3.1[123].*/bin/python")
    return sorted(python for python in found if python.exists())


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_a_worker_of_another_python_would_compute_the_same_versions(minor: int):
    ours = {name: syntax_hash(source) for name, source in CORPUS.items()}
    python = next((p for p in _pythons() if f"/3.{minor}." in str(p)), None)
    if python is None:
        pytest.skip(f"there is no Python 3.{minor} here")

    answer = subprocess.run(
        [python, "-c", _HASHED],
        input=json.dumps(list(CORPUS.values())),
        env={"PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert dict(zip(CORPUS, json.loads(answer.stdout), strict=True)) == ours


def test_the_version_of_unchanged_code_stays_from_release_to_release():
    # Another value here makes every asset of every user stale, and belongs into the changelog.
    assert syntax_hash(MEL) == "8240e9488eaea6c0"
