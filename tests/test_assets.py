"""Meshes and pictures from files: what is read is what the file holds, and a bad file is one clear message."""

from __future__ import annotations

import base64
import io
import json
import struct
import warnings
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import cv2
import numpy as np
import pytest
import synth_scenes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from synth import assets, images, meshes
from synth.assets import BOX_CORNERS, AssetWarning, Limits, asset_files, load_asset, load_hdri, load_photo, read_info, smooth_normals
from synth.errors import AssetError
from synth.images import read_capped
from synth.types import Asset

SHIPPED = sorted((Path(synth_scenes.__file__).parent / "assets").glob("*/*.glb"))

# a box of 0.2 x 0.1 x 0.3 m: corners, and faces counter-clockwise seen from outside
CORNERS = np.array([[x, y, z] for z in (0.0, 0.3) for y in (0.0, 0.1) for x in (0.0, 0.2)])
QUADS = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [1, 3, 7, 5], [3, 2, 6, 7], [2, 0, 4, 6]]
FACES = np.array([[q[0], q[i], q[i + 1]] for q in QUADS for i in (1, 2)])


def soup(asset: Asset) -> np.ndarray:
    """The triangles (m, 3, 3) of all parts, each from its least corner on, sorted: equal for equal shapes."""
    triangles = np.concatenate([mesh.vertices_m[mesh.faces] for mesh in asset.meshes])
    return canonical(triangles)


def canonical(triangles: np.ndarray) -> np.ndarray:
    turned = [np.roll(t, -min(range(3), key=lambda i, t=t: tuple(t[i])), axis=0) for t in np.asarray(triangles, np.float32)]
    return np.array(sorted(turned, key=lambda t: tuple(t.reshape(-1))))


BOX = canonical(CORNERS[FACES])


def volume(asset: Asset) -> float:
    """Signed: positive if faces are counter-clockwise seen from outside."""
    return float(sum(np.einsum("ij,ij->i", t[:, 0], np.cross(t[:, 1], t[:, 2])).sum() / 6 for t in [soup(asset).astype(float)]))


def png(size: tuple[int, int] = (4, 4), color: object = (200, 100, 50), mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, color).save(out, "PNG")  # type: ignore[arg-type]
    return out.getvalue()


# --- writers ----------------------------------------------------------------------------------------------------------


def gltf(vertices=CORNERS, faces=FACES, *, node=None, material=None, uv=False, normals=None, image=None, **changes):  # type: ignore[no-untyped-def]
    """A glTF document and its one buffer."""
    blobs = [np.asarray(vertices, "<f4").tobytes(), np.asarray(faces, "<u2").tobytes()]
    accessors = [
        {"bufferView": 0, "componentType": 5126, "count": len(vertices), "type": "VEC3"},
        {"bufferView": 1, "componentType": 5123, "count": int(np.size(faces)), "type": "SCALAR"},
    ]
    attributes = {"POSITION": 0}
    for name, values, kind in (("TEXCOORD_0", np.asarray(vertices)[:, :2] * 3 if uv else None, "VEC2"), ("NORMAL", normals, "VEC3")):
        if values is not None:
            attributes[name] = len(accessors)
            accessors.append({"bufferView": len(blobs), "componentType": 5126, "count": len(values), "type": kind})
            blobs.append(np.asarray(values, "<f4").tobytes())
    if image is not None:
        blobs.append(image)
    starts = np.cumsum([0, *(len(b) + -len(b) % 4 for b in blobs)])
    buffer = b"".join(b + bytes(-len(b) % 4) for b in blobs)
    primitive = {"attributes": attributes, "indices": 1} | ({"material": 0} if material is not None else {})
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0} | (node or {})],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": [{"buffer": 0, "byteOffset": int(s), "byteLength": len(b)} for s, b in zip(starts, blobs, strict=False)],
        "buffers": [{"byteLength": len(buffer)}],
    } | changes
    if material is not None:
        document["materials"] = [material]
    if image is not None:
        document |= {"images": [{"bufferView": len(blobs) - 1, "mimeType": "image/png"}], "textures": [{"source": 0}]}
    return document, buffer


def glb(document: dict, buffer: bytes) -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(buffer), 0x004E4942) + buffer
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def obj(faces: list[list[int]] = QUADS, vertices: np.ndarray = CORNERS, head: str = "") -> str:
    lines = [head, *("v {} {} {}".format(*v) for v in vertices), *("f " + " ".join(str(i + 1) for i in f) for f in faces)]
    return "\n".join(lines) + "\n"


def ply(binary: bool, faces: list[list[int]] = QUADS, colors: bool = False, order: str = "<", vertices: np.ndarray = CORNERS) -> bytes:
    kind = {"<": "binary_little_endian", ">": "binary_big_endian"}[order] if binary else "ascii"
    extra = "property uchar red\nproperty uchar green\nproperty uchar blue\n" if colors else ""
    head = (
        f"ply\nformat {kind} 1.0\nelement vertex {len(vertices)}\nproperty float x\nproperty float y\nproperty float z\n{extra}"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    ).encode()
    if binary:
        rows = b"".join(struct.pack(order + "3f", *v) + (b"\xff\x80\x00" if colors else b"") for v in vertices)
        return head + rows + b"".join(struct.pack(f"{order}B{len(f)}i", len(f), *f) for f in faces)
    rows_text = [" ".join(map(str, v)) + (" 255 128 0" if colors else "") for v in vertices.tolist()]
    return head + "\n".join([*rows_text, *(f"{len(f)} " + " ".join(map(str, f)) for f in faces)]).encode() + b"\n"


def stl(binary: bool) -> bytes:
    triangles = CORNERS[FACES]
    if binary:
        rows = b"".join(struct.pack("<12fH", 0, 0, 0, *t.reshape(-1), 0) for t in triangles)
        return b"a box".ljust(80) + struct.pack("<I", len(triangles)) + rows
    facets = [
        "facet normal 0 0 0\nouter loop\n" + "\n".join("vertex {} {} {}".format(*v) for v in t) + "\nendloop\nendfacet" for t in triangles
    ]
    return ("solid box\n" + "\n".join(facets) + "\nendsolid box\n").encode()


FILES = {
    "box.glb": glb(*gltf()),
    "box.obj": obj().encode(),
    "relative.obj": obj([[i - 8 - 1 for i in f] for f in QUADS]).encode(),
    "triangles.obj": obj(FACES.tolist()).encode(),
    "mixed.obj": obj([*QUADS[:3], *FACES[6:].tolist()]).encode(),
    "ascii.ply": ply(False),
    "binary.ply": ply(True),
    "big_endian.ply": ply(True, order=">"),
    "triangles.ply": ply(True, FACES.tolist()),
    "ascii.stl": stl(False),
    "two.stl": stl(False).replace(b"endfacet", b"endfacet\nendsolid box\nsolid rest", 1),
    "binary.stl": stl(True),
}


def write(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


# --- shape ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_shape_of_its_file(name: str, tmp_path: Path) -> None:
    asset = load_asset(write(tmp_path, name, FILES[name]))
    assert np.array_equal(soup(asset), BOX)
    assert volume(asset) == pytest.approx(0.006)
    assert {tuple(n) for mesh in asset.meshes for n in np.round(mesh.normals, 5).tolist()} == {
        tuple(sign * float(i == axis) + 0.0 for i in range(3)) for axis in range(3) for sign in (1, -1)
    }, "a box without normals is flat-sided"


def test_vertex_counts_are_the_files_where_it_has_normals(tmp_path: Path) -> None:
    normals = CORNERS - CORNERS.mean(0)
    asset = load_asset(write(tmp_path, "a.glb", glb(*gltf(normals=normals))))
    assert (len(asset.meshes[0].vertices_m), len(asset.meshes[0].faces)) == (8, 12)
    assert np.array_equal(asset.meshes[0].vertices_m, CORNERS.astype(np.float32))
    assert np.allclose(asset.meshes[0].normals, normals / np.linalg.norm(normals, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("normals", [None, np.tile([0.0, 0, 1], (9, 1))])
def test_duplicate_and_degenerate_faces_stay_and_unused_vertices_do_not_count(normals: np.ndarray | None, tmp_path: Path) -> None:
    faces = np.vstack([FACES, FACES[:2], [[3, 3, 5]]])
    asset = load_asset(write(tmp_path, "a.glb", glb(*gltf(np.vstack([CORNERS, [[50, 50, 50]]]), faces, normals=normals))))
    assert np.array_equal(soup(asset), canonical(CORNERS[faces]))
    assert np.allclose(asset.box_object_m[1], (0.2, 0.1, 0.3))


def test_a_tiny_box_keeps_its_corners_when_its_unit_is_declared(tmp_path: Path) -> None:
    write(tmp_path, "a.asset.yaml", "unit: mm")
    asset = load_asset(write(tmp_path, "a.obj", obj(vertices=CORNERS * 1e-5)))
    assert len(np.unique(asset.vertices_m, axis=0)) == 8
    assert np.ptp(asset.vertices_m[:, 2]) == pytest.approx(3e-9)


@pytest.mark.parametrize("scale", [(1, 2, 3), (-1, 1, 1), (2, 2, -0.5)])
def test_node_transforms_are_baked_in_and_mirrors_keep_faces_outward(scale: tuple[float, ...], tmp_path: Path) -> None:
    half = np.sqrt(0.5)
    node = {"translation": [1, 2, 3], "rotation": [0, 0, half, half], "scale": list(scale)}  # a quarter turn about z
    asset = load_asset(write(tmp_path, "a.glb", glb(*gltf(node=node, normals=np.tile([0.0, 0, 1], (8, 1))))))
    moved = (CORNERS * scale) @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]) + [1, 2, 3]
    assert np.allclose(np.unique(asset.vertices_m.round(5), axis=0), np.unique(moved.round(5), axis=0), atol=1e-5)
    assert volume(asset) == pytest.approx(0.006 * abs(np.prod(scale)), rel=1e-4)
    assert np.allclose(asset.meshes[0].normals, [0, 0, np.sign(scale[2])], atol=1e-6)


def test_a_mesh_placed_twice_by_the_scene_is_there_twice(tmp_path: Path) -> None:
    nodes = [{"mesh": 0}, {"translation": [1, 0, 0], "children": [2]}, {"mesh": 0, "translation": [1, 0, 0]}]
    document, buffer = gltf(nodes=nodes, scenes=[{"nodes": [0, 1]}])
    asset = load_asset(write(tmp_path, "a.glb", glb(document, buffer)))
    assert np.allclose([mesh.vertices_m[:, 0].min() for mesh in asset.meshes], [0, 2])


def test_gltf_with_a_file_or_a_data_uri_beside_it(tmp_path: Path) -> None:
    document, buffer = gltf()
    write(tmp_path, "b u.bin", buffer)
    for i, uri in enumerate(("b%20u.bin", "data:application/octet-stream;base64," + base64.b64encode(buffer).decode())):
        document["buffers"][0]["uri"] = uri
        assert np.array_equal(soup(load_asset(write(tmp_path, f"a{i}.gltf", json.dumps(document)))), BOX)


def test_a_triangle_strip(tmp_path: Path) -> None:
    document, buffer = gltf(faces=[[0, 1, 2, 3]])
    document["meshes"][0]["primitives"][0]["mode"] = 5
    asset = load_asset(write(tmp_path, "a.glb", glb(document, buffer)))
    assert np.array_equal(soup(asset), canonical(CORNERS[[[0, 1, 2], [2, 1, 3]]]))


def test_vertex_colors_become_linear(tmp_path: Path) -> None:
    asset = load_asset(write(tmp_path, "a.ply", ply(True, colors=True)))
    assert asset.meshes[0].colors is not None
    assert np.allclose(asset.meshes[0].colors, [1, 0.21586, 0, 1], atol=1e-4)


def test_smooth_normals_round_a_ball_and_ignore_texture_seams() -> None:
    angles = np.linspace(0, 2 * np.pi, 25)  # first and last column lie on one another: a seam
    polar = np.linspace(0.1, np.pi - 0.1, 13)
    grid = np.stack(
        [np.outer(np.sin(polar), np.cos(angles)), np.outer(np.sin(polar), np.sin(angles)), np.outer(np.cos(polar), angles**0)], 2
    )
    grid[:, -1] = grid[:, 0]
    index = np.arange(grid.shape[0] * 25).reshape(-1, 25)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    faces = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    vertices = grid.reshape(-1, 3)
    source, new_faces, normals = smooth_normals(vertices, faces)
    assert len(source) == len(vertices)
    assert np.array_equal(vertices[source][new_faces], vertices[faces])
    inner = np.abs(vertices[source][:, 2]) < 0.9
    assert (np.einsum("ij,ij->i", normals, vertices[source])[inner] > 0.995).all()


# --- looks ------------------------------------------------------------------------------------------------------------


def test_gltf_materials(tmp_path: Path) -> None:
    material = {
        "pbrMetallicRoughness": {
            "baseColorFactor": [0.5, 0.25, 1, 0.75],
            "baseColorTexture": {"index": 0},
            "metallicFactor": 0.2,
            "roughnessFactor": 0.7,
            "metallicRoughnessTexture": {"index": 0},
        },
        "normalTexture": {"index": 0},
        "emissiveFactor": [0.1, 0, 0],
        "alphaMode": "MASK",
        "alphaCutoff": 0.3,
        "doubleSided": True,
    }
    image = png((3, 5), (10, 20, 30, 40), "RGBA")
    found = load_asset(write(tmp_path, "a.glb", glb(*gltf(material=material, uv=True, image=image)))).meshes[0]
    assert (found.material.base_color, found.material.metallic, found.material.roughness) == ((0.5, 0.25, 1, 0.75), 0.2, 0.7)
    assert (found.material.alpha_mode, found.material.alpha_cutoff, found.material.double_sided) == ("mask", 0.3, True)
    assert found.material.emissive == (0.1, 0, 0)
    assert found.material.base_color_texture is not None
    assert found.material.base_color_texture.shape == (5, 3, 4)
    assert found.material.base_color_texture[0, 0].tolist() == [10, 20, 30, 40]
    assert found.material.normal_texture is not None
    assert found.material.normal_texture.shape == (5, 3, 3)
    assert found.uv is not None
    # glTF counts v from the top, a mesh from the bottom
    assert np.allclose(found.uv[np.lexsort(found.vertices_m.T)][:, 1], 1 - 3 * found.vertices_m[np.lexsort(found.vertices_m.T)][:, 1])


def test_blend_is_cut_at_a_half(tmp_path: Path) -> None:
    found = load_asset(write(tmp_path, "a.glb", glb(*gltf(material={"alphaMode": "BLEND", "alphaCutoff": 0.1})))).meshes[0].material
    assert (found.alpha_mode, found.alpha_cutoff, found.metallic, found.roughness) == ("mask", 0.5, 1.0, 1.0)


def test_mtl_materials_and_their_texture(tmp_path: Path) -> None:
    mtl = "newmtl plain one\nKd 0.5 0.25 0\nKs 1 1 1\nNs 30\nnewmtl wood\nKd 0 0 0\nmap_Kd -s 1 1 1 wood.png\n"
    write(tmp_path, "box.mtl", mtl)
    write(tmp_path, "wood.png", png())
    faces = "".join(
        f"usemtl {'plain one' if i < 3 else 'wood'}\nf " + " ".join(f"{c + 1}/1" for c in q) + "\n" for i, q in enumerate(QUADS)
    )
    vertices = "".join("v {} {} {}\n".format(*v) for v in CORNERS)
    asset = load_asset(write(tmp_path, "box.obj", f"mtllib box.mtl\n{vertices}vt 0.5 0.25\n{faces}"))
    assert np.array_equal(soup(asset), BOX)
    wood, plain = sorted((m.material for m in asset.meshes), key=lambda m: m.base_color_texture is None)
    assert plain.base_color == (0.5, 0.25, 0, 1)
    assert plain.roughness == pytest.approx((2 / 32) ** 0.25)
    assert wood.base_color == (1, 1, 1, 1)
    assert wood.base_color_texture is not None
    assert wood.base_color_texture[0, 0].tolist() == [200, 100, 50]


@pytest.mark.parametrize(
    ("mtl", "message"),
    [("d 0.3", r"alpha 0\.3, under the 0\.5 .* nothing of it shows"), ("map_d -s 1 1 1 holes.png", "map_d of material 'a' is not read")],
)
def test_what_transparency_loses_is_said(mtl: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, "box.mtl", f"newmtl a\nKd 0.5 0.25 0\n{mtl}\n")
    with pytest.warns(AssetWarning, match=message):
        load_asset(write(tmp_path, "box.obj", obj(head="mtllib box.mtl\nusemtl a")))


@pytest.mark.parametrize("content", [None, b"no picture", png()[:40]])
def test_a_missing_or_damaged_texture_warns_and_leaves_a_plain_color(content: bytes | None, tmp_path: Path) -> None:
    write(tmp_path, "box.mtl", "newmtl a\nKd 0.5 0.25 0\nmap_Kd gone.png\n")
    if content is not None:
        write(tmp_path, "gone.png", content)
    path = write(tmp_path, "box.obj", obj(head="mtllib box.mtl\nvt 0 0").replace("f ", "usemtl a\nf ", 1))
    with pytest.warns(AssetWarning, match=r"box\.obj: texture 'gone\.png' is missing or damaged; a plain colour"):
        asset = load_asset(path)
    assert asset.meshes[0].material.base_color_texture is None
    assert asset.meshes[0].material.base_color == (0.5, 0.25, 0, 1)


def test_a_missing_material_file_warns(tmp_path: Path) -> None:
    with pytest.warns(AssetWarning, match=r"material file 'gone\.mtl' is missing"):
        load_asset(write(tmp_path, "box.obj", obj(head="mtllib gone.mtl")))


def test_a_material_that_no_file_has_warns(tmp_path: Path) -> None:
    write(tmp_path, "box.mtl", "newmtl wood\nKd 1 0 0\n")
    with pytest.warns(AssetWarning, match=r"box\.obj: no material file has 'glass'; a plain colour stands in"):
        load_asset(write(tmp_path, "box.obj", obj(head="mtllib box.mtl").replace("f ", "usemtl glass\nf ", 1)))


# --- bad files --------------------------------------------------------------------------------------------------------


def _changed(**changes: object) -> bytes:
    document, buffer = gltf()
    return glb(document | changes, buffer)  # type: ignore[operator]


def _primitive(**changes: object) -> bytes:
    document, buffer = gltf()
    document["meshes"][0]["primitives"][0] |= changes
    return glb(document, buffer)


def _accessor(**changes: object) -> bytes:
    document, buffer = gltf()
    document["accessors"][0] |= changes
    return glb(document, buffer)


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("box.obj", obj())
    return out.getvalue()


BAD = [
    ("empty.obj", b"", "is empty"),
    ("gone.glb", None, "cannot be read: No such file"),
    ("thing.fbx", b"x", r"'.fbx' is no mesh format that is read; known: .glb, .gltf, .obj, .ply, .stl"),
    ("zip.obj", _zip(), "is an archive, no OBJ file"),
    ("zip.glb", _zip(), "is an archive, no GLB file"),
    ("cloud.obj", obj([]), "is a point cloud: it has 8 vertices and no faces"),
    ("cloud.ply", ply(False, []), "is a point cloud: it has 8 vertices and no faces"),
    ("cloud.glb", _primitive(mode=0), "is a point cloud"),
    ("lines.glb", _primitive(mode=1), "is made of lines; only triangles"),
    ("text.obj", "hello\nworld\n", "has no faces and no vertices; is it an OBJ file"),
    ("nan.glb", glb(*gltf(vertices=np.where(CORNERS == 0.1, np.nan, CORNERS))), r"4 vertices are not finite, the first is number 2"),
    ("inf.obj", obj(vertices=np.where(CORNERS == 0.3, np.inf, CORNERS)), "vertices are not finite"),
    ("huge.obj", obj(vertices=CORNERS * 1000), r"is 300 m large if its unit is the metre; if not, declare `unit: mm`.*huge.asset.yaml"),
    ("tiny.obj", obj(vertices=CORNERS / 1000), "is 0.0003 m large"),
    ("point.obj", obj(vertices=CORNERS * 0), "is 0 m large"),
    ("short.glb", FILES["box.glb"][:-9], "is truncated: .* its header promises"),
    ("short.stl", FILES["binary.stl"][:-9], "is no STL file, or truncated: .* promises 12 faces"),
    ("short2.stl", FILES["ascii.stl"][:700], "could be read; is it truncated or damaged"),
    ("short.ply", FILES["binary.ply"][:-9], "is no valid PLY file, truncated or damaged"),
    ("short2.ply", FILES["ascii.ply"][:-20], "could be read; is it truncated|truncated or damaged"),
    ("big.ply", FILES["ascii.ply"].replace(b"vertex 8", b"vertex 800000000000"), "promises more elements than its .* bytes can hold"),
    ("word.obj", obj().replace("f 1", "f x1", 1), "truncated or damaged"),
    ("number.obj", obj().replace("v 0.0", "v nought", 1), "truncated or damaged"),
    ("column.obj", obj().replace("v 0.0 0.0 0.0", "v 0.0 0.0", 1), "vertices have 2 to 3 numbers"),
    ("shifted.obj", obj().replace("v 0.0 0.0 0.0\nv 0.2 0.0", "v 0.0 0.0 0.0 1 0.2\nv 0.0"), "vertices have 2 to 5 numbers"),
    ("rows.obj", obj().replace("v 0.0 0.0 0.0", "v 0.0 0.0\x0b0.0 0 0", 1), r"is no text file: it has the character '\\x0b'"),
    ("range.obj", obj([[0, 1, 99]]), "face 1 names v 100, there are 8"),
    ("zero.obj", obj([[0, 1, -1]]), "face 1 names v 0, there are 8"),
    ("two.obj", obj([[0, 1]]), "face 1 has 2 corners"),
    ("between.obj", obj([[-9, -8, -7]]) + "v 0 0 1\n", r"relative \(negative\) indices between"),
    ("polygons.ply", ply(True, [[0, 2, 3, 1], [4, 5, 7], [0, 1, 5, 4, 6]]), "truncated or damaged"),
    ("draco.glb", _changed(extensionsRequired=["KHR_draco_mesh_compression"]), "needs the glTF extensions KHR_draco_mesh_compression"),
    ("sparse.glb", _accessor(sparse={}), "accessor 0 is sparse"),
    ("skin.glb", _changed(nodes=[{"mesh": 0, "skin": 0}]), "has a skinned mesh"),
    ("loop.glb", _changed(nodes=[{"mesh": 0, "children": [0]}]), "node 0 has two parents"),
    ("nothing.glb", _changed(scenes=[{"nodes": []}]), "has no faces"),
    ("long.glb", _accessor(count=10**12), "truncated or damaged"),
    ("normals.glb", glb(*gltf(normals=np.ones((5, 3)))), "has 5 normals for 8 vertices"),
    ("version.glb", _changed(asset={"version": "1.0"}), "is glTF 1.0; 2.0 is read"),
]


@pytest.mark.parametrize(("name", "data", "message"), BAD, ids=[name for name, _, _ in BAD])
def test_a_bad_file_is_one_message_naming_file_and_cause(name: str, data: bytes | str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / name if data is None else write(tmp_path, name, data)
    with pytest.raises(AssetError, match=message) as caught:
        load_asset(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_caps_of_bytes_faces_parts_and_pixels(tmp_path: Path) -> None:
    path = write(tmp_path, "box.obj", FILES["box.obj"])
    with pytest.raises(AssetError, match="12 faces are over the cap of 11"):
        load_asset(path, limits=Limits(max_faces=11))
    with pytest.raises(AssetError, match="are over the cap of 0 MiB"):
        load_asset(path, limits=Limits(max_bytes=100))
    many = [{"mesh": 0} for _ in range(9)]
    with pytest.raises(AssetError, match="108 faces are over the cap"):
        load_asset(write(tmp_path, "m.glb", glb(*gltf(nodes=many, scenes=[{"nodes": list(range(9))}]))), limits=Limits(max_faces=100))
    textured = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}
    bomb = glb(*gltf(material=textured, uv=True, image=png((6000, 6000), 0, "1")))
    assert len(bomb) < 20_000
    with pytest.raises(AssetError, match="texture 'image 0': 6000 x 6000 pixels are over the cap of 16"):
        load_asset(write(tmp_path, "bomb.glb", bomb), limits=Limits(max_pixels=4000 * 4000))


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "sub/../../secret.png", "C:\\secret.png", "http://example.org/a.png"])
def test_nothing_outside_the_folder_is_read(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "asset"
    folder.mkdir()
    write(tmp_path, "secret.png", png())
    write(folder, "box.mtl", f"newmtl a\nmap_Kd {name}\n")
    path = write(folder, "box.obj", obj(head="mtllib box.mtl\nvt 0 0").replace("f ", "usemtl a\nf ", 1))
    with pytest.raises(AssetError, match="which is outside its folder"):
        load_asset(path)
    document, _ = gltf()
    document["buffers"][0]["uri"] = name.replace("\\", "/")
    with pytest.raises(AssetError, match="which is outside its folder"):
        load_asset(write(folder, "a.gltf", json.dumps(document)))


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "asset"
    folder.mkdir()
    document, buffer = gltf()
    write(tmp_path, "b.bin", buffer)
    (folder / "b.bin").symlink_to(tmp_path / "b.bin")
    document["buffers"][0]["uri"] = "b.bin"
    with pytest.raises(AssetError, match="which is outside its folder"):
        load_asset(write(folder, "a.gltf", json.dumps(document)))


TEXTURED = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}, "normalTexture": {"index": 0}, "alphaMode": "MASK"}
PLACED = {"translation": [1, 2, 3], "rotation": [0, 0, 0.6, 0.8], "scale": [1, 2, 3]}
SEEDS = {
    "textured.glb": glb(*gltf(material=TEXTURED, uv=True, image=png(), normals=CORNERS - 0.04, node=PLACED)),
    "colors.ply": ply(True, colors=True),
    **FILES,
    "a.gltf": json.dumps(
        gltf()[0] | {"buffers": [{"byteLength": 168, "uri": "data:;base64," + base64.b64encode(gltf()[1]).decode()}]}
    ).encode(),
}


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(SEEDS)),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999999), st.integers(0, 255)), max_size=4),
    truncate=st.booleans(),
)
def test_damage_gives_an_asset_error_or_an_asset(
    tmp_path: Path, name: str, cut: float, flips: list[tuple[float, int]], truncate: bool
) -> None:
    data = bytearray(SEEDS[name])
    for place, value in flips:
        data[int(place * len(data))] = value
    if truncate:
        data = data[: int(cut * len(data))]
    path = write(tmp_path, name, bytes(data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssetWarning)
        try:
            asset: Asset | AssetError = load_asset(path)
        except AssetError as error:
            asset = error
    if isinstance(asset, Asset):
        assert np.isfinite(asset.vertices_m).all()
    else:
        assert str(path) in str(asset)


# --- the description beside it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("ending", ["obj", "ply"])
def test_a_polygon_is_whole_or_refused(ending: str, first: int, tmp_path: Path) -> None:
    """An arrow head of area 0.55: as a fan from corner 3, the notch, it is right; from any other it would cover more."""
    points = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0.5, 0.1, 0), (0, 1, 0)])
    faces = [[*range(first, 5), *range(first)], [0, 1, 3]]
    path = tmp_path / f"arrow.{ending}"
    path.write_bytes(ply(False, faces, vertices=points) if ending == "ply" else obj(faces, points).encode())
    if first != 3:
        with pytest.raises(AssetError, match="face 1 has 5 corners and is concave"):
            load_asset(path)
        return
    triangles = soup(load_asset(path)).astype(float)
    assert np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])[:, 2].sum() / 2 == pytest.approx(0.55 + 0.05)


def test_a_shape_far_from_its_origin_is_refused_where_it_would_move(tmp_path: Path) -> None:
    path = tmp_path / "survey.obj"
    path.write_text(obj(QUADS, CORNERS + [500_000.2, 0, 0]))
    with pytest.raises(AssetError, match="from its origin, so far that float32 moves its vertices"):
        load_asset(path)
    path.write_text(obj(QUADS, CORNERS + [50, 0, 0]))
    assert np.allclose(load_asset(path).box_object_m[1], [0.2, 0.1, 0.3], atol=1e-5)


def test_unit_scale_and_up_axis(tmp_path: Path) -> None:
    write(tmp_path, "a.asset.yaml", "unit: cm\nscale: 2\nup: y\nname: crate")
    asset = load_asset(write(tmp_path, "a.obj", obj()))
    assert asset.name == "crate"
    assert np.allclose(np.ptp(asset.vertices_m, axis=0), np.array([0.2, 0.3, 0.1]) * 0.02)
    assert np.allclose(asset.vertices_m[:, 2].min(), 0)
    assert volume(asset) > 0
    assert np.allclose(load_asset(write(tmp_path, "b.obj", obj())).vertices_m.max(0), [0.2, 0.1, 0.3]), "without a description, as the file"


def test_keypoints_category_and_material(tmp_path: Path) -> None:
    text = """
    category: mug
    keypoints: {rim_left: [0, 0.1, 0.3], rim_right: [0, 0, 0.3], middle: {at: [0.1, 0.05, 0.15], inside: true}}
    mirror: [[rim_left, rim_right]]
    skeleton: [[rim_left, middle]]
    material: {roughness: 0.25, double_sided: true}
    licence: CC0
    """
    write(tmp_path, "a.asset.yaml", text)
    asset = load_asset(path := write(tmp_path, "a.obj", obj()))
    category = read_info(path).category
    assert category is not None
    assert (category.keypoints, category.mirror) == (("rim_left", "rim_right", "middle"), (("rim_left", "rim_right"),))
    assert [(k.xyz_object_m, k.inside) for k in asset.keypoints] == [
        ((0, 0.1, 0.3), False),
        ((0, 0, 0.3), False),
        ((0.1, 0.05, 0.15), True),
    ]
    assert (asset.meshes[0].material.roughness, asset.meshes[0].material.double_sided, asset.licence) == (0.25, True, "CC0")


def test_box_corners_are_derived_and_mirror_left_and_right(tmp_path: Path) -> None:
    write(tmp_path, "a.asset.yaml", "{category: box, keypoints: box}")
    asset = load_asset(path := write(tmp_path, "a.obj", obj()))
    corners = {k.name: k.xyz_object_m for k in asset.keypoints}
    assert tuple(corners) == BOX_CORNERS
    assert corners["front_left_bottom"] == pytest.approx((0, 0, 0))
    assert corners["back_right_top"] == pytest.approx((0.2, 0.1, 0.3))
    assert corners["front_right_top"] == pytest.approx((0.2, 0, 0.3))
    category = read_info(path).category
    assert category is not None
    assert ("front_left_bottom", "front_right_bottom") in category.mirror
    assert len(category.skeleton) == 12
    lengths = sorted(np.linalg.norm(np.subtract(corners[a], corners[b])) for a, b in category.skeleton)
    assert lengths == pytest.approx([0.1] * 4 + [0.2] * 4 + [0.3] * 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keypionts: {}", "no key 'keypionts'; did you mean 'keypoints'"),
        ("unit: ft", "no unit 'ft'"),
        ("scale: -1", r"scale must be a number in \[1e-09, 1e\+09\], got -1"),
        ("scale: yes", "scale must be a number"),
        ("up: w", "up must be x, y or z"),
        ("keypoints: {a: [1, 2]}", r"keypoint 'a' must be \[x, y, z\]"),
        ("keypoints: {a: [1, 2, .nan]}", "keypoint 'a': xyz_object_m must be three finite"),
        ("{category: a, keypoints: {a: [0, 0, 0]}, mirror: [[a, b]]}", "mirror names 'b'"),
        ("material: {roughness: 2}", r"roughness must be a number in \[0, 1\], got 2"),
        ("material: {rough: 1}", "no key of material 'rough'; did you mean 'roughness'"),
        ("[1, 2]", "must hold keys and values, got list"),
        ("a: [", "is no valid YAML"),
        ("!!python/object/apply:os.system ['true']", "is no valid YAML"),
    ],
)
def test_a_wrong_description_names_file_and_key(text: str, message: str, tmp_path: Path) -> None:
    file = write(tmp_path, "a.asset.yaml", text)
    with pytest.raises(AssetError, match=message) as caught:
        load_asset(write(tmp_path, "a.obj", obj()))
    assert str(file) in str(caught.value)


def test_loaded_once_shared_read_only_and_again_when_written(tmp_path: Path) -> None:
    path = write(tmp_path, "a.obj", obj())
    asset = load_asset(path)
    assert load_asset(str(path)) is asset
    with pytest.raises(ValueError, match="read-only"):
        asset.meshes[0].vertices_m[0, 0] = 1
    write(tmp_path, "a.asset.yaml", "scale: 2")
    assert load_asset(path).diameter_m == pytest.approx(2 * asset.diameter_m)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files of tmp_path that were opened since."""
    found: list[Path] = []
    for module in (images, meshes, meshes.common, assets):
        monkeypatch.setattr(module, "read_capped", lambda path, *rest: (found.append(path), read_capped(path, *rest))[1])
    return found


def several_files(folder: Path, ending: str) -> tuple[Path, set[str]]:
    """A mesh that names files beside it, and their names."""
    write(folder, "wood.png", png())
    write(folder, "box.asset.yaml", "scale: 2")
    if ending == "obj":
        write(folder, "one.mtl", "newmtl a\nmap_Kd wood.png\n")
        faces = "".join("f " + " ".join(f"{c + 1}/1" for c in q) + "\n" for q in QUADS)
        vertices = "".join("v {} {} {}\n".format(*v) for v in CORNERS)
        return write(folder, "box.obj", f"mtllib one.mtl\n{vertices}vt 0 0\nusemtl a\n{faces}"), {"one.mtl", "wood.png"}
    document, buffer = gltf(material={"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}, uv=True, image=png())
    document["images"] = [{"uri": "wood.png"}]
    if ending == "glb":
        return write(folder, "box.glb", glb(document, buffer)), {"wood.png"}
    document["buffers"][0]["uri"] = "box.bin"
    write(folder, "box.bin", buffer)
    return write(folder, "box.gltf", json.dumps(document)), {"box.bin", "wood.png"}


@pytest.mark.parametrize("ending", ["obj", "glb", "gltf"])
def test_asset_files_are_those_that_are_read(ending: str, tmp_path: Path, asked: list[Path]) -> None:
    path, beside = several_files(tmp_path, ending)
    first = load_asset(path)
    found = asset_files(path)
    assert {file.name for file in found} == {path.name, "box.asset.yaml"} | beside
    assert set(found) == set(asked)
    assert load_asset(path) is first
    Image.new("RGB", (7, 7)).save(tmp_path / "wood.png")  # what lies beside a mesh may change as well
    again = load_asset(path).meshes[0].material.base_color_texture
    assert again is not None
    assert again.shape == (7, 7, 3)
    (tmp_path / "wood.png").unlink()
    with pytest.warns(AssetWarning, match=r"wood\.png"):
        assert {file.name for file in asset_files(path)} == {path.name, "box.asset.yaml"} | beside - {"wood.png"}
    write(tmp_path, "wood.png", png())
    assert set(asset_files(path)) == set(found)


def test_asset_files_of_a_file_that_holds_all(tmp_path: Path, asked: list[Path]) -> None:
    path = write(tmp_path, "a.glb", glb(*gltf(uv=True, image=png())))
    assert asset_files(path) == (path,)
    assert not asked  # it need not be loaded to be sure
    with pytest.raises(AssetError, match="truncated"):
        asset_files(write(tmp_path, "b.glb", path.read_bytes()[:30]))


def test_what_was_not_used_for_long_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_cache", OrderedDict())
    for name in "abcd":
        Image.new("RGB", (100, 100)).save(tmp_path / f"{name}.png")  # 30 kB each
    monkeypatch.setattr(images, "CACHE_BYTES", 100_000)
    a, b = load_photo(tmp_path / "a.png"), load_photo(tmp_path / "b.png")
    load_photo(tmp_path / "c.png")
    assert load_photo(tmp_path / "a.png") is a
    load_photo(tmp_path / "d.png")
    assert load_photo(tmp_path / "a.png") is a
    assert load_photo(tmp_path / "b.png") is not b
    mesh = load_asset(write(tmp_path, "box.obj", obj()))
    assert images._cache[next(reversed(images._cache))][2] == sum(x.nbytes for m in mesh.meshes for x in (m.vertices_m, m.faces, m.normals))


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_photos_are_rgb_and_upright(tmp_path: Path) -> None:
    picture = Image.new("RGB", (6, 4))
    picture.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to show
    picture.save(tmp_path / "turned.png", exif=exif)
    photo = load_photo(tmp_path / "turned.png")
    assert photo.shape == (6, 4, 3)
    assert photo[0, 3].tolist() == [255, 255, 255]
    Image.fromarray(np.full((2, 3), 32768, np.uint16)).save(tmp_path / "deep.png")
    assert load_photo(tmp_path / "deep.png").tolist() == np.full((2, 3, 3), 127).tolist()
    Image.new("LA", (2, 2), (9, 255)).save(tmp_path / "opaque.png")
    assert load_photo(tmp_path / "opaque.png").shape == (2, 2, 3)
    assert load_photo(tmp_path / "deep.png") is load_photo(tmp_path / "deep.png")


def test_bad_photos(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (9, 9, 9, 100)).save(tmp_path / "glass.png")
    with pytest.raises(AssetError, match=r"glass\.png: has transparent pixels"):
        load_photo(tmp_path / "glass.png")
    Image.new("I", (2, 2)).save(tmp_path / "wide.tiff")
    with pytest.raises(AssetError, match="has 32 bits a channel"):
        load_photo(tmp_path / "wide.tiff")
    header = b"IHDR" + struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    write(tmp_path, "bomb.png", png()[:8] + chunk + png()[33:])
    with pytest.raises(AssetError, match="over the cap"):
        load_photo(tmp_path / "bomb.png")
    with pytest.raises(AssetError, match="cannot be read as a picture"):
        load_photo(write(tmp_path, "cut.png", png((50, 50))[:90]))


def test_hdris_are_linear_rgb_and_bad_ones_one_message(tmp_path: Path) -> None:
    bgr = np.zeros((4, 8, 3), np.float32)
    bgr[1, 2] = (0.5, 2.0, 16.0)
    cv2.imwrite(str(tmp_path / "a.hdr"), bgr)
    hdri = load_hdri(tmp_path / "a.hdr")
    assert hdri.dtype == np.float32
    assert np.allclose(hdri[1, 2], (16, 2, 0.5), rtol=0.02, atol=0.07)  # RGBE shares one exponent
    data = (tmp_path / "a.hdr").read_bytes()
    cv2.imwrite(str(tmp_path / "square.hdr"), bgr[:, :4])
    cases = {
        "a.exr": (b"v/1\x01", "EXR is not read; convert it"),
        "cut.hdr": (data[:-20], "is damaged or truncated"),
        "two.hdr": (data.replace(b"\nFORMAT", b"\n\n-Y 4 +X 8\nFORMAT"), r"is no Radiance \.hdr file"),
        "no.hdr": (b"nothing", r"is no Radiance \.hdr file"),
        "bomb.hdr": (data.replace(b"-Y 4 +X 8", b"-Y 90000 +X 180000"), "over the cap"),
        "square.hdr": ((tmp_path / "square.hdr").read_bytes(), "twice as wide as high, got 4 x 4"),
    }
    for name, (content, message) in cases.items():
        with pytest.raises(AssetError, match=message):
            load_hdri(write(tmp_path, name, content))


# --- what ships -------------------------------------------------------------------------------------------------------


def distance_to_surface_m(point: np.ndarray, triangles: np.ndarray) -> float:
    """Least distance of a point to triangles (m, 3, 3): to their planes where it projects inside, else to their edges."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    normal = np.cross(b - a, c - a)
    area = np.linalg.norm(normal, axis=1)
    keep = area > 1e-15
    a, b, c, normal = a[keep], b[keep], c[keep], normal[keep] / area[keep, None]
    height = np.einsum("ij,ij->i", point - a, normal)
    foot = point - height[:, None] * normal
    inside = np.all([np.einsum("ij,ij->i", np.cross(q - p, foot - p), normal) >= 0 for p, q in ((a, b), (b, c), (c, a))], axis=0)
    best = np.abs(height[inside]).min(initial=np.inf)
    for p, q in ((a, b), (b, c), (c, a)):
        t = np.clip(np.einsum("ij,ij->i", point - p, q - p) / np.maximum(np.einsum("ij,ij->i", q - p, q - p), 1e-30), 0, 1)
        best = min(best, np.linalg.norm(p + t[:, None] * (q - p) - point, axis=1).min())
    return float(best)


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_shipped_objects(path: Path) -> None:
    asset, info = load_asset(path), read_info(path)
    assert asset.licence in ("CC-BY-4.0", "MIT")
    assert (path.parent / "LICENSE").is_file()
    assert 0.03 < asset.diameter_m < 0.35
    triangles = soup(asset).astype(np.float64)
    for keypoint in asset.keypoints:
        assert distance_to_surface_m(np.array(keypoint.xyz_object_m), triangles) < 1e-3, keypoint
    if info.category is not None:
        assert len(info.category.keypoints) >= 3
