"""Nested dicts, lists and tuples of arrays: walked in one order, named by one kind of path."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

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


def flatten_like(like: Any, node: Any, root: str, path: Path = ()) -> list[Any]:
    """The leaves of ``node``, which must have the structure of ``like``, made by ``rebuild``.

    Raises
    ------
    TypeError, ValueError
        Naming the first place where the structures part.
    """
    # A step has no time to ask whether an array is a Mapping, nor for paths that no error shows.
    if not isinstance(like, (dict, list, tuple)):
        return [node]
    if isinstance(like, dict):
        if not isinstance(node, (dict, Mapping)):
            keys = f"a dict with keys {shown(list(like))}"
            raise TypeError(f"{written(root, path)}: {got(node)}; expected {keys}")
        missing, extra = [k for k in like if k not in node], [k for k in node if k not in like]
        if missing or extra:
            parts = [f"keys {shown(missing)} are missing"] * bool(missing)
            parts += [f"keys {shown(extra)} are not in the parameters"] * bool(extra)
            raise ValueError(f"{written(root, path)}: {' and '.join(parts)}")
    elif not isinstance(node, (list, tuple)):
        raise TypeError(f"{written(root, path)}: {got(node)}; expected a list of {len(like)}")
    elif len(node) != len(like):
        n = f"{len(node)} entries where the parameters have {len(like)}"
        raise ValueError(f"{written(root, path)}: {n}")
    leaves = []
    for key, child in _children(like):
        if isinstance(child, (dict, list, tuple)):
            leaves += flatten_like(child, node[key], root, (*path, key))
        else:
            leaves.append(node[key])
    return leaves


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
