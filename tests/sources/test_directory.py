"""The walk meets every file once, enters no loop, opens nothing and leaves out nothing without a word."""

from __future__ import annotations

import os
import pickle
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicom2fhir.errors import UsageError
from dicom2fhir.problems import Code, Problem
from dicom2fhir.sources import directory
from dicom2fhir.sources.base import Found
from dicom2fhir.sources.directory import Paths, Selection
from dicom2fhir.storage import MARKERS

NOBODY = 65534


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(*files: str) -> None:
    for file in files:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_bytes(b"x")


def met(source: Iterable[Found | Problem]) -> list[str]:
    """Paths in the order met; those of problems as `path code`."""
    return [path for each in source for path in (each.paths if isinstance(each, Found) else [_said(each)])]


def _said(problem: Problem) -> str:
    return f"{problem.path} {problem.code.value}"


def walked(*paths: str, **selection: Any) -> list[str]:
    return met(Paths(paths or (".",), Selection(**selection)))


def test_files_and_folders_mixed_in_order_of_name() -> None:
    make("a/2", "a/1", "a/b/3", "a/10", "c")
    assert walked("a", "c") == ["a/1", "a/10", "a/2", "a/b/3", "c"]


@pytest.mark.parametrize(("given_as", "shown"), [(".", "./x/f"), ("x", "x/f"), ("x/", "x/f"), ("./x", "./x/f")])
def test_paths_are_as_the_user_would_type_them(given_as: str, shown: str) -> None:
    make("x/f")
    assert walked(given_as) == [shown]


def test_odd_names_are_ordinary() -> None:
    names = [b"\xff\xfe", b"new\nline", b" ", b"-rf", "名前".encode(), b"*"]
    for name in names:
        Path(os.fsdecode(name)).write_bytes(b"")
    assert sorted(os.fsencode(path) for path in walked()) == sorted(b"./" + name for name in names)


def test_special_files_are_counted_and_never_opened() -> None:
    os.mkfifo("fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert walked() == ["./fifo special-file", "./socket special-file"]
        assert walked("fifo") == ["fifo special-file"]
    assert walked("/dev/null") == ["/dev/null special-file"]


def test_links_are_counted_and_not_followed() -> None:
    make("a/f")
    os.symlink("f", "a/to_file")
    os.symlink(".", "a/to_self")
    os.symlink("nowhere", "a/dangling")
    assert sorted(walked("a")) == ["a/dangling symlink", "a/f", "a/to_file symlink", "a/to_self symlink"]


def test_a_path_that_is_itself_a_link_is_followed() -> None:
    make("a/f")
    os.symlink("a", "link")
    os.symlink("a/f", "file")
    assert walked("link") == ["link/f"]
    assert walked("file") == ["file"]


def test_followed_links_reach_each_file_once() -> None:
    make("a/f", "a/sub/g", "other/h", "other/deep/i")
    os.symlink("..", "a/sub/up")
    os.symlink("f", "a/twin")
    os.symlink("../other", "a/out")
    os.symlink("../other/h", "a/straight")
    os.symlink("../other", "a/z_out")
    paths = walked("a", follow_symlinks=True)
    assert sorted(os.path.realpath(path) for path in paths) == [
        os.path.realpath(path) for path in ("a/f", "a/sub/g", "other/deep/i", "other/h")
    ]


def test_links_that_lead_nowhere_when_followed() -> None:
    make("a/f")
    os.symlink("round", "a/round")
    os.symlink("nowhere", "a/dangling")
    assert sorted(walked("a", follow_symlinks=True)) == ["a/dangling vanished", "a/f", "a/round symlink"]


def test_hard_links_are_two_files() -> None:
    make("a/f")
    os.link("a/f", "a/g")
    for follow in (False, True):
        assert walked("a", follow_symlinks=follow) == ["a/f", "a/g"]


@pytest.mark.parametrize(
    "paths",
    [
        ("a", "a"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("a", "a/b/g"),
        ("a/b/g", "a/b", "a"),
        (".", "a", "link"),
        ("a", "link"),
        ("a", "a-", "a/b"),
        ("./a/../a/", "a", "a/b/../b/g"),
    ],
)
def test_what_two_paths_reach_is_one(paths: tuple[str, ...]) -> None:
    make("a/f", "a/b/g", "a-/h")
    os.mkfifo("a/b/fifo")
    os.symlink("a", "link")
    reached = Counter(os.path.realpath(path.partition(" ")[0]) for path in walked(*paths) if "symlink" not in path)
    expected = {"a/f", "a/b/g", "a/b/fifo"} | ({"a-/h"} if "." in paths or "a-" in paths else set())
    assert reached == Counter(os.path.realpath(path) for path in expected)


def test_paths_apart_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(directory, "_Met")
    make("a/f", "a-/f", "b")
    assert walked("a", "a-", "b") == ["a/f", "a-/f", "b"]


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*.tmp", ["./a/f", "./b/a/f", "./g"]),
        ("a", ["./g", "./h.tmp", "./b/k.tmp"]),
        ("a/", ["./g", "./h.tmp", "./b/k.tmp"]),
        ("b/a", ["./g", "./h.tmp", "./a/f", "./b/k.tmp"]),
        ("b/*", ["./g", "./h.tmp", "./a/f"]),
        ("[gh]*", ["./a/f", "./b/k.tmp", "./b/a/f"]),
        ("G", ["./g", "./h.tmp", "./a/f", "./b/k.tmp", "./b/a/f"]),
        (".*", ["./g", "./h.tmp", "./a/f", "./b/k.tmp", "./b/a/f"]),
    ],
)
def test_exclusion_is_by_name_or_by_path_below_the_path(pattern: str, left: list[str]) -> None:
    make("g", "h.tmp", "a/f", "b/k.tmp", "b/a/f")
    assert sorted(path for path in walked(exclude=(pattern,)) if " " not in path) == sorted(left)


def test_an_excluded_folder_is_one_and_is_not_entered() -> None:
    make("a/x/1", "a/x/2", "a/y")
    assert walked("a", exclude=("x", "*.tmp")) == ["a/x excluded", "a/y"]


def test_exclusion_holds_for_what_is_named() -> None:
    make("a/x", "b.tmp")
    assert walked("a", "b.tmp", exclude=("a", "*.tmp")) == ["a excluded", "b.tmp excluded"]


def test_a_file_left_out_under_one_name_comes_under_another() -> None:
    make("a/x.tmp")
    os.symlink("x.tmp", "a/y")
    assert walked("a", exclude=("*.tmp",), follow_symlinks=True) == ["a/x.tmp excluded", "a/y"]


@pytest.mark.parametrize("marker", MARKERS)
def test_a_folder_with_a_marker_is_our_own_output(marker: str) -> None:
    make("a/f", "a/out/x.json", "a/out/deep/y", f"a/out/{marker}")
    assert walked("a") == ["a/f", "a/out own-output"]
    assert walked("a/out") == ["a/out own-output"]


def test_named_output_is_left_out_wherever_it_is_reached() -> None:
    make("a/f", "a/out.json", "a/.out.json.part", "b/out.json", "a/folder/g")
    os.symlink("../a/out.json", "b/z")
    own = tuple(os.path.abspath(path) for path in ("a/out.json", "a/.out.json.part", "a/folder"))
    shown = ["a/.out.json.part own-output", "a/f", "a/folder own-output", "a/out.json own-output", "b/out.json"]
    assert sorted(walked("a", "b", own_output=own)) == sorted([*shown, "b/z symlink"])
    # the link leads to a file that was counted already
    assert sorted(walked("a", "b", own_output=own, follow_symlinks=True)) == sorted(shown)
    assert walked("a/out.json", own_output=own) == ["a/out.json own-output"]


@pytest.mark.parametrize("path", ["nowhere", "a/f/below", "", "nul\0byte", "dangling"])
def test_a_path_that_does_not_exist_is_the_users_mistake(path: str) -> None:
    make("a/f")
    os.symlink("nowhere", "dangling")
    with pytest.raises(UsageError, match="PATH number 2 of 2") as raised:
        Paths(["a", path])
    assert path == "" or path not in str(raised.value)


def test_what_goes_between_the_check_and_the_walk_has_vanished() -> None:
    make("a/f", "b")
    source = Paths(["a", "b"])
    os.rename("a", "elsewhere")
    os.unlink("b")
    assert met(source) == ["a vanished", "b vanished"]


def test_a_folder_that_goes_during_the_walk_has_vanished() -> None:
    make("a/b/f", "a/g")
    walk = iter(Paths(["a"]))
    assert next(walk) == Found(["a/g"])
    os.rename("a/b", "elsewhere")
    assert met(walk) == ["a/b vanished"]


def test_a_tree_deeper_than_a_path_may_be_long_is_an_error_and_no_crash() -> None:
    fd = os.open(".", os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=fd)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    (problem,) = Paths(["."])
    assert isinstance(problem, Problem)
    assert problem.code is Code.IO_ERROR


def test_a_large_folder_comes_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "SORTED_AT_ONCE", 3)
    make(*(f"a/{n}" for n in range(20)))
    assert sorted(walked("a")) == sorted(f"a/{n}" for n in range(20))


def test_no_descriptor_is_left_by_a_walk_that_is_given_up() -> None:
    make("a/f", "a/g")
    before = len(os.listdir("/proc/self/fd"))
    walk = iter(Paths(["a"]))
    next(walk)
    walk.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == before


def as_nobody(*paths: str) -> list[str]:
    """What a user without rights meets. A fork keeps the working folder, whose parents nobody may enter."""
    if os.getuid() != 0:
        return walked(*paths)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writing, pickle.dumps(walked(*paths)))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        result: list[str] = pickle.load(answer)
    os.waitpid(child, 0)
    return result


@pytest.fixture
def _shut(tmp_path: Path) -> Iterator[None]:
    make("a/shut/f", "a/f", "a/listed/f")
    tmp_path.chmod(0o755)
    Path("a/shut").chmod(0)
    Path("a/listed").chmod(0o744)
    yield
    Path("a/shut").chmod(0o755)
    Path("a/listed").chmod(0o755)


@pytest.mark.usefixtures("_shut")
def test_a_folder_that_may_not_be_read_is_one_problem() -> None:
    if os.getuid() != 0:
        Path("a/listed").chmod(0o444)
    # what may be listed and not entered holds files that only their reading will show to be shut
    assert as_nobody("a") == ["a/f", "a/listed/f", "a/shut permission"]
    assert as_nobody("a/shut") == ["a/shut permission"]


@pytest.mark.usefixtures("_shut")
def test_a_path_behind_a_shut_folder_is_no_usage_error() -> None:
    assert as_nobody("a/shut/f") == ["a/shut/f permission"]


names = st.sampled_from(["a", "b", "c"])
branches = st.recursive(
    st.sampled_from(["file", "fifo", "up", "root", "cousin"]),
    lambda below: st.dictionaries(names, below, max_size=3),
    max_leaves=12,
)


def grow(folder: Path, tree: Any) -> None:
    links = {"up": "..", "root": os.getcwd() + "/t", "cousin": "../a"}
    if isinstance(tree, dict):
        folder.mkdir()
        for name, below in tree.items():
            grow(folder / name, below)
    elif tree == "fifo":
        os.mkfifo(folder)
    elif tree == "file":
        folder.touch()
    else:
        folder.symlink_to(links[tree])


@given(tree=st.dictionaries(names, branches), follow=st.booleans(), twice=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_regular_file_of_any_tree_is_met_exactly_once(tree: Any, follow: bool, twice: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        home = Path(os.path.realpath(os.getcwd())) / str(len(os.listdir(".")))
        home.mkdir()
        patch.chdir(home)
        grow(Path("t"), tree)
        regular = sorted(str(path) for path in home.rglob("*") if path.is_file() and not path.is_symlink())
        source = Paths(["t", "t"] if twice else ["t"], Selection(follow_symlinks=follow))
        found = sorted(os.path.realpath(p) for each in source if isinstance(each, Found) for p in each.paths)
        # links may lead out of the tree, but here they lead to nothing that has files
        assert found == regular
