// See device_choice.h.
#include "cli/device_choice.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cli/report.h"
#include "leat/base/cache_store.h"
#include "leat/base/env.h"
#include "leat/base/files.h"
#include "leat/base/limits_profile.h"

namespace leat::cli {

namespace {

/// Empty when nothing can be kept there. That is said of a folder that is there, be it that others
/// could write it or that its secret cannot be kept; it is no news that there is no home.
std::string trusted_cache_folder() {
  const std::string folder = cache_folder();
  if (folder.empty()) return "";
  const Result<CacheStore> store = CacheStore::open(folder);
  if (store) {
    if (const std::error_code error = PrivateFolder::open(folder)->check_writable()) {
      say_line(
          fmt::format("Cache folder \"{}\" cannot be written: {}. What it has is used, and "
                      "nothing is added.",
                      folder, error.message()));
    }
    return folder;
  }
  if (store.error().kind() != ErrorKind::io || PrivateFolder::open(folder)) {
    say_line(store.error().message() + " Nothing is kept between runs.");
  }
  return "";
}

/// A profile is of GPUs: a CPU that ran in a phone's name would prove nothing.
Result<std::unique_ptr<Device>> with_profile(Result<std::unique_ptr<Device>> opened) {
  const std::string profile = env("LEAT_AS");
  if (profile.empty() || !opened || !(*opened)->target().is_cpu) return opened;
  return Error(ErrorKind::invalid_argument,
               fmt::format("Profile \"{}\" is of a GPU, and device \"{}\" is none: name one with "
                           "--device; a software GPU will do.",
                           profile, (*opened)->info().name));
}

}  // namespace

DeviceSource command_devices() {
  DeviceSource source = machine_devices(env_count("LEAT_THREADS", 0));
  source.open = [open = source.open](const std::string& spec, const DeviceCheck& check) {
    return with_profile(open(spec, check));
  };
  return source;
}

void add_device_option(CLI::App& command, std::string& spec) {
  command.add_option("--device", spec, "cpu, gpu0, gpu0:vulkan, ...; default: the best there is")
      ->type_name("SPEC");
  std::vector<std::string> profiles;
  for (const LimitsProfile& profile : limits_profiles()) profiles.emplace_back(profile.name);
  command
      .add_option_function<std::string>(
          "--as", [](const std::string& name) { setenv("LEAT_AS", name.c_str(), 1); },
          "Makes the GPU behave as one with the limits of this profile")
      ->type_name("PROFILE")
      ->check(CLI::IsMember(profiles));
}

SessionOptions plain_session_options() {
  SessionOptions options;
  options.devices = command_devices();
  options.on_move = [](const Error& reason, const std::string& next) {
    say_line(fmt::format("{} Device \"{}\" is tried next.", reason.message(), next));
  };
  return options;
}

std::string describe(const DeviceInfo& info) {
  return fmt::format("{} ({}{})", info.name, info.chip, info.software ? ", software" : "");
}

void add_device_facts(nlohmann::ordered_json& object, Device& device) {
  const DeviceInfo& info = device.info();
  object["device"] = info.name;
  object["chip"] = info.chip;
  object["route"] = name_of(info.route);
  object["driver"] = info.driver;
  object["software"] = info.software;
  object["threads"] = device.target().is_cpu ? device.target().compute_units : 1;
}

std::string kernel_cache_folder(bool is_off) {
  if (is_off || !env_flag("LEAT_CACHE", true)) return "";
  static const std::string folder = trusted_cache_folder();
  return folder;
}

}  // namespace leat::cli
