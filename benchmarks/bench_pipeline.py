"""The pipeline, from compose to committed: against rendering alone, on two workers against one, and its memory over many samples.

Scene tabletop with renderer pyrender, 640x480, one thread a process, wall and CPU time:
python -m benchmarks pipeline
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks.measure import Row
from synth.annotate import annotate, finish
from synth.compose.cameras import CameraRig
from synth.protocols import Scene
from synth.rand import Stream, rng_for
from synth.recipe import Generator, Recipe
from synth.record import encode
from synth.render.pyrender import PyrenderSpec
from synth.run import LocalExecutor, Tally
from synth.run.blocks import make_block
from synth.run.worker import threads_limited
from synth.store import Store
from synth.types import Asset, Body, Category, World

T = TypeVar("T")
WARM_UP = 24  # samples after which assets are loaded and most textures are on the device


def recipe(seed: int = 0) -> Recipe:
    from synth_scenes.tabletop import Tabletop

    return Recipe(Tabletop(), PyrenderSpec(), seed=seed, name="tabletop")


@dataclass(frozen=True)
class Morphing:
    """A scene whose meshes are new in every sample, so that whatever is kept of old ones shows."""

    scene: Scene

    @property
    def categories(self) -> Sequence[Category]:
        return self.scene.categories

    def compose(self, rng: Stream) -> World:
        world = self.scene.compose(rng)
        return replace(world, bodies=tuple(replace(body, asset=_swollen(body, 1 + 0.01 * rng.index / 1000)) for body in world.bodies))


def _swollen(body: Body, scale: float) -> Asset:
    meshes = tuple(replace(mesh, vertices_m=mesh.vertices_m * np.float32(scale)) for mesh in body.asset.meshes)
    return replace(body.asset, meshes=meshes)


def alone(function: Callable[..., T], *arguments: Any) -> T:
    """`function` in a process of its own, with one thread in each library, as a worker has."""
    with threads_limited(1), ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def pipeline_against_rendering(rounds: int = 6, size: int = 16) -> dict[str, float]:
    """Seconds a sample, in one process: the whole pipeline (compose, render, annotate, encode, write, commit) and rendering alone of the
    same worlds, in turns, so that neither has the warmer caches. And CPU seconds of each step."""
    r = recipe()
    seconds: dict[str, float] = {}

    def timed(name: str, function: Callable[[], T]) -> T:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        value = function()
        for kind, spent_s in (("wall", time.perf_counter() - wall_s), ("cpu", time.process_time() - cpu_s)):
            seconds[f"{name}_{kind}_s"] = seconds.get(f"{name}_{kind}_s", 0.0) + spent_s / (rounds * size)
        return value

    with tempfile.TemporaryDirectory() as folder, Generator(r) as generator:
        store, renderer = Store.open(folder, create=True), generator.renderer
        for index in range(WARM_UP):
            encode(generator[index], r.output)

        def pipeline(block: tuple[int, ...]) -> None:
            fragment = make_block(generator, store, block, lambda _: True).fragment
            assert fragment
            store.commit([fragment], message="bench", run=r.run, meta={})

        pipeline(tuple(range(1_000_000, 1_000_002)))
        for turn in range(rounds):
            block = tuple(range(WARM_UP + turn * size, WARM_UP + (turn + 1) * size))
            worlds = [r.scene.compose(rng_for(r.seed, index, "scene")) for index in block]
            parts = [
                lambda block=block: timed("pipeline", lambda: pipeline(block)),
                lambda worlds=worlds: timed("render", lambda: [renderer.render(world) for world in worlds]),
            ]
            for part in parts if turn % 2 else reversed(parts):
                part()
            for index, world in zip(block, worlds, strict=True):
                timed("compose", lambda index=index: r.scene.compose(rng_for(r.seed, index, "scene")))
                frame = renderer.render(world)
                draft = timed("annotate", lambda world=world, frame=frame: annotate(world, frame))
                sample = timed("finish", lambda draft=draft, index=index: finish(draft, r.scene.categories, key=f"{index}"))
                timed("encode", lambda sample=sample: encode(sample, r.output))
    return seconds


def steady_rate(workers: int, n: int, seed: int) -> dict[str, float]:
    """Samples a second of a whole run, and without its start: from the moment that every worker has warmed up. And CPU seconds a sample,
    start-up included, which tell whether workers are in each other's way or whether the machine had other things to do."""
    told: list[tuple[float, int]] = []
    spent_s = _cpu_s()

    def tell(tally: Tally) -> None:
        told.append((time.perf_counter(), tally.made))

    with tempfile.TemporaryDirectory() as folder:
        begun_s = time.perf_counter()
        LocalExecutor(workers, threads=1).generate(recipe(seed), n, Store.open(folder, create=True), progress=nullcontext(tell))
        whole = n / (time.perf_counter() - begun_s)
    first = next((at_s, made) for at_s, made in told if made >= 12 * workers)
    last = next((at_s, made) for at_s, made in told if made >= n - 4 * workers)  # before the first worker runs out of work
    return {"whole": whole, "steady": (last[1] - first[1]) / (last[0] - first[0]), "cpu_s": (_cpu_s() - spent_s) / n}


def _cpu_s() -> float:
    """CPU seconds of this process and of the children that have ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def resident_mib(counts: Sequence[int] = (100, 1000)) -> list[float]:
    """Resident MiB of a worker after so many samples with changing meshes, each rendered, labelled and written (320x240)."""
    from synth_scenes.tabletop import Tabletop

    r = replace(recipe(), scene=Morphing(Tabletop(camera=CameraRig(width=320, height=240))))
    found, done = [], 0
    with tempfile.TemporaryDirectory() as folder, Generator(r) as generator:
        store = Store.open(folder, create=True)
        for count in counts:
            while done < count:
                block = tuple(range(done, min(done + 50, count)))
                make_block(generator, store, block, lambda _: True)
                done = block[-1] + 1
            gc.collect()
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            found.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
    return found


def bench(n: int = 128, counts: Sequence[int] = (100, 1000)) -> tuple[str, str, list[Row]]:
    """All of it."""
    s = alone(pipeline_against_rendering)
    steps = ", ".join(f"{name} {s[f'{name}_cpu_s'] * 1e3:.0f}" for name in ("compose", "annotate", "finish", "encode"))
    rows = []
    for clock in ("wall", "cpu"):
        whole_s, render_s = s[f"pipeline_{clock}_s"], s[f"render_{clock}_s"]
        measured = f"{whole_s * 1e3:.0f} / {render_s * 1e3:.0f} ms a sample" + (f" ({steps})" if clock == "cpu" else "")
        rows.append(Row(f"compose to committed / rendering alone, {clock}", measured, whole_s / render_s, at_most=1.3))
    one, two = steady_rate(1, n, 1), steady_rate(2, 2 * n, 2)
    for kind, when in (("steady", "after start-up"), ("whole", "start-up included")):
        rows.append(
            Row(
                f"two workers / one, {when} ({n} samples a worker)",
                f"{two[kind]:.2f} / {one[kind]:.2f} samples/s at {two['cpu_s']:.2f} / {one['cpu_s']:.2f} CPU s each",
                two[kind] / one[kind],
                at_least=1.6 if kind == "steady" else None,
            )
        )
    before, after = alone(resident_mib, counts)
    what = f"resident memory after {counts[1]} / {counts[0]} samples, meshes changing"
    rows.append(Row(what, f"{after:.0f} / {before:.0f} MiB", after / before, at_most=1.1))
    return "Pipeline", "Scene tabletop, renderer pyrender, 640x480 (memory: 320x240), one thread a process.", rows
