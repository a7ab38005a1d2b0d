// `leat devices`: every device and the routes to it, in the order of preference.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/device_choice.h"
#include "cli/report.h"
#include "leat/backend/backends.h"
#include "leat/base/child_process.h"
#include "leat/base/printable.h"
#include "leat/run/memory_probe.h"

namespace leat::cli {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  JsonTarget json;
  bool verbose = false;
};

Json json_of(const FoundDevice& found) {
  const DeviceInfo& info = found.info;
  Json object;
  object["name"] = info.name;
  object["chip"] = info.chip;
  object["vendor"] = info.vendor;
  object["route"] = name_of(info.route);
  object["driver"] = info.driver;
  object["software"] = info.software;
  object["unified_memory"] = info.unified_memory;
  object["memory_bytes"] = info.memory_bytes;
  if (!found.refusal.empty()) object["refusal"] = found.refusal;
  return object;
}

Json json_of(const std::vector<FoundDevice>& devices) {
  Json object;
  object["devices"] = Json::array();
  object["refused"] = Json::array();
  for (const FoundDevice& found : devices) {
    object[found.refusal.empty() ? "devices" : "refused"].push_back(json_of(found));
  }
  return object;
}

std::string text_of(const std::vector<FoundDevice>& devices) {
  Table table({"device", "chip", "route", "driver", "memory", ""});
  std::string refusals;
  for (const FoundDevice& found : devices) {
    const DeviceInfo& info = found.info;
    if (!found.refusal.empty()) {
      refusals += fmt::format("{}: refused: {}\n", info.name, printable(found.refusal));
      continue;
    }
    const std::string memory =
        info.memory_bytes == 0 ? "-" : bytes_text(static_cast<double>(info.memory_bytes));
    table.add({info.name, info.chip, std::string(name_of(info.route)), info.driver, memory,
               info.software ? "software" : ""});
  }
  return (table.empty() ? "No device can be used; leat doctor says why.\n" : table.text()) +
         refusals;
}

std::string measured_memory_text(const std::string& name) {
  const Result<std::unique_ptr<Device>> device = open_device(name, 0);
  if (!device) return "  memory   " + printable(device.error().message()) + "\n";
  const MemoryFacts facts = (*device)->memory_facts();
  std::string text = fmt::format("  model    {}", name_of(facts.model));
  if (facts.window_bytes > 0) {
    text += fmt::format(" of {}", bytes_text(static_cast<double>(facts.window_bytes)));
  }
  const std::string host = facts.imports_host ? fmt::format("yes, on multiples of {} bytes",
                                                            facts.import_alignment_bytes)
                                              : "no";
  text += fmt::format("\n  imports  host memory: {}; dma-buf: {}; exports dma-buf: {}\n", host,
                      facts.imports_dma_buf ? "yes" : "no", facts.exports_dma_buf ? "yes" : "no");
  const Result<MemoryProbe> probe = probe_memory(**device);
  if (!probe) return text + "  probe    " + printable(probe.error().message()) + "\n";
  for (const MemoryDecision& row : decide_memory(facts, *probe)) {
    text += fmt::format("  {}: {}; {}{}\n", row.what, row.place, row.reason,
                        row.is_verified ? "" : ". The probe contradicts this");
  }
  text += fmt::format("  copies   in {:.1f}, out {:.1f}, inside {:.1f} GB/s, submit to fence\n",
                      probe->copy_in, probe->copy_out, probe->copy_inside);
  return text;
}

/// Measured in a child process, as drivers may crash.
std::string memory_text(const std::string& name) {
  const Result<std::string> text =
      run_in_child([&] { return measured_memory_text(name); }, kTestTimeoutNs);
  return text ? *text : "  memory   " + text.error().message() + "\n";
}

std::string details_of(const std::vector<FoundDevice>& devices) {
  std::string text;
  for (const FoundDevice& found : devices) {
    const DeviceInfo& info = found.info;
    text += fmt::format("\n{}\n  chip     {}\n  vendor   {}\n  route    {}\n  driver   {}\n",
                        info.name, printable(info.chip), printable(info.vendor),
                        name_of(info.route), printable(info.driver));
    text += fmt::format("  memory   {}{}\n", bytes_text(static_cast<double>(info.memory_bytes)),
                        info.unified_memory ? ", shared with the host" : "");
    if (info.software) text += "  software: a processor runs it; used only when it is named\n";
    if (!found.refusal.empty()) {
      text += "  refused: " + printable(found.refusal) + "\n";
    } else {
      text += memory_text(info.name);
    }
  }
  return text;
}

Result<int> run(const Options& options) {
  TRY(check_files(options.json));
  const std::vector<FoundDevice> devices = ask_devices();
  if (options.json.wanted()) TRY(write_json(options.json, json_of(devices)));
  if (!options.json.to_stdout()) {
    print_text(text_of(devices) + (options.verbose ? details_of(devices) : ""));
  }
  const bool is_any_usable =
      std::ranges::any_of(devices, [](const FoundDevice& found) { return found.refusal.empty(); });
  return is_any_usable ? 0 : 1;
}

}  // namespace

CommandRun add_devices(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  add_json_flag(command, options->json);
  command.add_flag("-v,--verbose", options->verbose,
                   "Everything known of each, and where its bytes lie, measured");
  return [options](const ProcessStart&) { return run(*options); };
}

}  // namespace leat::cli
