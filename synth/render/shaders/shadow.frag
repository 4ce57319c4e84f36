// Depth only; alpha cuts holes as it does in surface.frag.
#ifdef MASK
#ifdef UV
in vec2 uv;
#endif
#ifdef COLOR
in vec4 color;
#endif
#ifdef BASE_COLOR_TEXTURE
uniform sampler2D base_color_texture;
#endif
uniform vec4 base_color;
uniform float alpha_cutoff;
#endif

void main() {
#ifdef MASK
    float alpha = base_color.a;
#ifdef COLOR
    alpha *= color.a;
#endif
#ifdef BASE_COLOR_TEXTURE
    ivec2 size = textureSize(base_color_texture, 0);
    alpha *= texelFetch(base_color_texture, min(ivec2(fract(uv) * vec2(size)), size - 1), 0).a;
#endif
    if (alpha < alpha_cutoff) discard;
#endif
}
