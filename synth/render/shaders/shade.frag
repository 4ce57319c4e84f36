// Radiance of each surface sample: glTF's metallic-roughness BRDF (section B of its specification) under all lights.
// Everything is in the camera's frame (OpenCV axes, metres).
uniform sampler2D depth_map;
uniform sampler2D base_roughness_map;
uniform sampler2D emissive_metallic_map;
uniform sampler2D normals_map;
uniform mat3 ray_from_pixel;    // z = 1
uniform float near_m;
uniform float exposure;
uniform vec4 lights[3 * MAX_LIGHTS];  // rgb, is it directional | towards it or position, shadow layer or cos outer | axis, cos inner
uniform int light_count;
uniform vec4 irradiance_sh[9];  // of the surroundings over pi, camera frame
out vec4 radiance_out;          // times exposure, through the shoulder; a = 1: something is here

const float PI = 3.14159265;

vec3 from_octahedral(vec2 code) {
    vec2 e = code * 2.0 - 1.0;
    vec3 n = vec3(e, 1.0 - abs(e.x) - abs(e.y));
    float fold = max(-n.z, 0.0);
    n.xy -= fold * vec2(n.x >= 0.0 ? 1.0 : -1.0, n.y >= 0.0 ? 1.0 : -1.0);
    return normalize(n);
}

// Exact up to 0.8; above, each channel nears white without reaching it, with no kink at 0.8.
vec3 shoulder(vec3 x) {
    vec3 over = max(x - 0.8, 0.0);
    return min(x, 0.8) + 0.2 * (1.0 - exp(-5.0 * over));
}

void main() {
    ivec2 texel = ivec2(gl_FragCoord.xy);
    float depth = texelFetch(depth_map, texel, 0).r;
    if (depth == 0.0) {
        radiance_out = vec4(0.0);
        return;
    }
    vec3 position = ray_from_pixel * vec3(gl_FragCoord.xy, 1.0) * (near_m / depth);
    vec4 base_roughness = texelFetch(base_roughness_map, texel, 0);
    vec4 emissive_metallic = texelFetch(emissive_metallic_map, texel, 0);
    vec4 codes = texelFetch(normals_map, texel, 0);
    vec3 normal = from_octahedral(codes.zw);
    vec3 base = base_roughness.rgb * base_roughness.rgb;
    float roughness = max(base_roughness.a, 0.05), metallic = emissive_metallic.a;
    float a2 = roughness * roughness * roughness * roughness;
    vec3 to_eye = normalize(-position);
    float n_v = max(dot(normal, to_eye), 1e-3);
    vec3 matt = base * (1.0 - metallic), f0 = mix(vec3(0.04), base, metallic);
    vec3 radiance = emissive_metallic.rgb + matt * irradiance_sh[0].rgb;
    for (int i = 0; i < light_count; ++i) {
        vec4 color = lights[3 * i], place = lights[3 * i + 1], axis = lights[3 * i + 2];
        vec3 to_light = place.xyz;
        vec3 irradiance = color.rgb;
        if (color.w == 0.0) {
            to_light -= position;
            float square = max(dot(to_light, to_light), 1e-12);
            to_light *= inversesqrt(square);
            float cone = clamp((-dot(to_light, axis.xyz) - place.w) / (axis.w - place.w), 0.0, 1.0);
            irradiance *= cone / square;
        }
        float n_l = dot(normal, to_light);
        if (n_l > 0.0) {
            vec3 half_way = normalize(to_light + to_eye);
            float n_h = clamp(dot(normal, half_way), 0.0, 1.0), v_h = clamp(dot(to_eye, half_way), 0.0, 1.0);
            float spread = n_h * n_h * (a2 - 1.0) + 1.0;
            float distribution = a2 / (PI * spread * spread);
            float visibility = 0.5 / (n_l * sqrt(n_v * n_v * (1.0 - a2) + a2) + n_v * sqrt(n_l * n_l * (1.0 - a2) + a2));
            float grazing = 1.0 - v_h, grazing2 = grazing * grazing;
            vec3 fresnel = f0 + (1.0 - f0) * (grazing2 * grazing2 * grazing);
            radiance += irradiance * n_l * ((1.0 - fresnel) * matt / PI + fresnel * (distribution * visibility));
        }
    }
    radiance_out = vec4(shoulder(radiance * exposure), 1.0);
}
