// Samples to pixels: the light that comes from what the surface pass found, by glTF's metallic-roughness BRDF (section B of its
// specification). Everything is in the camera's frame (OpenCV axes, metres).
//
// SAMPLES 1: a sample is a pixel. SAMPLES 2: samples lie half a pixel apart and sample (2c+1, 2r+1) is the centre of pixel (c, r); a
// pixel's colour is the 3x3 samples around its centre under a tent, its labels are the centre's alone. Samples of one surface are
// shaded together, by their mean material, so most pixels are shaded once and an edge once a side.
uniform usampler2D instance_map;
uniform sampler2D depth_map;
uniform sampler2D base_roughness_map;
uniform sampler2D emissive_metallic_map;
uniform sampler2D normals_map;
uniform mat3 ray_from_sample;  // z = 1
uniform float near_m;
uniform float exposure;
uniform vec4 lights[3 * MAX_LIGHTS];  // rgb, is it directional | towards it, or its position, cos outer | axis, cos inner
uniform int shadow_count;             // those with a shadow map are the first, in the order of its layers
uniform int light_count;
uniform sampler2DArrayShadow shadow_map;
uniform sampler2DArray shadow_depth_map;      // the same texture, read as it is
uniform mat4 shadow_from_camera[MAX_SHADOWS]; // to [0, 1]^3
uniform vec4 shadow_extent[MAX_SHADOWS];      // metres of that cube, softness (lights.py)
uniform vec3 ambient;                         // radiance from all sides, or the scale of the panorama
#ifdef PANORAMA
uniform mat3 panorama_from_camera;
uniform vec4 irradiance_sh[9];                // environment.py
uniform sampler2D mirror_map;                 // level 5 * roughness
uniform sampler2D panorama_map;
uniform float panorama_lod;
#endif
#ifdef PHOTO
uniform sampler2D photo_map;                  // of the frame's size
#endif

layout(location = 0) out vec4 rgb_out;
layout(location = 1) out uint instance_out;
layout(location = 2) out float depth_code_out;
layout(location = 3) out vec4 normal_out;

const float PI = 3.14159265;

struct Surface {
    vec3 position, facing, normal, base, emission;  // facing: the surface's normal, normal: with the normal texture
    float metallic, roughness;
};

vec3 from_octahedral(vec2 code) {  // not of unit length
    vec2 e = code * 2.0 - 1.0;
    vec3 n = vec3(e, 1.0 - abs(e.x) - abs(e.y));
    float fold = max(-n.z, 0.0);
    n.xy -= fold * vec2(n.x >= 0.0 ? 1.0 : -1.0, n.y >= 0.0 ? 1.0 : -1.0);
    return n;
}

// Exact up to 0.8; above, each channel nears white without reaching it, with no kink at 0.8.
vec3 shoulder(vec3 x) {
    return min(x, 0.8) + 0.2 * (1.0 - exp(-5.0 * max(x - 0.8, 0.0)));
}

vec3 srgb(vec3 linear) {
    linear = clamp(linear, 0.0, 1.0);
    return mix(1.055 * pow(linear, vec3(1.0 / 2.4)) - 0.055, 12.92 * linear, lessThanEqual(linear, vec3(0.0031308)));
}

// The share of a directional light that reaches a point. What blocks it is looked for in as wide a disc as its half shadow could be;
// its mean distance gives the width of the half shadow here (Fernando 2005, "Percentage-closer soft shadows").
float lit(int layer, vec3 position, vec3 facing, vec3 to_light) {
    if (dot(facing, to_light) <= 0.0) return 0.0;  // though a normal texture may turn it to the light
    mat4 map_from_camera = shadow_from_camera[layer];
    vec4 extent = shadow_extent[layer];
    vec2 texel = 1.0 / vec2(textureSize(shadow_depth_map, 0).xy);
    float texel_m = max(extent.x * texel.x, extent.y * texel.y), slope = sqrt(max(1.0 - pow(dot(facing, to_light), 2.0), 0.0));
    vec3 at = (map_from_camera * vec4(position + facing * texel_m * (0.5 + slope), 1.0)).xyz;
    if (any(greaterThan(abs(at.xy - 0.5), vec2(0.5)))) return 1.0;
    // Beside the point its surface is nearer to the light or farther by its slope: a tap compares with the plane, not with the point.
    vec3 plane = mat3(map_from_camera) * facing * extent.xyz * extent.xyz;
    vec2 rise = -plane.xy / min(plane.z, -0.1 * extent.z * length(facing));
    float bias = 0.5 * texel_m / extent.z;
    vec2 reach = extent.w * extent.z / extent.xy;
    float taps = floor(clamp(6.0 + 0.4 * extent.w * extent.z / texel_m, 8.0, 32.0));  // more for a softer light
    // Turned from pixel to pixel, so that few taps give grain, not bands (Jimenez 2014, interleaved gradient noise).
    float turn = 6.2831853 * fract(52.9829189 * fract(dot(floor(gl_FragCoord.xy), vec2(0.06711056, 0.00583715))));
    // Points even on a disc: each a golden angle on, and farther out (Vogel 1979).
    const mat2 onward = mat2(-0.7373688, 0.6754903, -0.6754903, -0.7373688);
    vec2 radius = max(reach * at.z, texel), first = vec2(cos(turn), sin(turn)), towards = first;
    float blockers = 0.0, depth = 0.0, i = 0.5;
    do {
        vec2 offset = radius * sqrt(i / taps) * towards;
        float d = textureLod(shadow_depth_map, vec3(at.xy + offset, layer), 0.0).r;
        float blocks = d < at.z + dot(rise, offset) - bias ? 1.0 : 0.0;
        blockers += blocks;
        depth += blocks * d;
        towards = onward * towards;
        i += 1.0;
    } while (i < taps);
    if (blockers == 0.0) return 1.0;
    radius = max(reach * (at.z - depth / blockers), texel);
    float sum = 0.0;
    i = 0.5;
    towards = first;
    do {
        vec2 offset = radius * sqrt(i / taps) * towards;
        sum += texture(shadow_map, vec4(at.xy + offset, layer, at.z + dot(rise, offset) - bias));
        towards = onward * towards;
        i += 1.0;
    } while (i < taps);
    return sum / taps;
}

#ifdef PANORAMA
vec2 panorama_uv(vec3 direction) {  // u = 0.5 - azimuth / 2 pi, v = polar angle / pi, from its top row
    return vec2(0.5 - atan(direction.y, direction.x) / (2.0 * PI), acos(clamp(direction.z, -1.0, 1.0)) / PI);
}

vec3 irradiance_over_pi(vec3 n) {
    vec3 sum = 0.282095 * irradiance_sh[0].rgb + 0.488603 * (irradiance_sh[1].rgb * n.y + irradiance_sh[2].rgb * n.z + irradiance_sh[3].rgb * n.x)
        + 1.092548 * (irradiance_sh[4].rgb * n.x * n.y + irradiance_sh[5].rgb * n.y * n.z + irradiance_sh[7].rgb * n.x * n.z)
        + 0.315392 * irradiance_sh[6].rgb * (3.0 * n.z * n.z - 1.0) + 0.546274 * irradiance_sh[8].rgb * (n.x * n.x - n.y * n.y);
    return max(sum, 0.0);
}
#endif

vec3 background(ivec2 pixel, ivec2 texel) {  // linear, as shown
#if defined(PHOTO)
    return texelFetch(photo_map, pixel, 0).rgb;
#elif defined(PANORAMA)
    vec3 direction = normalize(panorama_from_camera * (ray_from_sample * vec3(vec2(texel) + 0.5, 1.0)));
    return shoulder(ambient * textureLod(panorama_map, panorama_uv(direction), panorama_lod).rgb * exposure);
#else
    return shoulder(ambient * exposure);
#endif
}

// The surroundings, reflected by a surface: the split sum of Karis (2013), its table as the fit of Lazarov (2013), and what bounces
// between the facets of a rough surface (Fdez-Aguera 2019, "A multiple-scattering microfacet model for real-time image-based lighting").
vec3 surroundings(Surface s, vec3 to_eye, float n_v, vec3 matt, vec3 f0) {
    vec4 r = s.roughness * vec4(-1.0, -0.0275, -0.572, 0.022) + vec4(1.0, 0.0425, 1.04, -0.04);
    float fit = min(r.x * r.x, exp2(-9.28 * n_v)) * r.x + r.y;
    vec2 scale_bias = clamp(vec2(-1.04, 1.04) * fit + r.zw, 0.0, 1.0);
    vec3 once = f0 * scale_bias.x + scale_bias.y, mean_fresnel = f0 + (1.0 - f0) / 21.0;
    float lost = max(1.0 - scale_bias.x - scale_bias.y, 0.0);
    vec3 often = once * mean_fresnel * lost / (1.0 - mean_fresnel * lost);
#ifdef PANORAMA
    vec3 toward = panorama_from_camera * reflect(-to_eye, s.normal);
    vec3 mirror = textureLod(mirror_map, panorama_uv(toward), 5.0 * s.roughness).rgb;
    vec3 around = irradiance_over_pi(panorama_from_camera * s.normal);
    return ambient * (once * mirror + (often + matt * (1.0 - once - often)) * around);
#else
    return ambient * (once + often + matt * (1.0 - once - often));
#endif
}

// What a surface sends to the eye of light that arrives from one direction, for irradiance 1 across that direction.
vec3 reflected(Surface s, vec3 to_eye, float n_v, vec3 matt, vec3 f0, vec3 to_light) {
    float n_l = dot(s.normal, to_light);
    float lit_l = max(n_l, 1e-4);
    float a2 = s.roughness * s.roughness * s.roughness * s.roughness;
    vec3 half_way = normalize(to_light + to_eye);
    float n_h = clamp(dot(s.normal, half_way), 0.0, 1.0), v_h = clamp(dot(to_eye, half_way), 0.0, 1.0);
    float spread = n_h * n_h * (a2 - 1.0) + 1.0;
    float distribution = a2 / (PI * spread * spread);
    float visibility = 0.5 / (lit_l * sqrt(n_v * n_v * (1.0 - a2) + a2) + n_v * sqrt(lit_l * lit_l * (1.0 - a2) + a2));
    float grazing = 1.0 - v_h, grazing2 = grazing * grazing;
    vec3 fresnel = f0 + (1.0 - f0) * (grazing2 * grazing2 * grazing);
    return max(n_l, 0.0) * ((1.0 - fresnel) * matt / PI + fresnel * (distribution * visibility));
}

vec3 radiance(Surface s) {
    s.roughness = max(s.roughness, 0.05);
    vec3 to_eye = normalize(-s.position);
    float n_v = max(dot(s.normal, to_eye), 1e-3);
    vec3 matt = s.base * (1.0 - s.metallic), f0 = mix(vec3(0.04), s.base, s.metallic);
    vec3 sum = s.emission + surroundings(s, to_eye, n_v, matt, f0);
    // Loops test at their end: a software driver runs a body once more, masked, for a test at the head. Branches cost both sides there,
    // so lights with and without shadow have a loop each.
    int i = 0;
#ifdef SHADOWS
    do {
        vec3 to_light = lights[3 * i + 1].xyz;
        sum += lights[3 * i].rgb * lit(i, s.position, s.facing, to_light) * reflected(s, to_eye, n_v, matt, f0, to_light);
    } while (++i < shadow_count);
#endif
#ifdef OTHER_LIGHTS
    do {
        vec4 color = lights[3 * i], place = lights[3 * i + 1], axis = lights[3 * i + 2];
        vec3 to_light = place.xyz - s.position * (1.0 - color.w);
        float square = max(dot(to_light, to_light), 1e-12);
        to_light *= inversesqrt(square);
        float cone = clamp((-dot(to_light, axis.xyz) - place.w) / (axis.w - place.w), 0.0, 1.0);
        sum += color.rgb * (cone / square) * reflected(s, to_eye, n_v, matt, f0, to_light);
    } while (++i < light_count);
#endif
    return shoulder(sum * exposure);
}

vec3 position_at(ivec2 texel, float depth_code) {
    return ray_from_sample * vec3(vec2(texel) + 0.5, 1.0) * (near_m / depth_code);
}

void main() {
    ivec2 pixel = ivec2(gl_FragCoord.xy);
    ivec2 centre = SAMPLES == 2 ? 2 * pixel + 1 : pixel;
    float centre_code = texelFetch(depth_map, centre, 0).r;
    vec3 color = vec3(0.0);
#if SAMPLES == 2
    float covered = 0.0;
    uint pending = 0x1ffu;  // of the 3x3 samples, row by row
    int group = 0;
    do {
        int first = (pending & 16u) != 0u ? 4 : findLSB(pending);
        ivec2 at = centre + ivec2(first % 3 - 1, first / 3 - 1);
        uint owner = texelFetch(instance_map, at, 0).r;
        float code = texelFetch(depth_map, at, 0).r;
        vec3 facing = normalize(from_octahedral(texelFetch(normals_map, at, 0).xy));
        float weight = 0.0;
        Surface s = Surface(vec3(0.0), facing, vec3(0.0), vec3(0.0), vec3(0.0), 0.0, 0.0);
        for (int i = 0; i < 9; ++i) {
            if ((pending & (1u << i)) == 0u) continue;
            ivec2 offset = ivec2(i % 3 - 1, i / 3 - 1), texel = centre + offset;
            float code_i = texelFetch(depth_map, texel, 0).r;
            vec4 normals = texelFetch(normals_map, texel, 0);
            vec3 facing_i = from_octahedral(normals.xy);
            bool same = texelFetch(instance_map, texel, 0).r == owner
                && (code == 0.0 || (abs(code_i - code) < 0.03 * code && dot(facing_i, facing) > 0.97 * length(facing_i)));
            if (!same) continue;
            pending &= ~(1u << i);
            float w = (offset.x == 0 ? 0.5 : 0.25) * (offset.y == 0 ? 0.5 : 0.25);
            weight += w;
            vec4 base_roughness = texelFetch(base_roughness_map, texel, 0);
            vec4 emissive_metallic = texelFetch(emissive_metallic_map, texel, 0);
            s.base += w * base_roughness.rgb * base_roughness.rgb;
            s.roughness += w * base_roughness.a;
            s.emission += w * emissive_metallic.rgb;
            s.metallic += w * emissive_metallic.a;
            s.normal += w * from_octahedral(normals.zw);
        }
        if (code > 0.0) {
            float scale = 1.0 / weight;
            s = Surface(position_at(at, code), facing, normalize(s.normal), s.base * scale, s.emission * scale, s.metallic * scale, s.roughness * scale);
            color += weight * radiance(s);
            covered += weight;
        } else {
            color += weight * background(pixel, centre);
            covered += weight;
        }
    } while (pending != 0u && ++group < 4);
    color /= covered;
#else
    if (centre_code > 0.0) {
        vec4 base_roughness = texelFetch(base_roughness_map, centre, 0);
        vec4 emissive_metallic = texelFetch(emissive_metallic_map, centre, 0);
        vec3 normal = normalize(from_octahedral(texelFetch(normals_map, centre, 0).zw));
        color = radiance(Surface(position_at(centre, centre_code), normalize(from_octahedral(texelFetch(normals_map, centre, 0).xy)), normal, base_roughness.rgb * base_roughness.rgb, emissive_metallic.rgb,
            emissive_metallic.a, base_roughness.a));
    } else color = background(pixel, centre);
#endif
    rgb_out = vec4(srgb(color), 1.0);
    instance_out = texelFetch(instance_map, centre, 0).r;
    depth_code_out = centre_code;
    normal_out = vec4(centre_code == 0.0 ? vec3(0.0) : normalize(from_octahedral(texelFetch(normals_map, centre, 0).xy)), 0.0);
}
