// The table of environment variables.
#include "leat/base/env.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <iterator>
#include <optional>

#include "leat/base/borrowed_rights.h"
#include "leat/base/check.h"
#include "leat/base/limits_profile.h"

namespace leat {

namespace {

using enum EnvKind;

constexpr EnvVariable kVariables[] = {
    {"HOME", "Where .cache/leat and .local/state/leat lie when the next two are not set."},
    {"XDG_CACHE_HOME", "Folder in which leat/ keeps compiled kernels and pipelines."},
    {"XDG_STATE_HOME", "Folder in which leat/ keeps the secret that seals the cache."},
    {"MESA_SHADER_CACHE_DIR", "Where Mesa's drivers keep code; used where others cannot write it."},
    {"MESA_GLSL_CACHE_DIR", "The same, its older name."},
    {"__GL_SHADER_DISK_CACHE_PATH", "The same of NVIDIA's driver."},
    {"CUDA_CACHE_PATH", "The same of the CUDA driver."},
    {"LEAT_CACHE", "0 neither reads nor writes the cache.", flag},
    {"LEAT_CACHE_MIB", "What the cache's entries may take, in MiB; default: 1024.", count, 1 << 20},
    {"LEAT_THREADS", "Threads of the cpu device; default: one per processor that it may use.",
     count, kThreadsMax},
    {"LEAT_AS", "Makes GPUs behave as one with the limits of this profile, as --as does.", profile},
    {"LEAT_VULKAN_VALIDATION", "1 turns the Khronos validation layer on, where it is installed.",
     flag},
    {"LEAT_VULKAN_MATRIX", "0 keeps the vulkan route from using a device's matrix units.", flag},
    {"LEAT_VULKAN_BINDINGS", "1 makes the vulkan route bind buffers instead of using addresses.",
     flag},
    {"LEAT_NVIDIA_CHECK", "1 checks each packet of the direct route before it rings the doorbell.",
     flag},
    {"LEAT_AMD_CHECK", "1 does the same on the direct route to AMD GPUs.", flag},
    {"CUDA_HOME", "Where a CUDA toolkit lies whose assembler may be used."},
    {"CUDA_PATH", "The same."},
    {"PATH", "Where ptxas and linkers are looked for."},
    {"TMPDIR", "Folder for the files of ptxas and linkers; default: /tmp."},
    {"LEAT_ENDURANCE_SECONDS", "How long the endurance test streams; default: 1800.", count,
     1'000'000},
    {"LEAT_CONFORMANCE_DIR", "Where slow tests find the ONNX project's conformance cases."},
    {"LEAT_SHARED_DIR", "Where tests find the shared models and pictures."},
};

const EnvVariable& variable_of(std::string_view name) {
  const auto found = std::ranges::find(kVariables, name, &EnvVariable::name);
  CHECK(found != std::end(kVariables));
  return *found;
}

/// Nothing when `text` is no whole number from 1 to `max`.
std::optional<uint32_t> count_of(std::string_view text, uint32_t max) {
  uint32_t number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, code] = std::from_chars(text.data(), last, number);
  const bool is_right = code == std::errc() && end == last && number >= 1 && number <= max;
  return is_right ? std::optional(number) : std::nullopt;
}

}  // namespace

std::span<const EnvVariable> env_variables() { return kVariables; }

std::string env(std::string_view name) {
  const EnvVariable& variable = variable_of(name);
  if (has_borrowed_rights()) return "";
  const char* value = std::getenv(std::string(variable.name).c_str());
  return value == nullptr ? "" : value;
}

bool env_flag(std::string_view name, bool fallback) {
  CHECK(variable_of(name).kind == flag);
  const std::string text = env(name);
  return text == "1" || (text != "0" && fallback);
}

uint32_t env_count(std::string_view name, uint32_t fallback) {
  const EnvVariable& variable = variable_of(name);
  CHECK(variable.kind == count);
  return count_of(env(name), variable.count_max).value_or(fallback);
}

namespace {

/// What is wrong with the text; empty when nothing.
std::string objection_to(const EnvVariable& variable, const std::string& text) {
  switch (variable.kind) {
    case EnvKind::text: return "";
    case flag: return text == "0" || text == "1" ? "" : "neither 0 nor 1";
    case count:
      return count_of(text, variable.count_max)
                 ? ""
                 : "no whole number from 1 to " + std::to_string(variable.count_max);
    case profile: {
      if (find_limits_profile(text) != nullptr) return "";
      std::string names;
      for (const LimitsProfile& each : limits_profiles()) {
        names += (names.empty() ? "" : ", ") + std::string(each.name);
      }
      return "none of the profiles " + names;
    }
  }
  return "";
}

}  // namespace

Result<void> check_env() {
  for (const EnvVariable& variable : kVariables) {
    const std::string text = env(variable.name);
    if (text.empty()) continue;
    const std::string objection = objection_to(variable, text);
    if (objection.empty()) continue;
    return Error(ErrorKind::invalid_argument, "Environment variable " + std::string(variable.name) +
                                                  " (" + text + ") is " + objection + ".");
  }
  return {};
}

}  // namespace leat
