#!/bin/sh
# The reference experiments as a whole: real photos, synthetic sets, and the three ladders; each step takes up what it did before.
#   scripts/reference_experiments.sh DATA [RUNS]     DATA holds real/ and meshes/cookie_box; the store is ./data/store
# Smaller or larger: BOARDS=100 BOXES=100 CELLS=100 scripts/reference_experiments.sh DATA; only the samples: LADDERS="" ...
# One thread for each network: on a busy machine several wait for one another and are many times slower.
set -eu
data=${1:?"the folder with real/ and meshes/cookie_box"}
runs=${2:-runs}
here=$(dirname "$0")
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

python "$here/reference_photos.py" "$data" --store ./data/store --cells ./data/cells

mkdir -p ./data/cookie_box # a mesh with keypoints: its description stands beside it
cp "$data"/meshes/cookie_box/* ./data/cookie_box/
printf 'category: cookie_box\nkeypoints: box\n' >./data/cookie_box/cookie_box.asset.yaml

# Boards: half of them as a monochrome camera sees them.
synth generate scene=board augment=webcam n="${BOARDS:-400}" seed=1 \
    '+stages.mono={_target_: synth.augment.albumentations.Albumentations, name: ToGray, p: 0.5}'

# Boxes: mostly upright and seen from above, as people film what lies before them.
synth generate scene=product augment=webcam n="${BOXES:-400}" seed=1 \
    scene.mesh=./data/cookie_box/cookie_box.obj scene.upright=0.8 \
    'scene.elevation_rad=Uniform(0.1, 1.2)' 'scene.in_plane_rad=Normal(0, 0.35)' 'scene.camera.size_share=Uniform(0.35, 0.95)'

# Cells: of the training photos, at their own size, on their own backgrounds; any turn, some over others, many cut by the frame.
synth generate scene=cutpaste n="${CELLS:-400}" seed=1 \
    scene.cutouts=./data/cells/cutouts scene.backgrounds=./data/cells/backgrounds scene.distractors=0 \
    'scene.shares={RBC: 12, WBC: 1, Platelets: 1}' 'scene.objects=Integers(6, 20)' \
    'scene.layout.own_size=Uniform(0.85, 1.15)' 'scene.layout.turn_rad=Uniform(-pi, pi)' scene.layout.mirror=0.5 \
    scene.layout.tilt_rad=0.0 scene.layout.shear_rad=0.0 scene.layout.truncated=0.8 scene.layout.hidden=0.4 \
    scene.blending.shadow=0.0 scene.blending.match=0.0 'scene.blending.mode=Choice(["feather","gaussian","none"],[2,2,1])'

for ladder in ${LADDERS-board_ratio cookie_ratio bccd_ratio}; do
    synth experiment experiment="$ladder" out="$runs/$ladder"
done
