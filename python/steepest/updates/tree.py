"""Nested dicts, lists and tuples of arrays: walked in one order, named by one kind of path."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from steepest import _cpu
from steepest.check import got, shown

Path = tuple[Any, ...]
MAX_DEPTH = 100


def is_branch(node: Any) -> bool:
    """Whether a node of a structure holds others."""
    return isinstance(node, (Mapping, list, tuple))


def _children(node: Any) -> Iterator[tuple[Any, Any]]:
    return iter(node.items()) if isinstance(node, (dict, Mapping)) else enumerate(node)


def flatten(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The leaves of a structure, each with the keys that lead to it.

    Raises
    ------
    ValueError
        For a structure that holds itself, or is nested beyond use.
    TypeError
        For a mapping that makes new arrays at each look-up, as an open .npz file does: nobody would
        see their updates.
    """
    if not is_branch(node):
        yield path, node
        return
    if len(path) == MAX_DEPTH:
        raise ValueError(f"params: nested more than {MAX_DEPTH} deep; does a list hold itself?")
    for key, child in _children(node):
        if isinstance(node, Mapping) and not isinstance(node, dict) and node[key] is not child:
            what = f"this {type(node).__name__} makes a new array at each look-up"
            raise TypeError(f"params: {what}; pass a dict of arrays, dict(...)")
        yield from flatten(child, (*path, key))


class Outline(NamedTuple):
    """The structure of a dict, list or tuple; `_cpu.leaves_of` reads it, too."""

    children: int | tuple[Any, ...]  # how many in a list or tuple; the keys of a dict
    inner: tuple[Outline | None, ...]  # theirs; None for a leaf

    def is_plain_list(self) -> bool:
        """Whether it is of a list or tuple of leaves."""
        return isinstance(self.children, int) and not any(self.inner)


def outline(node: Any) -> Outline | None:
    """The outline of a structure; None for a leaf."""
    if not is_branch(node):
        return None
    inner = tuple(outline(child) for _, child in _children(node))
    return Outline(tuple(node) if isinstance(node, Mapping) else len(node), inner)


def flatten_like(like: Outline | None, node: Any, root: str, path: Path = ()) -> Sequence[Any]:
    """The leaves of ``node``, which must have the structure whose outline is ``like``.

    Raises
    ------
    TypeError, ValueError
        Naming the first place where the structures part.
    """
    if like is None:
        return [node]
    if (leaves := _cpu.leaves_of(like, node)) is not None:
        return leaves
    keys: Sequence[Any]
    hint = "; None in place of each array leaves it alone" if node is None else ""
    if isinstance(like.children, int):
        n, keys = like.children, range(like.children)
        if not isinstance(node, (list, tuple)):
            raise TypeError(f"{written(root, path)}: {got(node)}; expected a list of {n}{hint}")
        if len(node) != n:
            here = f"a list of {len(node)} where the parameters have {n}"
            raise ValueError(f"{written(root, path)}: {here}")
    else:
        keys = like.children
        if not isinstance(node, (dict, Mapping)):
            due = f"a dict with keys {shown(list(keys))}"
            raise TypeError(f"{written(root, path)}: {got(node)}; expected {due}{hint}")
        known = set(keys)
        missing, extra = [k for k in keys if k not in node], [k for k in node if k not in known]
        parts = [f"keys {shown(missing)} are missing"] * bool(missing)
        parts += [f"keys {shown(extra)} are not in the parameters"] * bool(extra)
        if parts:
            raise ValueError(f"{written(root, path)}: {' and '.join(parts)}")
    if not any(like.inner):
        return list(map(node.__getitem__, keys))
    found: list[Any] = []
    for key, within in zip(keys, like.inner, strict=True):
        found += flatten_like(within, node[key], root, (*path, key))
    return found


def rebuild(like: Any, leaf: Callable[[], Any]) -> Any:
    """The structure of ``like`` with ``leaf()`` in place of each leaf, in flatten's order."""
    if not is_branch(like):
        return leaf()
    if isinstance(like, Mapping):
        return {key: rebuild(child, leaf) for key, child in like.items()}
    children = [rebuild(child, leaf) for child in like]
    if hasattr(like, "_fields"):  # a named tuple
        return type(like)(*children)
    return tuple(children) if isinstance(like, tuple) else children


def written(root: str, path: Path) -> str:
    """A path as an error shows it: ``params["layer2"]["w"]``."""

    def key(k: Any) -> str:
        return json.dumps(k, ensure_ascii=False) if isinstance(k, str) else repr(k)

    return root + "".join(f"[{key(k)}]" for k in path)


def joined(path: Path) -> str:
    """A path as a name: ``layer2/w``."""
    return "/".join(str(key) for key in path) or "0"
