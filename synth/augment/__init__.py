"""Stages that change a picture and keep its labels exact; the only place that knows albumentations.

warp        the geometric maps: homographies and dense fields, in synth's pixel law
cameras     what a homography does to a camera and to all that is measured in its frame
moving      a draft on its way through a list of maps: labels are resampled once, through the product of all of them
registry    every transform of albumentations and how it is treated; laws: the map of each geometric one
albumentations, chain   the stages: one transform by name, and a list of stages
samples     the same stages on labelled samples, with labels that are only boxes or polygons
"""
