// The table of environment variables.
#include "leat/base/env.h"

#include <charconv>
#include <cstdlib>

#include "leat/base/check.h"

namespace leat {

namespace {

constexpr EnvVariable kVariables[] = {
    {"HOME", "Where .cache/leat lies when XDG_CACHE_HOME is not set."},
    {"XDG_CACHE_HOME", "Folder in which leat/ keeps compiled kernels and pipelines."},
    {"LEAT_CACHE", "0 neither reads nor writes the cache."},
    {"LEAT_THREADS", "Threads of the cpu device; default: one per hardware thread."},
    {"LEAT_VULKAN_VALIDATION", "1 turns the Khronos validation layer on, where it is installed."},
    {"LEAT_VULKAN_BINDINGS", "1 makes the vulkan route bind buffers instead of using addresses."},
    {"LEAT_NVIDIA_CHECK", "1 checks each packet of the direct route before it rings the doorbell."},
    {"LEAT_AMD_CHECK", "1 does the same on the direct route to AMD GPUs."},
    {"CUDA_HOME", "Where a CUDA toolkit lies whose assembler may be used."},
    {"CUDA_PATH", "The same."},
    {"PATH", "Where ptxas is looked for."},
    {"TMPDIR", "Folder for the files of ptxas; default: /tmp."},
    {"LEAT_ENDURANCE_SECONDS", "How long the endurance test streams; default: 1800."},
    {"LEAT_CONFORMANCE_DIR", "Where slow tests find the ONNX project's conformance cases."},
    {"LEAT_SHARED_DIR", "Where tests find the shared models and pictures."},
};

}  // namespace

std::span<const EnvVariable> env_variables() { return kVariables; }

std::string env(std::string_view name) {
  bool known = false;
  for (const EnvVariable& variable : kVariables) known |= variable.name == name;
  CHECK(known);
  const char* value = std::getenv(std::string(name).c_str());
  return value == nullptr ? "" : value;
}

int64_t env_number(std::string_view name, int64_t fallback) {
  const std::string text = env(name);
  int64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = code == std::errc() && end == text.data() + text.size();
  return whole && !text.empty() && number >= 0 ? number : fallback;
}

}  // namespace leat
