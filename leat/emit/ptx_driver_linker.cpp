// The linker of the CUDA driver, opened at run time. It needs a context and so a GPU, any GPU: the
// architecture is named. Source: NVIDIA's "CUDA Driver API" 13.0, sections Initialization, Primary
// Context Management and Module Management; values of CUjit_option and CUjitInputType from there.
#include <dlfcn.h>
#include <fmt/format.h>

#include "leat/base/drivers.h"
#include "leat/base/nvidia_architecture.h"
#include "leat/emit/ptx_assembler.h"

namespace leat {

namespace {

constexpr int kSuccess = 0;
constexpr int kJitErrorLogBuffer = 5;              // CU_JIT_ERROR_LOG_BUFFER
constexpr int kJitErrorLogBufferBytes = 6;         // CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES
constexpr int kJitTarget = 9;                      // CU_JIT_TARGET: ten times the capability
constexpr uint32_t kJitAcceleratedBase = 0x10000;  // CU_COMPUTE_ACCELERATED_TARGET_BASE
constexpr int kJitInputPtx = 1;                    // CU_JIT_INPUT_PTX
constexpr size_t kLogBytes = 4096;

struct DriverLinker {
  int (*init)(unsigned flags) = nullptr;
  int (*version)(int* version) = nullptr;
  int (*retain)(void** context, int device) = nullptr;
  int (*release)(int device) = nullptr;
  int (*push)(void* context) = nullptr;
  int (*pop)(void** context) = nullptr;
  int (*create)(unsigned count, int* options, void** values, void** state) = nullptr;
  int (*add_data)(void* state, int type, void* data, size_t size_bytes, const char* name,
                  unsigned count, int* options, void** values) = nullptr;
  int (*complete)(void* state, void** cubin, size_t* size_bytes) = nullptr;
  int (*destroy)(void* state) = nullptr;
  std::string missing;
};

template <typename Function>
void look_up(DriverLinker& linker, void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) linker.missing = fmt::format("libcuda.so.1 lacks {}.", name);
}

DriverLinker open_driver_linker() {
  DriverLinker linker;
  void* library = open_driver("libcuda.so.1");
  if (library == nullptr) {
    linker.missing = "libcuda.so.1 does not open.";
    return linker;
  }
  look_up(linker, library, "cuInit", linker.init);
  look_up(linker, library, "cuDriverGetVersion", linker.version);
  look_up(linker, library, "cuDevicePrimaryCtxRetain", linker.retain);
  look_up(linker, library, "cuDevicePrimaryCtxRelease_v2", linker.release);
  look_up(linker, library, "cuCtxPushCurrent_v2", linker.push);
  look_up(linker, library, "cuCtxPopCurrent_v2", linker.pop);
  look_up(linker, library, "cuLinkCreate_v2", linker.create);
  look_up(linker, library, "cuLinkAddData_v2", linker.add_data);
  look_up(linker, library, "cuLinkComplete", linker.complete);
  look_up(linker, library, "cuLinkDestroy", linker.destroy);
  return linker;
}

/// The primary context of the first GPU, current while this lives.
class CurrentContext {
 public:
  explicit CurrentContext(const DriverLinker& linker) : linker_(linker) {
    code_ = linker.retain(&context_, 0);
    if (code_ == kSuccess) code_ = linker.push(context_);
  }
  CurrentContext(const CurrentContext&) = delete;
  ~CurrentContext() {
    void* popped = nullptr;
    if (code_ == kSuccess) linker_.pop(&popped);
    if (context_ != nullptr) linker_.release(0);
  }
  int code() const { return code_; }

 private:
  const DriverLinker& linker_;
  void* context_ = nullptr;
  int code_ = kSuccess;
};

/// An option's value that is a number stands in the pointer itself.
void* number_value(uint64_t number) { return reinterpret_cast<void*>(number); }

}  // namespace

namespace {

/// Of "sm_90" the number; the chips whose own instructions a name ends with an "a" for are apart.
uint32_t target_of(const std::string& chip) {
  return nvidia_architecture(chip) + (chip.ends_with('a') ? kJitAcceleratedBase : 0);
}

}  // namespace

Result<AssembledPtx> assemble_by_driver(const std::string& ptx, const std::string& chip) {
  static const DriverLinker linker = open_driver_linker();
  if (!linker.missing.empty()) return Error(ErrorKind::unsupported, linker.missing);
  int code = linker.init(0);
  if (code != kSuccess) {
    return Error(ErrorKind::unsupported, fmt::format("cuInit returns ({}).", code));
  }
  const CurrentContext context(linker);
  if (context.code() != kSuccess) {
    return Error(ErrorKind::unsupported, fmt::format("No context opens ({}).", context.code()));
  }
  std::string log(kLogBytes, '\0');
  int options[] = {kJitTarget, kJitErrorLogBuffer, kJitErrorLogBufferBytes};
  void* values[] = {number_value(target_of(chip)), log.data(), number_value(kLogBytes)};
  void* state = nullptr;
  code = linker.create(3, options, values, &state);
  void* cubin = nullptr;
  size_t size_bytes = 0;
  if (code == kSuccess) {
    std::string text = ptx;  // the driver takes a pointer that is not const
    code = linker.add_data(state, kJitInputPtx, text.data(), text.size() + 1, "leat", 0, nullptr,
                           nullptr);
  }
  if (code == kSuccess) code = linker.complete(state, &cubin, &size_bytes);
  AssembledPtx assembled;
  if (code == kSuccess) {
    const auto* first = static_cast<const std::byte*>(cubin);
    assembled.cubin.assign(first, first + size_bytes);
  }
  if (state != nullptr) linker.destroy(state);
  if (code != kSuccess) {
    return Error(ErrorKind::internal,
                 fmt::format("The driver's linker returns ({}): {}.", code, log.c_str()));
  }
  int version = 0;
  linker.version(&version);
  assembled.assembler = fmt::format("CUDA driver {}.{}", version / 1000, version % 1000 / 10);
  return assembled;
}

}  // namespace leat
