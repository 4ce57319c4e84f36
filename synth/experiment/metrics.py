"""How good predictions are."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synth.experiment.prediction import Prediction
from synth.types import F64, Sample


def points_of(sample: Sample, least_v: int = 1) -> F64:
    """(n, 2) px of all keypoints of all instances with v of at least `least_v`."""
    found = [i.keypoints.xy[i.keypoints.v >= least_v] for i in sample.instances if i.keypoints is not None]
    return np.concatenate([*found, np.zeros((0, 2))])


@dataclass(frozen=True)
class PointRecall:
    """Of unordered points: the share that is found within `within_px`, at the score where `precision` of what is claimed is right.

    Predicted points are matched to true ones by falling score, each to the nearest that is free. A true point that is hidden (v = 1) may
    be found or not. median_error_px: over the matched, at that score.
    """

    within_px: float = 2.0
    precision: float = 0.95
    main: str = "recall"
    higher_is_better: bool = True

    def measure(self, predictions: Sequence[Prediction], truths: Sequence[Sample]) -> Mapping[str, float]:
        scores, right, errors, wanted = [], [], [], 0
        for prediction, truth in zip(predictions, truths, strict=True):
            matched = self._match(prediction, truth)
            wanted += len(points_of(truth, 2))
            scores += [score for score, _, _ in matched]
            right += [hit for _, hit, _ in matched]
            errors += [error for _, _, error in matched]
        order = np.argsort(-np.array(scores), kind="stable")
        hits = np.array(right, float)[order]
        claimed = np.arange(1, len(hits) + 1)
        good = np.flatnonzero(np.cumsum(hits) >= self.precision * claimed)
        last = int(good[-1]) + 1 if len(good) else 0
        found = hits[:last] > 0
        off = np.array(errors)[order][:last][found]
        return {
            "recall": float(found.sum() / wanted) if wanted else math.nan,
            "median_error_px": float(np.median(off)) if len(off) else math.nan,
            "threshold": float(np.array(scores)[order][last - 1]) if last else math.inf,
        }

    def rank(self, prediction: Prediction, truth: Sample) -> float:
        wanted = len(points_of(truth, 2))
        return sum(right for _, right, _ in self._match(prediction, truth)[:wanted]) / max(1, wanted)

    def _match(self, prediction: Prediction, truth: Sample) -> list[tuple[float, bool, float]]:
        """Score, whether right, and distance of each predicted point; those at hidden points are left out."""
        seen, any_v = points_of(truth, 2), points_of(truth, 1)
        free = np.ones(len(seen), bool)
        matched = []
        for i in np.argsort(-prediction.scores, kind="stable"):
            keypoints = prediction.instances[i].keypoints
            if keypoints is None:
                continue
            xy = keypoints.xy[0]
            distances = np.where(free, np.linalg.norm(seen - xy, axis=1), np.inf) if len(seen) else np.array([np.inf])
            nearest = int(distances.argmin())
            if distances[nearest] <= self.within_px:
                free[nearest] = False
                matched.append((float(prediction.scores[i]), True, float(distances[nearest])))
            elif not len(any_v) or np.linalg.norm(any_v - xy, axis=1).min() > self.within_px or len(any_v) == len(seen):
                matched.append((float(prediction.scores[i]), False, math.inf))
        return matched


@dataclass(frozen=True)
class KeypointError:
    """Of one object a picture, its keypoints by name: PCK (Yang and Ramanan 2013), the share within `alpha` times the longer side of the
    true box; mean and median error in px. Keypoints with v = 0 are not asked. What is not predicted is missed, and as far off as the box
    is long."""

    alpha: float = 0.1
    main: str = "pck"
    higher_is_better: bool = True

    def measure(self, predictions: Sequence[Prediction], truths: Sequence[Sample]) -> Mapping[str, float]:
        pairs = [self._errors(prediction, truth) for prediction, truth in zip(predictions, truths, strict=True)]
        errors, sides = (np.concatenate([pair[k] for pair in pairs] or [np.zeros(0)]) for k in (0, 1))
        if not len(errors):
            return {"pck": math.nan, "mean_error_px": math.nan, "median_error_px": math.nan}
        return {
            "pck": float((errors <= self.alpha * sides).mean()),
            "mean_error_px": float(errors.mean()),
            "median_error_px": float(np.median(errors)),
        }

    def rank(self, prediction: Prediction, truth: Sample) -> float:
        errors, sides = self._errors(prediction, truth)
        return -float((errors / sides).mean()) if len(errors) else 0.0

    def _errors(self, prediction: Prediction, truth: Sample) -> tuple[F64, F64]:
        errors, sides = [], []
        for instance in truth.instances:
            if instance.keypoints is None:
                continue
            asked = instance.keypoints.v > 0
            if not asked.any():
                continue
            x0, y0, x1, y1 = instance.box_xyxy or (*instance.keypoints.xy[asked].min(0), *instance.keypoints.xy[asked].max(0))
            side = max(x1 - x0, y1 - y0)
            best = [
                p
                for p, _ in sorted(zip(prediction.instances, prediction.scores, strict=True), key=lambda pair: -pair[1])
                if p.category == instance.category and p.keypoints is not None
            ]
            off = np.full(len(asked), side)
            if best and best[0].keypoints is not None:
                off = np.where(best[0].keypoints.v > 0, np.linalg.norm(best[0].keypoints.xy - instance.keypoints.xy, axis=1), side)
            errors.append(np.minimum(off, side)[asked])
            sides.append(np.full(int(asked.sum()), side))
        return np.concatenate([*errors, np.zeros(0)]), np.concatenate([*sides, np.zeros(0)])


@dataclass(frozen=True)
class AveragePrecision:
    """COCO's AP of boxes, by pycocotools: `ap` over IoU 0.50 to 0.95, `ap50`, `ap75`, and ap50 of each category."""

    main: str = "ap50"
    higher_is_better: bool = True

    def measure(self, predictions: Sequence[Prediction], truths: Sequence[Sample]) -> Mapping[str, float]:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        names = [category.name for category in truths[0].categories]
        number = {name: i + 1 for i, name in enumerate(names)}
        boxes = [
            (image, number[instance.category], box, bool(instance.crowd))
            for image, truth in enumerate(truths, 1)
            for instance in truth.instances
            if (box := instance.box_xyxy) is not None
        ]
        found = [
            [image, x0, y0, x1 - x0, y1 - y0, score, number[instance.category]]
            for image, prediction in enumerate(predictions, 1)
            for instance, score in zip(prediction.instances, prediction.scores, strict=True)
            if instance.box_xyxy is not None and instance.category in number
            for x0, y0, x1, y1 in [instance.box_xyxy]
        ]
        if not boxes:
            return {"ap": math.nan, "ap50": math.nan, "ap75": math.nan}
        with contextlib.redirect_stdout(io.StringIO()):
            truth_coco = COCO()
            truth_coco.dataset = {
                "images": [{"id": i, "width": t.size[0], "height": t.size[1]} for i, t in enumerate(truths, 1)],
                "categories": [{"id": i, "name": name} for name, i in number.items()],
                "annotations": [
                    {
                        "id": i,
                        "image_id": image,
                        "category_id": category,
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "area": (x1 - x0) * (y1 - y0),
                        "iscrowd": int(crowd),
                    }
                    for i, (image, category, (x0, y0, x1, y1), crowd) in enumerate(boxes, 1)
                ],
            }
            truth_coco.createIndex()
            evaluated = COCOeval(truth_coco, truth_coco.loadRes(np.array(found or [[1, 0, 0, 1, 1, 0.0, 1]], float)), "bbox")
            evaluated.evaluate()
            evaluated.accumulate()
            evaluated.summarize()
        precision = evaluated.eval["precision"][0, :, :, 0, -1]  # IoU 0.5, all areas, most detections: (recalls, categories)
        of_each = {f"ap50 {name}": _mean(precision[:, i]) for i, name in enumerate(names)}
        return {"ap": float(evaluated.stats[0]), "ap50": float(evaluated.stats[1]), "ap75": float(evaluated.stats[2]), **of_each}

    def rank(self, prediction: Prediction, truth: Sample) -> float:
        figures = self.measure([prediction], [truth])
        return 0.0 if math.isnan(figures["ap50"]) else figures["ap50"]


def _mean(precision: F64) -> float:
    """-1 marks what is not defined: no object of the category."""
    defined = precision[precision > -1]
    return float(defined.mean()) if len(defined) else math.nan
