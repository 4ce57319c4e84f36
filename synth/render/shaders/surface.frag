// What is seen through each pixel's centre: whose it is, its material and its normals. Depth is the depth buffer's.
in vec3 normal_camera;
#ifdef UV
in vec2 uv;
#endif
#ifdef COLOR
in vec4 color;
#endif
#ifdef NORMAL_TEXTURE
in vec3 position_camera;
uniform sampler2D normal_texture;
#endif
#ifdef BASE_COLOR_TEXTURE
uniform sampler2D base_color_texture;
#endif
#ifdef METALLIC_ROUGHNESS_TEXTURE
uniform sampler2D metallic_roughness_texture;
#endif
#ifdef EMISSIVE_TEXTURE
uniform sampler2D emissive_texture;
#endif
uniform uint instance;
uniform vec4 base_color;
uniform vec2 metallic_roughness;
uniform vec3 emissive;
uniform float alpha_cutoff;

layout(location = 0) out uint instance_out;
layout(location = 1) out vec4 base_roughness_out;     // base colour in a square-root code, roughness
layout(location = 2) out vec4 emissive_metallic_out;  // linear radiance, metalness
layout(location = 3) out vec4 normals_out;            // octahedral: of the surface, and with the normal texture

vec2 octahedral(vec3 n) {
    n /= abs(n.x) + abs(n.y) + abs(n.z);
    vec2 folded = n.z >= 0.0 ? n.xy : (1.0 - abs(n.yx)) * vec2(n.x >= 0.0 ? 1.0 : -1.0, n.y >= 0.0 ? 1.0 : -1.0);
    return folded * 0.5 + 0.5;
}

#ifdef MASK
void cut() {  // the nearest texel, so that colour, labels and shadows cut alike at any distance
    float alpha = base_color.a;
#ifdef COLOR
    alpha *= color.a;
#endif
#ifdef BASE_COLOR_TEXTURE
    ivec2 size = textureSize(base_color_texture, 0);
    alpha *= texelFetch(base_color_texture, min(ivec2(fract(uv) * vec2(size)), size - 1), 0).a;
#endif
    if (alpha < alpha_cutoff) discard;
}
#endif

void main() {
#ifdef MASK
    cut();
#endif
    vec3 base = base_color.rgb;
#ifdef COLOR
    base *= color.rgb;
#endif
#ifdef BASE_COLOR_TEXTURE
    base *= texture(base_color_texture, uv).rgb;
#endif
    vec2 surface = metallic_roughness;
#ifdef METALLIC_ROUGHNESS_TEXTURE
    surface *= texture(metallic_roughness_texture, uv).bg;
#endif
    vec3 emitted = emissive;
#ifdef EMISSIVE_TEXTURE
    emitted *= texture(emissive_texture, uv).rgb;
#endif
    vec3 normal = normalize(normal_camera);
#ifdef DOUBLE_SIDED
    if (!gl_FrontFacing) normal = -normal;
#endif
    vec2 normal_code = octahedral(normal), shading_code = normal_code;
#ifdef NORMAL_TEXTURE
    // Tangents from screen derivatives (Mikkelsen 2010, "Bump mapping unparametrized surfaces on the GPU"); uv here runs downwards.
    vec3 dx = dFdx(position_camera), dy = dFdy(position_camera);
    vec2 dx_uv = dFdx(uv), dy_uv = dFdy(uv);
    vec3 across_x = cross(dy, normal), across_y = cross(normal, dx);
    vec3 tangent = across_x * dx_uv.x + across_y * dy_uv.x;
    vec3 bitangent = -(across_x * dx_uv.y + across_y * dy_uv.y);
    float scale = inversesqrt(max(max(dot(tangent, tangent), dot(bitangent, bitangent)), 1e-30));
    vec3 bump = texture(normal_texture, uv).xyz * (255.0 / 127.0) - (128.0 / 127.0);
    float handed = sign(dot(cross(dx, dy), normal)) ;
    vec3 shading = mat3(tangent * scale * handed, bitangent * scale * handed, normal) * bump;
    if (dot(shading, shading) > 1e-8) shading_code = octahedral(normalize(shading));
#endif
    instance_out = instance;
    base_roughness_out = vec4(sqrt(clamp(base, 0.0, 1.0)), surface.y);
    emissive_metallic_out = vec4(emitted, surface.x);
    normals_out = vec4(normal_code, shading_code);
}
