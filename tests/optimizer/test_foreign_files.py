"""Files that are damaged, of another optimizer, or not ours: refused, and nothing changes."""

from __future__ import annotations

import io
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

import steepest as st
from runs import snapshot
from steepest.updates import saved_file


def other_npz():
    file = io.BytesIO()
    np.savez(file, a=np.ones(3))
    return file.getvalue()


def npy():
    file = io.BytesIO()
    np.save(file, np.ones(3))
    return file.getvalue()


def pickled_npz():
    file = io.BytesIO()
    np.savez(file, json=np.array([object], dtype=object))
    return file.getvalue()


def plain_zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        z.writestr("json", "{}")
    return file.getvalue()


def wrong_json(text):
    def content():
        file = io.BytesIO()
        np.savez(file, json=np.array(text))
        return file.getvalue()

    return content


def ends_early():
    """Its directory says that the JSON is longer than the file: zipfile's EOFError has no text."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z, z.open("json.npy", "w") as entry:
        long = {"descr": "<U200000", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(entry, long)
    content = bytearray(file.getvalue())
    sizes = content.rindex(b"PK\x01\x02") + 20
    content[sizes : sizes + 8] = struct.pack("<II", 2**20, 2**20)
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        bytes,
        lambda: b"text",
        lambda: b"PK\x03\x04broken",
        lambda: b"text before an archive" + other_npz(),
        other_npz,
        npy,
        plain_zip,
        pickled_npz,
        ends_early,
        wrong_json("{"),
        wrong_json("[1]"),
        wrong_json('{"state": {"x": {}}}'),
    ],
)
def test_files_that_are_not_ours(content, tmp_path):
    p = np.ones(3)
    opt = st.Adam(p)
    opt.step(np.ones(3))
    before = snapshot(opt, [p])
    path = tmp_path / "other.npz"
    path.write_bytes(content())
    with pytest.raises(
        ValueError, match=r"other\.npz: not a file that Optimizer\.save wrote: ."
    ) as raised:
        opt.load(path)
    assert "allow_pickle" not in str(raised.value) or content is pickled_npz
    assert snapshot(opt, [p]) == before


def test_of_what_does_not_begin_as_an_archive_no_more_is_read(tmp_path, monkeypatch):
    """A device, /dev/zero say, has no end, and is_zipfile looks for one."""
    (tmp_path / "text").write_bytes(b"text")
    monkeypatch.setattr(zipfile, "is_zipfile", lambda file: pytest.fail("read on"))
    with pytest.raises(ValueError, match="not an .npz archive"):
        st.Adam(np.ones(3)).load(tmp_path / "text")


class Trap:
    """Says where it is unpickled."""

    sprung: list[int] = []

    def __reduce__(self):
        return Trap.sprung.append, (1,)


def test_nothing_in_a_file_is_unpickled(tmp_path):
    opt, trap = st.Adam(np.ones(1)), np.array([Trap()], dtype=object)
    opt.save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as file:
        whole = dict(file)
    for name in ("json", "state/0/exp_avg"):
        np.savez(tmp_path / "trap.npz", **{**whole, name: trap})
        with pytest.raises(ValueError, match=r"trap\.npz: not a file that Optimizer\.save wrote"):
            opt.load(tmp_path / "trap.npz")
        assert Trap.sprung == []


def test_truncated_file(tmp_path):
    p = np.ones(100)
    opt = st.Adam(p)
    opt.save(tmp_path / "run.npz")
    whole = (tmp_path / "run.npz").read_bytes()
    before = snapshot(opt, [p])
    for n in (10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "run.npz").write_bytes(whole[:n])
        with pytest.raises(ValueError, match="not a file that Optimizer.save wrote"):
            opt.load(tmp_path / "run.npz")
        assert snapshot(opt, [p]) == before


def test_a_byte_changed_in_a_file(tmp_path):
    """Either the contents are the same, as the byte is not of them, or ValueError or TypeError."""
    p = np.ones(5)
    opt = st.NAdam([p], ema_decay=0.5)
    opt.step([np.ones(5)])
    path = tmp_path / "run.npz"
    opt.save(path)
    whole, before = path.read_bytes(), snapshot(opt, [p])
    refused = 0
    for i in range(0, len(whole), 3):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0xFF]) + whole[i + 1 :])
        try:
            opt.load(path)
        except (TypeError, ValueError):
            refused += 1
        assert snapshot(opt, [p]) == before
    assert refused > len(whole) // 6
    path.write_bytes(b"PK\x05\x06" + b"\x00" * 8 + b"\xff" * 8 + b"\x00\x00")  # seeks below 0
    with pytest.raises(ValueError, match="not a file that Optimizer.save wrote"):
        opt.load(path)


def test_what_a_damaged_file_holds_is_not_in_the_error(tmp_path):
    """All of it was, where the length of a name was damaged."""
    opt, path = st.Adam(np.ones(2000)), tmp_path / "run.npz"
    opt.save(path)
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"PK\x03\x04", 1) + 27] = 0x20  # a name of 8 KiB and more
    path.write_bytes(whole)
    with pytest.raises(
        ValueError, match="not a file that Optimizer.save wrote: File name"
    ) as raised:
        opt.load(path)
    assert len(str(raised.value)) < len(str(path)) + 300


def test_a_file_of_larger_arrays_is_refused_by_their_headers(tmp_path):
    """They were read whole before their shapes were compared."""
    p = np.ones(3)
    opt, path = st.Adam(p, ema_decay=0.5), tmp_path / "run.npz"
    opt.step(np.ones(3))
    before = snapshot(opt, [p])
    st.Adam(np.ones(500_000), ema_decay=0.5).save(path)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"\['exp_avg'\]: shape \(500000,\) differs from the pre"):
        opt.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000  # of 12 MB
    assert snapshot(opt, [p]) == before


def test_a_file_with_more_json_than_the_optimizer_has(tmp_path):
    """All of it was read: 2.4 GB, of a file of 0.8 MB."""
    p = np.ones(3)
    opt, path = st.Adam(p), tmp_path / "run.npz"
    before = snapshot(opt, [p])
    np.savez_compressed(path, json=np.zeros((), "<U5000000"))
    tracemalloc.start()
    with pytest.raises(
        ValueError, match="wrote: 20,000,128 bytes of JSON; this optimizer's has at"
    ):
        opt.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000 + io.DEFAULT_BUFFER_SIZE - 8192  # of 20 MB; Python 3.14 buffers 128 KB
    assert snapshot(opt, [p]) == before


def test_an_array_that_inflates_to_more_than_its_size(tmp_path):
    p = np.ones(3)
    opt, path = st.Adam(p), tmp_path / "run.npz"
    opt.save(path)
    before = snapshot(opt, [p])
    with np.load(path) as file:
        np.savez_compressed(path, **{**file, "state/0/exp_avg": np.zeros(2_500_000)})
    whole = path.read_bytes()
    path.write_bytes(whole.replace(struct.pack("<I", 20_000_128), struct.pack("<I", 152)))
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("state/0/exp_avg.npy").file_size == 152
    tracemalloc.start()
    with pytest.raises(ValueError, match="not a file that Optimizer.save wrote"):
        opt.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000  # of 20 MB
    assert snapshot(opt, [p]) == before


def test_an_optimizers_own_json_is_never_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_file, "MOST_JSON", 0)
    names = ["\N{WINKING FACE}" * 10_000, "\0" * 10_000]
    opt = st.NAdam(
        [{"params": {name: np.ones(1) for name in names}}, {"params": []}], ema_decay=0.1
    )
    opt.save(tmp_path / "run.npz")
    opt.load(tmp_path / "run.npz")


@pytest.mark.filterwarnings("ignore:Stored array in format 3.0:UserWarning")
def test_a_file_with_arrays_that_save_does_not_write(tmp_path):
    p = np.ones(3)
    opt, path = st.Adam(p), tmp_path / "run.npz"
    opt.step(np.ones(3))
    before = snapshot(opt, [p])
    opt.save(path)
    with np.load(path) as file:
        whole = dict(file)
    later = np.zeros(4000, [("ψ", "f4")])  # in version 3 of the format
    for name, array, message in (
        (
            "state/0/step",
            np.array(7),
            "not a file that Optimizer.save wrote: state/0/step: appears tw",
        ),
        (
            "state/0/exp_avg",
            later,
            "not a file that Optimizer.save wrote: state/0/exp_avg: a later",
        ),
        ("state/0/more", np.zeros(4000), "['more'] not known"),
    ):
        np.savez(path, **{**whole, name: array})
        with pytest.raises(ValueError, match=re.escape(message)):
            opt.load(path)
        assert snapshot(opt, [p]) == before


def test_file_of_another_rule_or_shape(tmp_path):
    st.Adam(np.ones(3)).save(tmp_path / "adam.npz")
    for cls, rule in ((st.SGD, "sgd"), (st.AdamW, "adamw"), (st.RAdam, "radam")):
        with pytest.raises(ValueError, match=f"rule 'adam' differs from the present '{rule}'"):
            cls(np.ones(3), lr=0.1).load(tmp_path / "adam.npz")
    with pytest.raises(ValueError, match=r"shape \(3,\) differs from the present \(4,\)"):
        st.Adam(np.ones(4)).load(tmp_path / "adam.npz")
