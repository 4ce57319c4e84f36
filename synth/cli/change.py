"""Commands that move branches and tags: branch, tag, delete, restore, merge, gc."""

from __future__ import annotations

import re
from datetime import timedelta

from synth.cli.shared import REF, WHERE, Arguments, open_store, parse, parser
from synth.errors import ConfigError

_BRANCH = "branch to change (default main)"


def branch(arguments: Arguments) -> int:
    """Begin a branch: synth branch NAME [REF]; without a NAME, list them."""
    made = parser("branch", branch)
    made.add_argument("name", nargs="?")
    made.add_argument("ref", nargs="?", default="main", help=f"{REF} (default main)")
    made.add_argument("--delete", action="store_true", help="end the branch instead")
    options = parse(made, arguments)
    store = open_store(options)
    if options.name is None:
        for name, version in store.branches().items():
            print(f"{name} -> v{version}")
        return 0
    if options.delete:
        store.delete_branch(options.name)
        print(f"{options.name} is deleted; synth gc frees what only it had")
        return 0
    store.branch(options.name, options.ref)
    print(f"{options.name} -> v{store.branches()[options.name]}")
    return 0


def tag(arguments: Arguments) -> int:
    """Name a version for good: synth tag NAME [REF]; without a NAME, list the tags."""
    made = parser("tag", tag)
    made.add_argument("name", nargs="?")
    made.add_argument("ref", nargs="?", default="main", help=f"{REF} (default main)")
    made.add_argument("--delete", action="store_true", help="take the name away instead")
    options = parse(made, arguments)
    store = open_store(options)
    if options.name is None:
        for name, version in store.tags().items():
            print(f"{name} -> v{version}")
        return 0
    if options.delete:
        store.delete_tag(options.name)
        print(f"{options.name} is deleted; synth gc may free the version that it named")
        return 0
    store.tag(options.name, options.ref)
    print(f"{options.name} -> v{store.resolve(options.name)}")
    return 0


def delete(arguments: Arguments) -> int:
    """Make a version without the samples that a condition chooses; older versions keep them."""
    made = parser("delete", delete)
    made.add_argument("--where", required=True, help=WHERE)
    made.add_argument("--branch", default="main", help=_BRANCH)
    made.add_argument("--message", default="")
    options = parse(made, arguments)
    store = open_store(options)
    before = store.resolve(options.branch)
    commit = store.delete(options.where, branch=options.branch, message=options.message)
    if commit.version == before:
        print(f"no sample of {options.branch} matches; nothing to delete")
    else:
        print(f"deleted {commit.samples_removed} samples from {options.branch}: version {commit.version}, {commit.samples_total} left")
    return 0


def restore(arguments: Arguments) -> int:
    """Make a new version with the content of an older one: synth restore REF."""
    made = parser("restore", restore)
    made.add_argument("ref", help=REF)
    made.add_argument("--branch", default="main", help=_BRANCH)
    made.add_argument("--message", default="")
    options = parse(made, arguments)
    commit = open_store(options).restore(options.ref, branch=options.branch, message=options.message)
    print(f"{options.branch} has the content of {options.ref} again: version {commit.version}, {commit.samples_total} samples")
    return 0


def merge(arguments: Arguments) -> int:
    """Bring what changed in a branch into another, by key: synth merge SOURCE [--into main]."""
    made = parser("merge", merge)
    made.add_argument("source", help=REF)
    made.add_argument("--into", default="main", help=_BRANCH)
    made.add_argument("--prefer", choices=["source", "target"], help="whose version counts where both changed a sample (default: refuse)")
    made.add_argument("--message", default="")
    options = parse(made, arguments)
    done = open_store(options).merge(options.source, options.into, prefer=options.prefer, message=options.message)
    if done.commit is None:
        print(f"{options.into} has all of {options.source} already")
        return 0
    decided = f"; {len(done.conflicts)} conflicts decided for the {options.prefer}" if done.conflicts else ""
    print(f"version {done.commit.version}: {done.added} samples added, {done.replaced} replaced, {done.removed} removed{decided}")
    return 0


def gc(arguments: Arguments) -> int:
    """Join small fragments and free old versions that no branch, tag or pin names."""
    made = parser("gc", gc)
    made.add_argument("--keep", default="30d", help="versions younger than this stay: a number with d, h or m (default 30d)")
    options = parse(made, arguments)
    found = re.fullmatch(r"(\d+)([dhm])", options.keep)
    if found is None:
        raise ConfigError(f"--keep must be a number with d, h or m (days, hours, minutes), such as 30d, got '{options.keep}'")
    unit = {"d": "days", "h": "hours", "m": "minutes"}[found[2]]
    print(open_store(options).gc(timedelta(**{unit: int(found[1])})))
    return 0
