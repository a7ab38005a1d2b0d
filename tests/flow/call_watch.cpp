// See call_watch.h. dlsym itself is found by version: the C library has no other name for it.
#include "tests/flow/call_watch.h"

#include <dlfcn.h>

#include <EGL/egl.h>
#include <GL/glcorearb.h>
#ifndef VK_NO_PROTOTYPES
#define VK_NO_PROTOTYPES
#endif
#include <vulkan/vulkan_core.h>

#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <utility>

#include "leat/base/check.h"

namespace leat {
namespace {

std::mutex& names_mutex() {
  static std::mutex mutex;
  return mutex;
}
std::set<std::string>& names() {
  static std::set<std::string> set;
  return set;
}

void note(const char* name) {
  const std::lock_guard lock(names_mutex());
  names().insert(name);
}

/// How many drivers may each have a function of one name: every Vulkan driver has its own.
constexpr size_t kDriversMax = 8;

/// One watched function: counts and goes on to the real one, of which each driver has its own.
template <int kId, typename Function>
struct Watched;
template <int kId, typename R, typename... A>
struct Watched<kId, R (*)(A...)> {
  using Function = R (*)(A...);
  static inline std::atomic<uint64_t> calls = 0;
  static inline std::array<Function, kDriversMax> real = {};

  template <size_t kDriver>
  static R call(A... arguments) {
    calls.fetch_add(1);
    return real[kDriver](arguments...);
  }
  template <size_t... kDrivers>
  static constexpr std::array<Function, kDriversMax> entries(std::index_sequence<kDrivers...>) {
    return {&call<kDrivers>...};
  }
  /// The entry that goes on to `function`.
  static Function entry_of(Function function) {
    static constexpr auto kEntries = entries(std::make_index_sequence<kDriversMax>());
    for (size_t driver = 0; driver < kDriversMax; ++driver) {
      if (real[driver] == nullptr) real[driver] = function;
      if (real[driver] == function) return kEntries[driver];
    }
    CHECK(false);
  }
};

struct Row {
  const char* name;
  bool is_drain;
  void* (*wrap)(void* real);
  std::atomic<uint64_t>* calls;
};

template <int kId, typename Function>
constexpr Row row(const char* name, bool is_drain) {
  using Watch = Watched<kId, Function>;
  return {name, is_drain,
          [](void* real) {
            return reinterpret_cast<void*>(Watch::entry_of(reinterpret_cast<Function>(real)));
          },
          &Watch::calls};
}

using CudaNoArguments = int (*)();
using CudaOnePointer = int (*)(void*);

const Row kRows[] = {
    row<0, PFN_vkQueueWaitIdle>("vkQueueWaitIdle", true),
    row<1, PFN_vkDeviceWaitIdle>("vkDeviceWaitIdle", true),
    row<2, PFNGLFINISHPROC>("glFinish", true),
    row<3, PFNEGLWAITCLIENTPROC>("eglWaitClient", true),
    row<4, PFNEGLWAITGLPROC>("eglWaitGL", true),
    row<5, CudaNoArguments>("cuCtxSynchronize", true),
    row<6, CudaOnePointer>("cuStreamSynchronize", true),
    row<7, CudaOnePointer>("cuEventSynchronize", true),
    row<17, CudaOnePointer>("cuMemFreeHost", true),  // these three wait inside the driver
    row<18, CudaOnePointer>("cuMemHostUnregister", true),
    row<19, CudaOnePointer>("cuModuleUnload", true),
    row<8, PFN_vkUpdateDescriptorSets>("vkUpdateDescriptorSets", false),
    row<9, PFN_vkAllocateMemory>("vkAllocateMemory", false),
    row<10, PFN_vkAllocateDescriptorSets>("vkAllocateDescriptorSets", false),
    row<11, PFN_vkAllocateCommandBuffers>("vkAllocateCommandBuffers", false),
    row<12, PFN_vkBeginCommandBuffer>("vkBeginCommandBuffer", false),
    row<13, PFN_vkCreateBuffer>("vkCreateBuffer", false),
    row<14, PFN_vkQueueSubmit>("vkQueueSubmit", false),
    row<15, PFNGLNAMEDBUFFERSTORAGEPROC>("glNamedBufferStorage", false),
    row<16, PFNGLDISPATCHCOMPUTEPROC>("glDispatchCompute", false),
};

using ProcAddress = void* (*)(void*, const char*);
ProcAddress real_instance_proc = nullptr;
ProcAddress real_device_proc = nullptr;
void* (*real_egl_proc)(const char*) = nullptr;

void* watch(const char* name, void* real);

void* instance_proc(void* instance, const char* name) {
  return watch(name, real_instance_proc(instance, name));
}
void* device_proc(void* device, const char* name) {
  return watch(name, real_device_proc(device, name));
}
void* egl_proc(const char* name) { return watch(name, real_egl_proc(name)); }

/// What the caller gets for `name` instead of `real`.
void* watch(const char* name, void* real) {
  if (real == nullptr) return nullptr;
  note(name);
  if (std::strcmp(name, "vkGetInstanceProcAddr") == 0) {
    real_instance_proc = reinterpret_cast<ProcAddress>(real);
    return reinterpret_cast<void*>(&instance_proc);
  }
  if (std::strcmp(name, "vkGetDeviceProcAddr") == 0) {
    real_device_proc = reinterpret_cast<ProcAddress>(real);
    return reinterpret_cast<void*>(&device_proc);
  }
  if (std::strcmp(name, "eglGetProcAddress") == 0) {
    real_egl_proc = reinterpret_cast<void* (*)(const char*)>(real);
    return reinterpret_cast<void*>(&egl_proc);
  }
  for (const Row& row : kRows) {
    if (std::strcmp(name, row.name) != 0) continue;
    const std::lock_guard lock(names_mutex());
    return row.wrap(real);
  }
  return real;
}

void* real_dlsym(void* library, const char* name) {
  using Dlsym = void* (*)(void*, const char*);
  static const Dlsym real = [] {
    for (const char* version : {"GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.17"}) {
      if (void* found = dlvsym(RTLD_NEXT, "dlsym", version)) return reinterpret_cast<Dlsym>(found);
    }
    return Dlsym(nullptr);
  }();
  return real == nullptr ? nullptr : real(library, name);
}

[[maybe_unused]] bool is_of_interest(const char* name) {
  for (const char* prefix : {"vk", "gl", "egl", "cu"}) {
    if (std::strncmp(name, prefix, std::strlen(prefix)) == 0) return true;
  }
  return false;
}

}  // namespace

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
bool is_watching() { return false; }
#else
bool is_watching() { return true; }
#endif

std::set<std::string> asked_names() {
  const std::lock_guard lock(names_mutex());
  return names();
}

uint64_t calls_of(const std::string& name) {
  for (const Row& row : kRows) {
    if (name == row.name) return row.calls->load();
  }
  return 0;
}

uint64_t drain_calls() {
  uint64_t sum = 0;
  for (const Row& row : kRows) sum += row.is_drain ? row.calls->load() : 0;
  return sum;
}

void* find_through_watch(void* library, const char* name) {
  return watch(name, real_dlsym(library, name));
}

}  // namespace leat

// The backends are linked statically into this program, so their calls of dlsym come here. Drivers
// and loaders look their own functions up too: for those of the handle RTLD_NEXT, which means the
// caller's successors, nothing is watched, and nothing here asks for one.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" void* dlsym(void* library, const char* name) noexcept {
  const bool is_of_interest = leat::is_of_interest(name);
  return is_of_interest ? leat::find_through_watch(library, name) : leat::real_dlsym(library, name);
}
#endif
