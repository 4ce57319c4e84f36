// A mesh to the camera's frame (OpenCV axes, metres) and on to clip space. UV and COLOR are attribute locations, if there are any.
layout(location = 0) in vec3 position_object;
layout(location = 1) in vec3 normal_object;
#ifdef UV
layout(location = UV) in vec2 uv_lower_left;
out vec2 uv;
#endif
#ifdef COLOR
layout(location = COLOR) in vec4 color_linear;
out vec4 color;
#endif
#ifdef NORMAL_TEXTURE
out vec3 position_camera;
#endif
uniform mat4 camera_from_object;
uniform mat4 clip_from_camera;
out vec3 normal_camera;

void main() {
    vec4 position = camera_from_object * vec4(position_object, 1.0);
    normal_camera = mat3(camera_from_object) * normal_object;
#ifdef UV
    uv = vec2(uv_lower_left.x, 1.0 - uv_lower_left.y);  // textures are stored top row first
#endif
#ifdef COLOR
    color = color_linear;
#endif
#ifdef NORMAL_TEXTURE
    position_camera = position.xyz;
#endif
    gl_Position = clip_from_camera * position;
}
