"""The thread policy, the container's quota, and forks.

What holds for a whole process is tried in a process of its own.
"""

import ctypes
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from fresh_process import BIG, linux, openmp, run

import steepest as st
from steepest import _cpu, system

pytestmark = pytest.mark.usefixtures("settings_stay")

# --- how many ---


@openmp
def test_set_num_threads_decides():
    for n in (1, 2, 3, 8):
        st.set_num_threads(n)
        assert st.get_num_threads() == n == len(_cpu.probe_team(BIG))
        assert st.info()["threads limited by"] == "set_num_threads"
    st.set_num_threads(None)
    assert st.get_num_threads() == _cpu.thread_limits()["threads"]


@openmp
def test_what_others_ask_of_openmp_is_a_limit():
    library = ctypes.CDLL(_cpu.__file__)  # finds what it is linked to
    before, named = library.omp_get_max_threads(), _cpu.thread_limits()["openmp"]
    library.omp_set_num_threads(before + 3)
    try:
        assert _cpu.thread_limits()["openmp"] == before + 3
    finally:
        library.omp_set_num_threads(before)
    assert _cpu.thread_limits()["openmp"] == named


@pytest.mark.parametrize(
    "n, error, message",
    [
        (
            0,
            ValueError,
            "^n: 0 is not allowed; expected a whole number, at least 1, at most 1024$",
        ),
        (
            1025,
            ValueError,
            "^n: 1025 is not allowed; expected a whole number, at least 1, at most",
        ),
        (10**30, ValueError, "^n: 1000000000000000000000000000000 is not allowed"),
        (
            2.0,
            TypeError,
            r"^n: 2\.0 is a float; expected a whole number, at least 1, at most 1024$",
        ),
        (
            True,
            TypeError,
            "^n: True is a bool; expected a whole number, at least 1, at most 1024$",
        ),
    ],
)
def test_bad_number_of_threads(n, error, message):
    st.set_num_threads(2)
    with pytest.raises(error, match=message):
        st.set_num_threads(n)
    assert st.get_num_threads() == (2 if _cpu.openmp else 1)


@openmp
def test_small_work_gets_one_thread_and_more_work_more():
    st.set_num_threads(8)
    grain = _cpu.bytes_per_thread()
    assert _cpu.threads_for(0) == _cpu.threads_for(12 * grain - 1) == 1
    assert [_cpu.threads_for(k * grain) for k in (12, 100)] == [8, 8]
    st.set_num_threads(40)
    assert [_cpu.threads_for(k * grain) for k in (11, 12, 20, 100)] == [1, 12, 20, 40]
    _cpu.set_bytes_per_thread(1)
    assert _cpu.threads_for(17) == 17


@openmp
def test_no_team_where_the_last_one_waited_longer_than_it_gains():
    st.set_num_threads(2)
    grain = _cpu.bytes_per_thread()
    assert _cpu.expected_wait() == 0 and _cpu.threads_now(20 * grain) == 2
    _cpu.note_wait(1.0)
    assert _cpu.expected_wait() == 1
    assert _cpu.threads_now(BIG) == 2  # seconds of work gain more
    teams = [_cpu.threads_now(20 * grain) for _ in range(200)]
    first = teams.index(2)  # tried again after some time
    assert 10 < first and set(teams[:first]) == {1} and set(teams[first:]) == {2}
    _cpu.note_wait(1.0)  # no better
    assert _cpu.threads_now(20 * grain) == 1
    _cpu.note_wait(0.0)
    assert _cpu.threads_now(20 * grain) == 2


@openmp
def test_a_team_for_little_work_while_teams_gain_more_than_they_wait():
    st.set_num_threads(2)
    grain = _cpu.bytes_per_thread()
    _cpu.reset_account()
    assert [_cpu.threads_now(k * grain) for k in (3, 4, 11)] == [1, 2, 2]
    _cpu.settle(8 * grain, 2, 4e-3)
    teams = [_cpu.threads_now(8 * grain) for _ in range(1000)]
    first = teams.index(2)  # tried again once the steps before have paid for it
    assert 100 < first and set(teams[:first]) == {1} and set(teams[first:]) == {2}
    for _ in range(100):
        _cpu.settle(8 * grain, 2, 0.0)
    for team in (2, 1):  # what is full outlasts a chance wait, but not two
        _cpu.settle(8 * grain, 2, 4e-3)
        assert _cpu.threads_now(8 * grain) == team
    before = _cpu.teams_account()
    _cpu.settle(8 * grain, 1, 1.0)  # no team
    _cpu.settle(12 * grain, 2, 1.0)  # of more work
    assert _cpu.teams_account() == before < 0


@openmp
def test_a_step_settles_what_its_team_gained():
    st.set_num_threads(2)
    work = 4 * _cpu.bytes_per_thread()
    p, g = np.zeros(work // 8, np.float32), np.ones(work // 8, np.float32)
    opt = st.SGD(p, lr=0.1)
    _cpu.reset_account()
    before = _cpu.teams_account()
    opt.step(g)
    assert _cpu.teams_account() != before
    _cpu.settle(work, 2, 9.0)
    before = _cpu.teams_account()
    opt.step(g)  # by one thread, which pays in
    assert before < _cpu.teams_account() < 0


@openmp
def test_a_region_notes_how_long_it_waited():
    st.set_num_threads(2)
    _cpu.note_wait(5.0)
    assert len(_cpu.probe_team(BIG)) == 2
    assert 0 <= _cpu.expected_wait() < 5


@openmp
def test_no_teams_inside_teams():
    st.set_num_threads(3)
    assert [nested for _, nested, _ in _cpu.probe_team(BIG)] == [1, 1, 1]


@openmp
@linux
def test_omp_num_threads_is_respected():
    assert run("print(st.get_num_threads(), team())", OMP_NUM_THREADS="1") == ["1", "1"]
    code = "print(st.get_num_threads(), len(os.sched_getaffinity(0)))"
    threads, processors = run(code, OMP_NUM_THREADS="100000")
    assert threads == processors
    assert run("print(st.info()['threads limited by'])", OMP_NUM_THREADS="1") == ["OMP_NUM_THREADS"]


@openmp
@linux
def test_thread_limit_of_openmp_is_respected():
    assert run("print(st.get_num_threads(), team())", OMP_THREAD_LIMIT="1") == ["1", "1"]


@openmp
@linux
def test_affinity_is_respected_and_asked_anew():
    """Narrowed and widened after the load: OpenMP itself would keep what it saw first."""
    code = """
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(every)})
    print(st.get_num_threads(), team())
    os.sched_setaffinity(0, every)
    print(st.get_num_threads() == len(every), team() == len(every))
    """
    assert run(code) == ["1", "1", "True", "True"]
    narrow = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})\n"
    late = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os; every = os.sched_getaffinity(0)\n" + narrow + "import steepest as st\n"
            "n = st.get_num_threads(); os.sched_setaffinity(0, every)\n"
            "print(n, st.get_num_threads() == len(every))",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_PROC_BIND": "false"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert late.stdout.split() == ["1", "True"], late.stderr


# --- the container's quota ---


def machine(root, groups, files):
    """A folder with proc/self/cgroup and control groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return _cpu.thread_limits(str(root))["quota"]


V1 = "5:memory:/a/b\n3:cpu,cpuacct:/a/b\n1:name=systemd:/\n"


@pytest.mark.parametrize(
    "groups, files, quota",
    [
        ("0::/\n", {"cpu.max": "300000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 0),
        ("0::/\n", {}, 0),
        ("", {"cpu.max": "300000 100000\n"}, 0),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 2),  # rounded down
        ("0::/\n", {"cpu.max": "5000 100000\n"}, 1),  # but at least one
        ("0::/\n", {"cpu.max": "10000000000000 1000\n"}, _cpu.max_threads),  # as good as none
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000\n"}, 4),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "200000 100000\n"}, 2),
        ("0::/a/b\n", {"a/b/cpu.max": "200000 100000\n", "a/cpu.max": "800000 100000\n"}, 2),
        ("0::/a/b\n", {"a/c/cpu.max": "100000 100000\n"}, 0),  # a sister's
        ("0::/a\n", {"unified/a/cpu.max": "100000 50000\n"}, 2),
        (V1, {"cpu/a/b/cpu.cfs_quota_us": "-1\n", "cpu/a/b/cpu.cfs_period_us": "100000\n"}, 0),
        (V1, {"cpu/a/cpu.cfs_quota_us": "150000\n", "cpu/a/cpu.cfs_period_us": "50000\n"}, 3),
        (
            V1,
            {
                "cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        ("5:memory:/a\n", {"cpu/a/cpu.cfs_quota_us": "1\n", "cpu/a/cpu.cfs_period_us": "1\n"}, 0),
        ("0::/\n", {"cpu.max": "garbage\n"}, 0),
        ("no colons\n0::/\n", {"cpu.max": "300000 100000\n"}, 3),
    ],
)
def test_quota_of_the_container(tmp_path, groups, files, quota):
    assert machine(tmp_path, groups, files) == quota


@openmp
def test_the_least_limit_decides(tmp_path):
    machine(tmp_path, "0::/\n", {"cpu.max": "100000 100000\n"})
    limits = _cpu.thread_limits(str(tmp_path))
    assert limits["quota"] == limits["threads"] == 1
    assert system._reason({**limits, "affinity": 4, "openmp": 0}) == "the container's CPU quota"
    st.set_num_threads(5)
    assert _cpu.thread_limits(str(tmp_path))["threads"] == 5


@pytest.mark.skipif(_cpu.openmp, reason="built with OpenMP")
def test_without_openmp_there_is_one_thread_whatever_is_set():
    st.set_num_threads(3)
    assert st.get_num_threads() == st.info()["threads"] == 1
    assert st.info()["threads limited by"] == "a build without OpenMP"


# --- forks ---

FORK = """
import warnings
warnings.simplefilter("ignore")  # 3.12 warns of any fork beside threads; this one is the point
def forked():
    child = os.fork()
    if child == 0:
        os._exit(team())
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status)
"""


@openmp
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_child_of_a_fork_runs_with_a_team_of_its_own():
    code = FORK + "st.set_num_threads(3)\nprint(team(), forked(), team(), forked())"
    assert run(code) == ["3", "3", "3", "3"]


@openmp
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_child_runs_whichever_thread_forked():
    code = FORK + textwrap.dedent("""
    from concurrent.futures import ThreadPoolExecutor
    st.set_num_threads(3)
    with ThreadPoolExecutor(1) as other:
        print(team(), other.submit(forked).result(), other.submit(team).result())
        print(forked(), other.submit(forked).result(), team())
    """)
    assert run(code) == ["3"] * 6


@openmp
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_forks_while_other_threads_are_in_regions():
    code = FORK + textwrap.dedent("""
    import threading
    st.set_num_threads(2)
    stop = threading.Event()
    def work():
        while not stop.is_set():
            team()
    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers: worker.start()
    codes = {forked() for _ in range(30)}
    stop.set()
    for worker in workers: worker.join()
    print(*codes)
    """)
    assert run(code) == ["2"]


@openmp
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_optimizer_goes_on_in_the_child_and_in_the_parent():
    code = FORK.replace("team()", "step()") + textwrap.dedent("""
    import numpy as np
    st.set_num_threads(3)
    p, g = np.zeros(1 << 20), np.ones(1 << 20)
    opt = st.SGD(p, lr=1.0)
    def step():
        opt.step(g)
        return int(-p.min()) if p.min() == p.max() else 99
    print(step(), forked(), step())
    """)
    assert run(code) == ["1", "2", "2"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_fork_waits_for_a_step_of_another_thread():
    """The child steps the same optimizer, and finds every element after the same step."""
    code = FORK.replace("team()", "whole()") + textwrap.dedent("""
    import threading
    import numpy as np
    p, g = np.zeros(1 << 21), np.ones(1 << 21)
    opt = st.SGD(p, lr=1.0)
    stop = threading.Event()
    def work():
        while not stop.is_set():
            opt.step(g)
    def whole():
        opt.step(g)
        return int(p.min() == p.max() == -opt.step_count)
    worker = threading.Thread(target=work)
    worker.start()
    codes = {forked() for _ in range(50)}
    stop.set()
    worker.join()
    print(*codes)
    """)
    assert run(code) == ["1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_fork_by_a_thread_that_holds_the_optimizer():
    """The lock is still held in the child, and let go there."""
    code = FORK.replace("team()", "held(0.2)") + textwrap.dedent("""
    import threading
    import numpy as np
    opt = st.SGD(np.zeros(3), lr=1.0)
    def held(seconds):
        other = threading.Thread(target=lambda: opt.step(np.ones(3)), daemon=True)
        other.start()
        other.join(seconds)
        return int(other.is_alive())
    with opt._lock:
        with opt._lock:
            print(forked())
            child = os.fork()
    if child == 0:
        os._exit(held(20))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), held(20), opt.step_count)
    """)
    assert run(code) == ["1", "0", "0", "1"]
