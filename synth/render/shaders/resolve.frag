// Samples to pixels. SAMPLES 1: a sample is a pixel. SAMPLES 2: samples lie half a pixel apart and sample (2c+1, 2r+1) is the centre of
// pixel (c, r); colour is the 3x3 samples around it under a tent, labels are the centre's alone.
uniform sampler2D radiance_map;
uniform usampler2D instance_map;
uniform sampler2D depth_map;
uniform sampler2D normals_map;
uniform vec3 background;
layout(location = 0) out vec4 rgb_out;
layout(location = 1) out uint instance_out;
layout(location = 2) out float depth_out;
layout(location = 3) out vec4 normal_out;

vec3 from_octahedral(vec2 code) {
    vec2 e = code * 2.0 - 1.0;
    vec3 n = vec3(e, 1.0 - abs(e.x) - abs(e.y));
    float fold = max(-n.z, 0.0);
    n.xy -= fold * vec2(n.x >= 0.0 ? 1.0 : -1.0, n.y >= 0.0 ? 1.0 : -1.0);
    return normalize(n);
}

vec3 srgb(vec3 linear) {
    linear = clamp(linear, 0.0, 1.0);
    return mix(1.055 * pow(linear, vec3(1.0 / 2.4)) - 0.055, 12.92 * linear, lessThanEqual(linear, vec3(0.0031308)));
}

void main() {
    ivec2 pixel = ivec2(gl_FragCoord.xy);
#if SAMPLES == 2
    ivec2 texel = 2 * pixel + 1;
    vec4 sum = 0.25 * texelFetch(radiance_map, texel, 0);
    sum += 0.125 * (texelFetch(radiance_map, texel + ivec2(1, 0), 0) + texelFetch(radiance_map, texel - ivec2(1, 0), 0)
                  + texelFetch(radiance_map, texel + ivec2(0, 1), 0) + texelFetch(radiance_map, texel - ivec2(0, 1), 0));
    sum += 0.0625 * (texelFetch(radiance_map, texel + ivec2(1, 1), 0) + texelFetch(radiance_map, texel - ivec2(1, 1), 0)
                   + texelFetch(radiance_map, texel + ivec2(1, -1), 0) + texelFetch(radiance_map, texel + ivec2(-1, 1), 0));
#else
    ivec2 texel = pixel;
    vec4 sum = texelFetch(radiance_map, texel, 0);
#endif
    rgb_out = vec4(srgb(sum.rgb + (1.0 - sum.a) * background), 1.0);
    instance_out = texelFetch(instance_map, texel, 0).r;
    float depth = texelFetch(depth_map, texel, 0).r;
    depth_out = depth;
    normal_out = vec4(depth == 0.0 ? vec3(0.0) : from_octahedral(texelFetch(normals_map, texel, 0).xy), 0.0);
}
