// See device_choice.h.
#include "cli/device_choice.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "leat/backend/backends.h"
#include "leat/base/env.h"
#include "leat/base/files.h"
#include "leat/run/known_answer.h"

namespace leat::cli {

void add_device_option(CLI::App& command, std::string& spec) {
  command.add_option("--device", spec, "cpu, gpu0, gpu0:vulkan, ...; default: the best there is")
      ->type_name("SPEC");
}

Result<std::unique_ptr<Device>> open_by_spec(const std::string& spec) {
  return open_device(spec, static_cast<uint32_t>(env_number("LEAT_THREADS", 0)),
                     [](Device& device) { return self_test(device, kernel_cache_folder(false)); });
}

std::vector<std::string> default_specs() {
  std::vector<std::string> specs;
  for (const FoundDevice& found : find_devices()) {
    if (found.refusal.empty() && !found.info.software) specs.push_back(found.info.name);
  }
  return specs;
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
  return is_off || env("LEAT_CACHE") == "0" ? "" : cache_folder();
}

}  // namespace leat::cli
