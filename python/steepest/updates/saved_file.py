"""An optimizer's state dict as one .npz file."""

from __future__ import annotations

import errno
import functools
import io
import json
import os
import sys
from typing import IO, Any

import numpy as np

from steepest import check
from steepest.updates.checkpoint import arrays_of, load_state_dict, state_dict
from steepest.updates.parameters import Parameters

HEADER = 10_000  # bytes of a .npy file beside its array, at most
SMALL = 2**16  # bytes of such a file that is read at once
MOST_JSON = 2**24  # bytes; enough for the errors that say how another optimizer's file differs


def _file(path: Any) -> str:
    try:
        return os.fsdecode(path)
    except TypeError:
        raise TypeError(f"path: {check.got(path)}; expected the name of a file") from None


def save(opt: Parameters, path: str | os.PathLike[str]) -> None:
    """Write a file beside the target, then move it there."""
    target = os.path.realpath(_file(path))  # a link keeps leading to the file
    if os.path.exists(target) and not os.path.isfile(target) and not os.path.isdir(target):
        raise ValueError(f"path: {target!r} is a device or pipe, which a file cannot replace")
    # A random name. One made from the target's might be too long; one made from the process and
    # thread might be in use, by a signal's handler or by another machine in the same folder.
    beside = f"{os.path.dirname(target)}/.{os.urandom(8).hex()}.part"
    handled = sys.exc_info()[1]  # saving after an error is not to raise that one
    try:
        with opt._lock, open(beside, "wb") as file:
            _write(opt, file)
            file.flush()
            _sync(file)  # or a power failure may leave neither the old file nor the new
        if os.path.exists(target):
            os.chmod(beside, os.stat(target).st_mode & 0o777)
        os.replace(beside, target)
    except BaseException as error:
        if os.path.exists(beside):
            os.remove(beside)
        # An error while writing, as on a full disk, names no file.
        if isinstance(error, OSError) and error.errno and error.filename in (beside, None):
            raise OSError(error.errno, error.strerror, target) from None
        while error.__context__ not in (None, handled):
            error = error.__context__
        if not isinstance(error, Exception):  # Ctrl-C, of which zipfile makes a ValueError
            raise error from None
        raise


def _write(opt: Parameters, file: IO[bytes]) -> None:
    """The state dict as an .npz file: arrays as themselves, the rest as JSON."""
    whole = state_dict(opt, copy=False)
    contents: dict[str, Any] = {}
    for i, entry in whole["state"].items():
        arrays = {k: opt._backend.to_host(v) for k, v in entry.items() if hasattr(v, "shape")}
        contents.update((f"state/{i}/{name}", array) for name, array in arrays.items())
        whole["state"][i] = {k: v for k, v in entry.items() if k not in arrays}
    np.savez(file, json=np.array(json.dumps(whole)), **contents)


def _sync(file: IO[bytes]) -> None:
    """Wait until the file is on the disk, where the file system can."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise


@functools.lru_cache(maxsize=256)
def _header(dtype: np.dtype[Any], shape: tuple[int, ...], fortran_order: bool) -> bytes:
    written = io.BytesIO()
    of = {"descr": dtype.str, "fortran_order": fortran_order, "shape": shape}
    np.lib.format.write_array_header_1_0(written, of)
    return written.getvalue()


def _in_file(file: Any, key: str, due: Any) -> Any:
    """An array of a file.

    One that is larger than the array due comes as a stand-in without memory: it will be refused by
    its shape and dtype.
    """
    name = f"{key}.npy"
    size, expected = file.zip.getinfo(name).file_size, getattr(due, "nbytes", 0)
    if size <= SMALL and isinstance(due, np.ndarray):
        # Comparing headers takes a fraction of the time in which NumPy parses one.
        header = _header(due.dtype, due.shape, due.flags.fnc)
        with file.zip.open(name) as entry:
            content = entry.read(size)  # with a size, so that it inflates no more than that
        if content.startswith(header) and size == len(header) + expected:
            flat = np.frombuffer(content, due.dtype, offset=len(header))
            return flat.reshape(due.shape, order="F" if due.flags.fnc else "C")
    if size <= HEADER + expected:
        return file[key]
    with file.zip.open(name) as entry:
        if np.lib.format.read_magic(entry) != (1, 0):
            raise ValueError(f"{key}: a later version of .npy")
        shape, _, dtype = np.lib.format.read_array_header_1_0(entry)
    if due is not None and (shape, dtype) == (due.shape, due.dtype):
        raise ValueError(f"{key}: larger than its shape")
    return np.broadcast_to(np.zeros((), dtype), shape)


def _check_json(opt: Parameters, file: Any) -> None:
    """Refuses JSON that is larger than this optimizer's could be."""
    size, most = file.zip.getinfo("json.npy").file_size, MOST_JSON
    for group in opt._groups:  # 4 bytes a character; an escaped one is 12 characters
        most += 4 * (10_000 + sum(1000 + 12 * len(name) for name in group.param_names))
    if size > most:
        raise ValueError(f"{size:,} bytes of JSON; this optimizer's has at most {most:,}")


def _read(opt: Parameters, opened: IO[bytes]) -> dict[str, Any]:
    """The state dict in a file of ``save``."""
    if opened.read(4) != b"PK\x03\x04":  # np.load would advise allow_pickle=True
        raise ValueError("not an .npz archive")
    opened.seek(0)
    with opt._lock:  # another thread may be adding a group
        due = {
            f"state/{i}/{name}": array
            for i in range(len(opt._views))
            for name, array in arrays_of(opt, i).items()
        }
    with np.load(opened, allow_pickle=False) as file:
        _check_json(opt, file)
        whole: dict[str, Any] = json.loads(str(file["json"]))
        state = {int(i): entry for i, entry in whole["state"].items()}
        for key in file.files:
            if key == "json":
                continue
            _, i, name = key.split("/", 2)
            if name in state[int(i)]:
                raise ValueError(f"{key}: appears twice")
            state[int(i)][name] = _in_file(file, key, due.get(key))
    return {**whole, "state": state}


def load(opt: Parameters, path: str | os.PathLike[str]) -> None:
    """Read a file of ``save``."""
    name = _file(path)
    with open(name, "rb") as opened:
        try:
            whole = _read(opt, opened)
        except Exception as error:  # of the zip, the arrays or the JSON in it
            why = str(error) or type(error).__name__  # EOFError says no more
            why = why[:200]  # zipfile quotes up to 64 KiB of a damaged file
            raise ValueError(f"{name}: not a file that Optimizer.save wrote: {why}") from error
    load_state_dict(opt, whole)
