// See drivers.h. None of the drivers looks at who owns its cache, nor at the folders above it.
#include "leat/base/drivers.h"

#include <dlfcn.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "leat/base/borrowed_rights.h"
#include "leat/base/env.h"
#include "leat/base/private_folder.h"

namespace leat {

namespace {

/// Where a driver keeps code: in the first of `variables` that is set, below XDG_CACHE_HOME, or
/// below the home. The names are of folders there.
struct DriverCache {
  std::string driver;
  std::vector<std::string> variables;
  std::vector<std::string> names;
  std::vector<std::string> names_below_xdg;
  std::vector<std::string> names_below_home;
  std::vector<std::pair<std::string, std::string>> switches;  // that turn it off
};

/// Sources: Mesa's docs/envvars.rst and src/util/disk_cache_os.c; NVIDIA's driver README, "OpenGL
/// Environment Variable Settings"; CUDA C++ Programming Guide, "CUDA Environment Variables".
std::vector<DriverCache> driver_caches() {
  const std::vector<std::string> mesa = {"mesa_shader_cache", "mesa_shader_cache_sf",
                                         "mesa_shader_cache_db"};
  std::vector<std::string> mesa_below_home;
  for (const std::string& name : mesa) mesa_below_home.push_back(".cache/" + name);
  return {
      {"Mesa",
       {"MESA_SHADER_CACHE_DIR", "MESA_GLSL_CACHE_DIR"},
       mesa,
       mesa,
       mesa_below_home,
       {{"MESA_SHADER_CACHE_DISABLE", "true"}, {"MESA_GLSL_CACHE_DISABLE", "true"}}},
      {"NVIDIA",
       {"__GL_SHADER_DISK_CACHE_PATH"},
       {"GLCache"},
       {"nvidia/GLCache"},
       {".cache/nvidia/GLCache", ".nv/GLCache"},
       {{"__GL_SHADER_DISK_CACHE", "0"}}},
      {"CUDA", {"CUDA_CACHE_PATH"}, {"."}, {}, {".nv/ComputeCache"}, {{"CUDA_CACHE_DISABLE", "1"}}},
  };
}

std::string home_of_user() {
  char room[4096];
  passwd entry{};
  passwd* found = nullptr;
  const bool is_there =
      getpwuid_r(geteuid(), &entry, room, sizeof room, &found) == 0 && found != nullptr;
  return is_there ? entry.pw_dir : "";
}

std::vector<std::string> below(const std::string& folder, const std::vector<std::string>& names) {
  std::vector<std::string> places;
  for (const std::string& name : names) places.push_back(folder + "/" + name);
  return places;
}

/// All places that it may take. Of drivers some ask HOME for the home, and some the system.
std::vector<std::string> places_of(const DriverCache& cache) {
  for (const std::string& variable : cache.variables) {
    if (const std::string folder = env(variable); !folder.empty()) {
      return below(folder, cache.names);
    }
  }
  const std::string xdg = env("XDG_CACHE_HOME");
  if (!xdg.empty() && !cache.names_below_xdg.empty()) return below(xdg, cache.names_below_xdg);
  std::vector<std::string> places;
  for (const std::string& home : {env("HOME"), home_of_user()}) {
    if (home.empty()) continue;
    for (std::string& place : below(home, cache.names_below_home)) {
      places.push_back(std::move(place));
    }
  }
  return places;
}

/// Empty when others can write none of its places.
std::string distrust_of(const DriverCache& cache) {
  if (has_borrowed_rights()) return "With borrowed rights (setuid) nothing is kept.";
  for (const std::string& place : places_of(cache)) {
    if (const Result<void> own = check_own_place(place); !own) return own.error().message();
  }
  return "";
}

std::vector<std::string> guard() {
  std::vector<std::string> reasons;
  if (has_borrowed_rights()) clearenv();
  for (const DriverCache& cache : driver_caches()) {
    const std::string reason = distrust_of(cache);
    if (reason.empty()) continue;
    for (const auto& [name, value] : cache.switches) setenv(name.c_str(), value.c_str(), 1);
    reasons.push_back("The cache of " + cache.driver + "'s driver is off: " + reason);
  }
  return reasons;
}

}  // namespace

std::vector<std::string> closed_driver_caches() {
  static const std::vector<std::string> reasons = guard();
  return reasons;
}

void guard_environment() { static_cast<void>(closed_driver_caches()); }

void* open_driver(const char* name) {
  guard_environment();
  return dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

}  // namespace leat
