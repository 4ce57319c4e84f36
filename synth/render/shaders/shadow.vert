// A mesh as a directional light sees it.
layout(location = 0) in vec3 position_object;
#ifdef UV
layout(location = UV) in vec2 uv_lower_left;
out vec2 uv;
#endif
#ifdef COLOR
layout(location = COLOR) in vec4 color_linear;
out vec4 color;
#endif
uniform mat4 light_from_object;

void main() {
#ifdef UV
    uv = vec2(uv_lower_left.x, 1.0 - uv_lower_left.y);
#endif
#ifdef COLOR
    color = color_linear;
#endif
    gl_Position = light_from_object * vec4(position_object, 1.0);
}
