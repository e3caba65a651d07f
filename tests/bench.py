"""How fast the command is and how much memory it takes, beside what others need for the same files: `make bench`.

Everything runs on one generated tree (`bench_tree`), warm, in turn and several times; whole processes are timed.
Ratios are what counts: machines differ, and so do minutes.

    python tests/bench.py --show table,stages,slow     what takes three minutes
    python tests/bench.py --show million --large 1000000     what `make bench` shows besides, and 5 GB of disk
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from bench_tree import decline_some, make_large_tree, make_tree
from slow_storage import DELAY, FIXED

from dicom2fhir import pipeline
from dicom2fhir.ahead import MOST
from dicom2fhir.dicom.records import Scope
from dicom2fhir.pipeline import Options, reading_task
from dicom2fhir.sinks.choose import choose
from dicom2fhir.sources.directory import Paths
from dicom2fhir.workers import Limits, read_all

DECLINED = 20
"""One file in so many is declined by the scanner."""
TAGS = """
0008,0005 0008,0016 0008,0018 0008,0020 0008,0030 0008,0050 0008,0060 0008,0090 0008,1030 0008,103e
0010,0010 0010,0020 0010,0030 0010,0040 0018,0015 0018,1030 0020,000d 0020,000e 0020,0011 0020,0013
"""
BARE = """
import os, sys
for line in sys.stdin:
    fd = os.open(line[:-1], os.O_RDONLY)
    os.read(fd, 16384)
    os.close(fd)
"""
WALK = """
import sys
from dicom2fhir.dicom.header import quiet, read_file
from dicom2fhir.dicom.records import Scope
quiet()
scope = Scope()
for line in sys.stdin:
    assert read_file(line[:-1], scope)[0] == "header"
"""
DCMREAD = """
import sys, pydicom
for line in sys.stdin:
    pydicom.dcmread(line[:-1], stop_before_pixels=True)
"""


class Tree(NamedTuple):
    """A folder of files, the same with some that the scanner declines, and where output goes."""

    root: Path
    declined: Path
    output: Path
    paths: list[str]


class Run(NamedTuple):
    """How long something took, and the peak of its process tree: resident, and with shared pages counted once."""

    seconds: float
    resident: int = 0
    proportional: int = 0


class TreeMemory(threading.Thread):
    """Samples the memory of a process and all below it."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._done = pid, threading.Event()
        self.resident = self.proportional = 0

    def run(self) -> None:
        while not self._done.wait(0.05):
            rolls = [self._rollup(pid) for pid in self._family()]
            self.resident = max(self.resident, sum(roll.get("Rss", 0) for roll in rolls))
            self.proportional = max(self.proportional, sum(roll.get("Pss", 0) for roll in rolls))

    def _family(self) -> list[int]:
        family = [self._pid]
        for pid in family:
            try:
                family += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            except OSError:
                continue
        return family

    def _rollup(self, pid: int) -> dict[str, int]:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        except OSError:
            return {}
        return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}

    def stop(self) -> None:
        self._done.set()
        self.join()


# What is timed


def reading(program: str, tree: Tree) -> Run:
    """A program that gets the paths on standard input, in one process."""
    began = time.perf_counter()
    text = "\n".join(tree.paths) + "\n"
    subprocess.run([sys.executable, "-c", program], input=text, text=True, check=True, env=environment(tree.output))
    return Run(time.perf_counter() - began)


def scanning(tree: Tree) -> Run:
    """GDCM's scanner for twenty tags; it converts nothing."""
    tags = [part for tag in TAGS.split() for part in ("-t", tag)]
    began = time.perf_counter()
    subprocess.run(["gdcmscanner", "-d", str(tree.root), "-r", *tags], stdout=subprocess.DEVNULL, check=True)
    return Run(time.perf_counter() - began)


def converting(root: Path, files: int, output: Path, *options: str) -> Run:
    """A whole conversion to NDJSON with default options, counted."""
    command = [sys.executable, "-m", "dicom2fhir", "convert", str(root), "--format", "ndjson", "-q", *options]
    began = time.perf_counter()
    process = subprocess.Popen([*command, "-o", str(output / "out.ndjson")], env=environment(output))
    memory = TreeMemory(process.pid)
    memory.start()
    status = process.wait()
    seconds = time.perf_counter() - began
    memory.stop()
    with (output / "out.ndjson").open("rb") as lines:
        written = sum(line.count(b'"sopClass":') for line in lines)
    (output / "out.ndjson").unlink()
    if status != 0 or written != files:
        raise SystemExit(f"the conversion ended with {status} and wrote {written} of {files} instances")
    return Run(seconds, memory.resident, memory.proportional)


def environment(work: Path) -> dict[str, str]:
    """This process's, with compiled modules as an installed package has them."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONPYCACHEPREFIX": str(work / "compiled"),
    }


def gdcm() -> bool:
    """Whether GDCM's scanner is there, installed if that can be done."""
    installed = subprocess.run([Path(__file__).with_name("gdcm.sh")], stdout=subprocess.DEVNULL, check=False)
    return installed.returncode == 0


# The table


def table(tree: Tree, runs: int) -> None:
    """Everything side by side, in turn."""
    files = len(tree.paths)
    rows: dict[str, Callable[[], Run]] = {
        "bare open, read 16 kB, close, one process": lambda: reading(BARE, tree),
        "the walk alone, one process": lambda: reading(WALK, tree),
        "plain pydicom.dcmread, one process": lambda: reading(DCMREAD, tree),
        "gdcmscanner, 20 tags, converts nothing": lambda: scanning(tree),
        "convert": lambda: converting(tree.root, files, tree.output),
        f"convert, 1 file in {DECLINED} declined": lambda: converting(tree.declined, files, tree.output),
        "convert --reader pydicom": lambda: converting(tree.root, files, tree.output, "--reader", "pydicom"),
    }
    if not gdcm():
        print("gdcmscanner cannot be installed here and is left out")
        rows = {name: row for name, row in rows.items() if "gdcm" not in name}
    taken: dict[str, list[Run]] = {name: [] for name in rows}
    for turn in range(runs + 1):
        for name, row in rows.items():
            if turn or name.startswith(("convert", "bare")):  # the first turn warms caches and compiles
                run = row()
                taken[name] += [run] if turn else []
    print_table(files, taken)


def print_table(files: int, taken: dict[str, list[Run]]) -> None:
    """Medians, and the median of the ratios to `convert` turn by turn."""
    print(f"{'':44} {'s':>8} {'best':>8} {'files/s':>9} {'x convert':>10} {'peak MB':>8} {'shared once':>12}")
    for name, all_runs in taken.items():
        seconds = [run.seconds for run in all_runs]
        middle = statistics.median(seconds)
        ratios = [run.seconds / own.seconds for run, own in zip(all_runs, taken["convert"], strict=True)]
        memory = (
            f"{max(run.resident for run in all_runs) / 1e6:8.0f} {max(r.proportional for r in all_runs) / 1e6:12.0f}"
        )
        print(
            f"{name:44} {middle:8.2f} {min(seconds):8.2f} {files / middle:9.0f} {statistics.median(ratios):10.2f}"
            f" {memory if all_runs[0].resident else ''}",
            flush=True,
        )


# Where the time goes


def stages(tree: Tree) -> None:
    """What processors do for a conversion, by stage, and what a file costs its reader, by way."""
    print("processor seconds of one conversion, by stage (stages overlap, and two processors share them):")
    for name, seconds in by_stage(tree).items():
        print(f"{seconds:7.2f} s  {name}")
    print("a file in its reading process:")
    for name, micro in ways(tree):
        print(f"{micro:7.1f} us  {name}")


IMPORTS = "import dicom2fhir.cli.app, dicom2fhir.pipeline, dicom2fhir.sinks.ndjson, dicom2fhir.fhir.r4"
REFEREE = f"{IMPORTS}; from dicom2fhir.fhir.rehearsal import rehearse; rehearse('r4')"


def by_stage(tree: Tree) -> dict[str, float]:
    """Processor seconds of each stage."""
    imports, referee = (started(program, tree.output) for program in (IMPORTS, REFEREE))
    spent = {"starting: imports": imports, "starting: the referee's models": referee - imports}

    def timed(stage: str, deed: Callable[..., None]) -> Callable[..., None]:
        def watched(*arguments: Any) -> None:
            own, others = time.thread_time(), of_children()
            deed(*arguments)
            spent[f"{stage}: this process"] = time.thread_time() - own
            spent[f"{stage}: other processes, their start included"] = of_children() - others

        return watched

    sink = choose(str(tree.output / "out.ndjson"), "ndjson")
    with (
        patch.object(pipeline._Run, "read", timed("reading", pipeline._Run.read)),
        patch.object(pipeline._Run, "write", timed("writing", pipeline._Run.write)),
    ):
        pipeline.convert(Paths([str(tree.root)]), sink, Options(jobs=os.cpu_count() or 1))
    (tree.output / "out.ndjson").unlink()
    return spent


def started(program: str, work: Path) -> float:
    """Processor seconds of a process that runs a program: the least of several."""
    taken = []
    for _ in range(5):
        before = of_children()
        subprocess.run([sys.executable, "-c", program], check=True, env=environment(work))
        taken.append(of_children() - before)
    return min(taken)


def of_children() -> float:
    """Processor seconds of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ways(tree: Tree) -> list[tuple[str, float]]:
    """Microseconds of each way to a record: the least of several, so that a busy machine says the same."""
    from dicom2fhir.dicom import header
    from dicom2fhir.dicom.predict import Predictions

    scope = Scope()
    chosen = tree.paths[:: max(1, len(tree.paths) // 4000)][:400] + tree.paths[:400]

    def unpredicted(path: str) -> None:
        header._readers["auto"]._predictions = Predictions()
        header.read_file(path, scope)

    def new(path: str) -> None:
        header._readers.clear()
        header.read_file(path, scope)

    return [
        ("bare open, fstat, read, close", least(bare, chosen)),
        ("predicted by its series' layout", least(lambda path: header.read_file(path, scope), chosen)),
        ("walked, its context known", least(unpredicted, chosen)),
        ("walked, with a new context", least(new, chosen)),
        ("read by pydicom", least(lambda path: header.read_file(path, scope, "pydicom"), chosen[:200])),
    ]


def bare(path: str) -> None:
    """Nothing but the system calls."""
    fd = os.open(path, os.O_RDONLY)
    os.fstat(fd)
    os.pread(fd, 16384, 0)
    os.close(fd)


def least(deed: Callable[[str], object], paths: list[str]) -> float:
    """Microseconds a path, each path's least of several."""
    best = [1.0] * len(paths)
    for _ in range(6):
        for number, path in enumerate(paths):
            began = time.perf_counter()
            deed(path)
            best[number] = min(best[number], time.perf_counter() - began)
    return statistics.mean(best) * 1e6


# Slow storage, and a lot of files


def slow_storage(tree: Tree, files: int) -> None:
    """Reading with five milliseconds added to every open: so many processes, each fetching so many files at once."""
    print(f"{files} files, {DELAY * 1000:.0f} ms more an open, reading alone (start of the processes included);")
    print("the ideal is the delay alone, shared by all files that are fetched at once:")
    print(f"{'--jobs':>8} {'ahead':>8} {'s':>8} {'ideal':>8} {'share of the ideal':>20} {'files/s':>9}")
    for jobs, ahead in ((1, 1), (2, 1), (2, 4), (2, 8), (2, 16), (2, 32), (2, 64), (4, 16), (8, 4), (32, 1), (2, None)):
        seconds = read_slowly(tree.paths[:files], jobs, ahead)
        ideal = files * DELAY / (jobs * (ahead or MOST))
        print(
            f"{jobs:8} {ahead or 'auto':>8} {seconds:8.2f} {ideal:8.2f} {ideal / seconds:20.0%} {files / seconds:9.0f}",
            flush=True,
        )


def read_slowly(paths: list[str], jobs: int, ahead: int | None) -> float:
    """Seconds of reading files that lie far away; `ahead` None: each process finds out how many it fetches at once."""
    task = reading_task(Options())
    task = replace(task, prepare="slow_storage:prepare", fetch="slow_storage:fetch_file")
    if ahead == 1:
        task = replace(task, fetch="", reader="slow_storage:read_file")
    os.environ.pop(FIXED, None)
    if ahead:
        os.environ[FIXED] = str(ahead)
    began = time.perf_counter()
    read = sum(reading[3] for _, reading in read_all([paths], task, Limits(), jobs) if reading[0] == "run")
    if read != len(paths):
        raise SystemExit(f"{read} of {len(paths)} files were read")
    return time.perf_counter() - began


def million(work: Path, files: int) -> None:
    """Many header-only files beside 20,000 of their kind: memory must not grow, nor the time of each."""
    for count in (20_000, files):
        root = work / f"large{count}"
        make_large_tree(root, count)
        paths = [str(path) for path in root.rglob("IM*")]
        size = sum(map(os.path.getsize, paths[:1000])) / len(paths[:1000])
        tree = Tree(root, root, work, paths)
        runs = [converting(root, count, work) for _ in range(3 if count <= 20_000 else 1)]
        run = min(runs)
        print(
            f"{count:9} files of {size / 1000:.1f} kB: {run.seconds:8.2f} s, {run.seconds / count * 1e6:7.1f} us each, "
            f"peak {run.resident / 1e6:.0f} MB resident, {run.proportional / 1e6:.0f} MB with shared pages once",
            flush=True,
        )
        for name, other in {"bare read": lambda tree: reading(BARE, tree), "gdcmscanner": scanning}.items():
            if name != "gdcmscanner" or gdcm():
                seconds = other(tree).seconds
                print(f"{'':9} {name}: {seconds:.2f} s; convert takes {run.seconds / seconds:.2f} of it", flush=True)
        shutil.rmtree(root)


def main() -> None:
    """Make the tree, show what is asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--files", type=int, default=20_000)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--slow-files", type=int, default=2_000)
    options.add_argument("--large", type=int, default=1_000_000)
    options.add_argument("--show", default="table,stages,slow")
    options.add_argument("--work", type=Path, help="where the trees are made, on the disk to be measured")
    chosen = options.parse_args()
    show = set(chosen.show.split(","))
    work = Path(tempfile.mkdtemp(prefix="dicom2fhir-bench-", dir=chosen.work))
    try:
        if show & {"table", "stages", "slow"}:
            show_tree(work, chosen, show)
        if "million" in show:
            million(work, chosen.large)
    finally:
        shutil.rmtree(work)


def show_tree(work: Path, chosen: argparse.Namespace, show: set[str]) -> None:
    """What is measured on the one tree."""
    paths = make_tree(work / "tree", chosen.files)
    decline_some(work / "tree", paths, work / "declined", DECLINED)
    tree = Tree(work / "tree", work / "declined", work, paths)
    size = sum(os.path.getsize(path) for path in paths) / len(paths)
    print(f"{len(paths)} files of {size / 1000:.1f} kB, {os.cpu_count()} processors", flush=True)
    if "table" in show:
        table(tree, chosen.runs)
    if "stages" in show:
        stages(tree)
    if "slow" in show:
        slow_storage(tree, chosen.slow_files)


if __name__ == "__main__":
    main()
