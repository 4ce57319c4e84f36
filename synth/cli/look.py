"""Commands that only look: log, show, diff, sql."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth.cli.shared import REF, WHERE, Arguments, numbers, open_store, parse, parser, picture_path, printable, selected
from synth.errors import ConfigError

if TYPE_CHECKING:
    from synth.store import Commit
    from synth.types import Sample

_SHEET = "draw the samples with their labels into one picture"


def log(arguments: Arguments) -> int:
    """Show the commits of a store as a graph, newest first: of one ref, or of all branches."""
    made = parser("log", log)
    made.add_argument("ref", nargs="?", help=f"{REF}; default: all branches")
    made.add_argument("--limit", type=int, default=0, help="at most so many commits (default all)")
    options = parse(made, arguments)
    store = open_store(options)
    heads = store.branches()
    refs = list(heads) if options.ref is None else [options.ref]
    commits = {commit.version: commit for ref in refs for commit in store.log(ref)}
    shown = sorted(commits.values(), key=lambda commit: -commit.version)[: options.limit or None]
    named: dict[int, list[str]] = {}
    for name, version in heads.items():
        named.setdefault(version, []).append(name)
    for (mark, below), commit in zip(_graph(shown), shown, strict=True):
        names = [*named.get(commit.version, ()), *(f"tag {tag}" for tag in commit.tags if not tag.startswith("pin."))]
        names += ["pinned"] * any(tag.startswith("pin.") for tag in commit.tags)
        told = f"  [{', '.join(names)}]" if names else ""
        gone = "" if commit.kept else "  (removed by gc)"
        print(f"{mark} v{commit.version}  {commit.time:%Y-%m-%d %H:%M:%S} UTC  {_moved(commit)}{told}{gone}")
        for line in (commit.message, f"run {commit.run}" if commit.run else ""):
            if line:
                print(f"{below}     {printable(line)}")
    return 0


def _moved(commit: Commit) -> str:
    parts = ((commit.samples_added, "+"), (commit.samples_replaced, "~"), (commit.samples_removed, "-"))
    return " ".join([f"{sign}{count}" for count, sign in parts if count] or ["+0"]) + f" = {commit.samples_total} samples"


def _graph(commits: Sequence[Commit]) -> Iterator[tuple[str, str]]:
    """For each commit, newest first: its line's mark and what runs beside the lines below it, one column a line of history."""
    lanes: list[int] = []
    for commit in commits:
        if commit.version not in lanes:
            lanes.append(commit.version)
        place = lanes.index(commit.version)
        mark = " ".join("*" if i == place else "|" for i in range(len(lanes)))
        lanes = [lane for i, lane in enumerate(lanes) if i == place or lane != commit.version]
        place = lanes.index(commit.version)
        lanes[place : place + 1] = [parent for parent in commit.parents if parent not in lanes]
        yield mark, " ".join("|" for _ in lanes)


def show(arguments: Arguments) -> int:
    """List samples, or print every label of one; --sheet draws them."""
    made = parser("show", show)
    made.add_argument("ref", help=f"{REF}, or the file of a pin")
    made.add_argument("key", nargs="?", help="one sample's key; without it, a line for each sample")
    made.add_argument("--where", help=WHERE)
    made.add_argument("--limit", type=int, default=20, help="at most so many samples (default 20)")
    made.add_argument("--sheet", type=Path, metavar="OUT.png", help=_SHEET)
    options = parse(made, arguments)
    if options.limit < 0:
        raise ConfigError(f"--limit must be a whole number from 0, got {options.limit}")
    if options.key and options.where is not None:
        raise ConfigError("--where chooses among samples; with a KEY there is nothing to choose")
    sheet = picture_path(options.sheet)
    if options.key:
        samples: Sequence[Sample] = [open_store(options).get(options.key, options.ref)]
        print("\n".join(map(printable, _describe(samples[0]))))
    else:
        _, found = selected(options)
        samples = found[: options.limit]
        for sample in samples:
            print(printable(_line(sample)))
        print(f"{len(samples)} of {len(found)} samples")
    if sheet:
        from synth import view

        if not samples:
            raise ConfigError("there is no sample to draw")
        view.save(sheet, view.draw(samples[0], 1.5) if options.key else view.contact_sheet(samples))
        print(f"drawn: {sheet}")
    return 0


def _line(sample: Sample) -> str:
    found = Counter(instance.category for instance in sample.instances)
    labels = [*(f"{n} {name}" for name, n in sorted(found.items())), *(sample.info.classes or ())]
    return f"{sample.key}  {sample.size[0]}x{sample.size[1]}  {', '.join(labels)}"


def diff(arguments: Arguments) -> int:
    """Show what changed between two versions: samples, and labels by source and category."""
    made = parser("diff", diff)
    made.add_argument("a", help=f"from: {REF}")
    made.add_argument("b", nargs="?", default="main", help="to (default main)")
    made.add_argument("--where", help=WHERE)
    made.add_argument("--keys", action="store_true", help="list every key that was added (+), removed (-) or changed (~)")
    made.add_argument("--sheet", type=Path, metavar="OUT.png", help="draw the changed samples, before and after, into one picture")
    made.add_argument("--limit", type=int, default=20, help="at most so many samples in the picture (default 20)")
    options = parse(made, arguments)
    sheet = picture_path(options.sheet)
    store = open_store(options)
    found = store.diff(options.a, options.b, options.where)
    print(printable(str(found)))
    if options.keys:
        for sign, keys in (("+", found.added), ("-", found.removed), ("~", found.changed)):
            print("".join(f"{sign} {printable(key)}\n" for key in keys), end="")
    if sheet:
        from synth import view

        changed = found.changed[: max(options.limit, 0)]
        if not changed:
            raise ConfigError("no sample is in both versions with other labels; there is nothing to draw")
        pairs = [sample for key in changed for sample in (store.get(key, found.a), store.get(key, found.b))]
        view.save(sheet, view.contact_sheet(pairs, columns=2 if len(pairs) < 8 else 4))
        print(f"drawn: {sheet} ({len(changed)} of {len(found.changed)} changed samples, before and after side by side)")
    return 0


def sql(arguments: Arguments) -> int:
    """Ask a version in SQL (DuckDB): views `samples` and `instances`."""
    made = parser("sql", sql)
    made.add_argument("query", help='such as "select source, category, count(*) from instances group by all"')
    made.add_argument("--ref", default="main", help=f"{REF} (default main)")
    made.add_argument("--format", choices=["table", "csv", "json"], default="table")
    options = parse(made, arguments)
    table = open_store(options).sql(options.query, options.ref)
    if options.format == "csv":
        import csv

        writer = csv.writer(sys.stdout)
        writer.writerow(table.column_names)
        writer.writerows([_cell(value) for value in row.values()] for row in table.to_pylist())
    elif options.format == "json":
        for row in table.to_pylist():
            print(json.dumps(row, default=_cell))
    else:
        rows = [table.column_names, *([_cell(value) for value in row.values()] for row in table.to_pylist())]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _cell(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else "" if value is None else printable(str(value))


def _describe(sample: Sample) -> list[str]:
    names = {category.name: category.keypoints for category in sample.categories}
    lines = [f"{sample.key}  {sample.size[0]}x{sample.size[1]}"]
    if sample.origin:
        origin = sample.origin
        lines.append(f"  scene {origin.scene}  seed {origin.seed}  index {origin.index}  recipe {origin.recipe[:12]}  {origin.renderer}")
    if sample.camera:
        lines.append(f"  camera  K {numbers(sample.camera.image_from_camera)}  distortion {numbers(sample.camera.distortion)}")
        lines.append(f"      world_from_camera: {numbers(sample.camera.world_from_camera)}")
    for i, instance in enumerate(sample.instances):
        lines.append(f"  [{i}] {instance.category}" + (f" ({instance.asset})" if instance.asset else ""))
        labels = {name: getattr(instance, name) for name in _LABELS}
        labels["obb_cxcywha"] = instance.obb and [getattr(instance.obb, name) for name in instance.obb.__slots__]
        masks = {name: mask for name in ("mask", "mask_full") if (mask := getattr(instance, name)) is not None}
        lines += [f"      {name}: {mask.decode().sum()} px" for name, mask in masks.items()]
        lines += [f"      {name}: {numbers(value)}" for name, value in labels.items() if value is not None]
        if (points := instance.keypoints) is not None:
            for j, name in enumerate(names[instance.category]):
                xyz = "" if points.xyz_m is None else f"  xyz_m {numbers(points.xyz_m[j])}"
                lines.append(f"      {name}: ({numbers(points.xy[j])}) v={points.v[j]}{xyz}")
    return lines


_LABELS = ("area_px", "box_xyxy", "box_full_xyxy", "visible_fraction", "truncated_fraction", "camera_from_object", "box3d_object_m")
