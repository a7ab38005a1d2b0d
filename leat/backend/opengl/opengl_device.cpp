// Finding, opening, memory and kernels of the opengl route.
// Odd: Mesa lists a GPU's DRM node even if it has no driver for it and then renders in software, so
// the same llvmpipe may appear several times; only the first is kept.
// Source: OpenGL 4.6 core, sections 6.2 (buffer storage).
#include "leat/backend/opengl/opengl_device.h"

#include <utility>

#include <fmt/format.h>

#include "leat/backend/opengl/opengl_program.h"
#include "leat/backend/opengl/opengl_queue.h"
#include "leat/route/kernel_limits.h"

namespace leat {

namespace {

constexpr GLbitfield kSharedFlags =
    GL_MAP_READ_BIT | GL_MAP_WRITE_BIT | GL_MAP_PERSISTENT_BIT | GL_MAP_COHERENT_BIT;

/// A GL buffer and its mapping, as made on the GL thread.
struct Allocation {
  GLuint name = 0;
  void* host = nullptr;
  GLenum error = GL_NO_ERROR;
};

Allocation allocate_on_thread(const GlApi& gl, size_t size_bytes, bool mapped) {
  Allocation allocation;
  const auto size = static_cast<GLsizeiptr>(size_bytes);
  gl.create_buffers(1, &allocation.name);
  gl.buffer_storage(allocation.name, size, nullptr, mapped ? kSharedFlags : 0);
  allocation.error = gl.get_error();
  if (allocation.error == GL_NO_ERROR && mapped) {
    allocation.host = gl.map_buffer_range(allocation.name, 0, size, kSharedFlags);
    allocation.error = gl.get_error();
  }
  const bool failed = allocation.error != GL_NO_ERROR || (mapped && allocation.host == nullptr);
  if (failed) {
    gl.delete_buffers(1, &allocation.name);
    allocation.name = 0;
  }
  return allocation;
}

Result<void> check_code(const KernelBinary& binary) {
  if (!binary.code.empty() && binary.code.size() % sizeof(uint32_t) == 0) return {};
  return Error(ErrorKind::invalid_argument,
               fmt::format("Kernel \"{}\" of ({}) bytes is no SPIR-V with bindings.", binary.name,
                           binary.code.size()));
}

class OpenglDevice final : public Device {
 public:
  OpenglDevice(std::unique_ptr<OpenglThread> thread, std::string name)
      : thread_(std::move(thread)),
        info_(thread_->facts().info),
        target_(thread_->facts().target),
        queue_(*thread_, *this, info_) {
    info_.name = std::move(name);
  }

  /// The GL thread ends first: it plays lists that lie in the queue.
  ~OpenglDevice() override { thread_.reset(); }

  const DeviceInfo& info() const override { return info_; }
  const Target& target() const override { return target_; }
  Queue& queue() override { return queue_; }
  Result<Buffer> allocate(size_t size_bytes, MemoryKind kind) override;
  Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) override;
  void free_buffer(uint64_t handle) override {
    queue_.delete_later(OpenglCommandKind::delete_buffer, static_cast<GLuint>(handle));
  }
  Result<Buffer> import_host(std::span<std::byte>) override {
    return Error(ErrorKind::unsupported,
                 fmt::format("Device \"{}\" cannot use the host's memory in place: OpenGL has no "
                             "call for it but AMD_pinned_memory.",
                             info_.name));
  }

 private:
  std::unique_ptr<OpenglThread> thread_;
  DeviceInfo info_;
  Target target_;
  OpenglQueue queue_;
};

Result<Buffer> OpenglDevice::allocate(size_t size_bytes, MemoryKind kind) {
  if (size_bytes == 0 || size_bytes > PTRDIFF_MAX) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Size ({}) of a buffer on Device \"{}\" is out of range.", size_bytes,
                             info_.name));
  }
  TRY(thread_->health());
  TRY(queue_.flush_deletions());
  const bool mapped = kind == MemoryKind::shared || info_.unified_memory;
  Allocation made;
  TRY(thread_->call(
      [&](OpenglSide& side) { made = allocate_on_thread(side.gl, size_bytes, mapped); }));
  if (made.name == 0) {
    return Error(
        ErrorKind::out_of_memory,
        fmt::format("Device \"{}\" does not give a buffer of ({}) bytes: glGetError is {}.",
                    info_.name, size_bytes, gl_error_text(made.error)));
  }
  return Buffer(this, made.name, size_bytes, static_cast<std::byte*>(made.host));
}

Result<std::unique_ptr<Kernel>> OpenglDevice::load(const KernelBinary& binary) {
  TRY(check_limits(binary, target_, info_));
  TRY(check_code(binary));
  TRY(thread_->health());
  OpenglProgram linked;
  TRY(thread_->call([&](OpenglSide& side) {
    linked = link_opengl_program(side.gl, binary.code, binary.entry.c_str());
  }));
  if (linked.name == 0) {
    return Error(ErrorKind::io,
                 fmt::format("The driver of Device \"{}\" refuses kernel \"{}\" ({}).", info_.name,
                             binary.name, linked.log));
  }
  auto release = [this](GLuint program) {
    queue_.delete_later(OpenglCommandKind::delete_program, program);
  };
  return std::unique_ptr<Kernel>(
      std::make_unique<OpenglKernel>(binary, linked.name, std::move(release)));
}

FoundRoute look_at(const EglApi& egl, const EglChip& chip, bool software_seen) {
  FoundRoute found;
  found.info.route = Route::opengl;
  found.info.chip = chip.label;
  const auto thread = OpenglThread::start(egl, chip);
  if (!thread) {
    found.refusal = thread.error().message();
    return found;
  }
  const OpenglFacts& facts = (*thread)->facts();
  found.info = facts.info;
  found.uuid_hex = facts.uuid_hex;
  if (facts.info.software && software_seen) {
    found.refusal =
        fmt::format("{} is the software renderer \"{}\" once more.", chip.label, facts.info.chip);
  }
  return found;
}

}  // namespace

std::vector<FoundRoute> find_opengl_devices() {
  std::vector<FoundRoute> list;
  const Result<EglApi> egl = load_egl();
  const auto chips = egl ? list_egl_chips(*egl) : Result<std::vector<EglChip>>(egl.error());
  if (!chips) return {refused_route(Route::opengl, chips.error())};
  bool software_seen = false;
  for (const EglChip& chip : *chips) {
    list.push_back(look_at(*egl, chip, software_seen));
    software_seen = software_seen || list.back().info.software;
  }
  return list;
}

Result<std::unique_ptr<Device>> open_opengl_device(size_t index, std::string name) {
  TRY_ASSIGN(const EglApi egl, load_egl());
  TRY_ASSIGN(const std::vector<EglChip> chips, list_egl_chips(egl));
  TRY(check_found(Route::opengl, index, chips.size()));
  TRY_ASSIGN(std::unique_ptr<OpenglThread> thread, OpenglThread::start(egl, chips[index]));
  TRY(thread->open_number());
  return std::unique_ptr<Device>(
      std::make_unique<OpenglDevice>(std::move(thread), std::move(name)));
}

}  // namespace leat
