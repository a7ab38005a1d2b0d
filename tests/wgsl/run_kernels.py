"""Runs WGSL kernels on the first Vulkan adapter that WebGPU finds: run_kernels.py FOLDER.

FOLDER/kernels.json lists them: name, code (a file), workgroups, and for each binding its file and
whether it is written. Files of written bindings are replaced by what the kernel leaves in them.
"""
import json
import pathlib
import sys

import wgpu


def find_device():
    adapters = wgpu.gpu.enumerate_adapters_sync()
    adapters.sort(key=lambda adapter: adapter.info["backend_type"] != "Vulkan")
    if not adapters:
        sys.exit("WebGPU finds no adapter.")
    return adapters[0].request_device_sync()


def run(device, folder, kernel):
    usage = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_SRC
    buffers, layout, bindings = [], [], []
    for number, argument in enumerate(kernel["arguments"]):
        data = (folder / argument["file"]).read_bytes()
        padded = data + bytes(-len(data) % 16)  # an array of vec4 has whole ones
        buffers.append(device.create_buffer_with_data(data=padded, usage=usage))
        kind = "storage" if argument["written"] else "read-only-storage"
        layout.append({"binding": number, "visibility": wgpu.ShaderStage.COMPUTE,
                       "buffer": {"type": kind}})
        bindings.append({"binding": number,
                         "resource": {"buffer": buffers[-1], "offset": 0, "size": len(padded)}})
    group_layout = device.create_bind_group_layout(entries=layout)
    module = device.create_shader_module(code=(folder / kernel["code"]).read_text())
    pipeline = device.create_compute_pipeline(
        layout=device.create_pipeline_layout(bind_group_layouts=[group_layout]),
        compute={"module": module, "entry_point": "main"})
    encoder = device.create_command_encoder()
    compute = encoder.begin_compute_pass()
    compute.set_pipeline(pipeline)
    compute.set_bind_group(0, device.create_bind_group(layout=group_layout, entries=bindings))
    compute.dispatch_workgroups(*kernel["workgroups"])
    compute.end()
    device.queue.submit([encoder.finish()])
    for argument, buffer in zip(kernel["arguments"], buffers):
        if argument["written"]:
            path = folder / argument["file"]
            path.write_bytes(bytes(device.queue.read_buffer(buffer))[:path.stat().st_size])


def main():
    folder = pathlib.Path(sys.argv[1])
    device = find_device()
    for kernel in json.loads((folder / "kernels.json").read_text()):
        try:
            run(device, folder, kernel)
        except Exception as error:
            sys.exit(f"Kernel {kernel['name']}: {error}")


main()
