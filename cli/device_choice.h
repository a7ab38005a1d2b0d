// Which device a command runs on, and how a device is described to people and in JSON.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/device/device.h"
#include "leat/run/session.h"
#include "leat/run/tuning.h"

namespace CLI {
class App;
}

namespace leat::cli {

/// Declares --device.
void add_device_option(CLI::App& command, std::string& spec);

/// Opens the device `spec`; empty is the best one. The cpu takes LEAT_THREADS threads, else all.
Result<std::unique_ptr<Device>> open_by_spec(const std::string& spec);

/// How long a device may take to open, compile and show what it can, in a child process.
inline constexpr uint64_t kTestTimeoutNs = 120'000'000'000;

/// This machine's devices.
DeviceSource command_devices();

/// A session on them for packed models: without a cache and tuning.
SessionOptions plain_session_options();

/// A session on this machine's devices; who gives way is named on stderr. Kernels get what tuning
/// found; its cache folder is `cache_folder`.
SessionOptions session_options(const std::string& cache_folder, TuningOptions tuning = {});

/// "gpu0:vulkan (NVIDIA H200)".
std::string describe(const DeviceInfo& info);

/// Adds device, chip, route, driver, software and threads.
void add_device_facts(nlohmann::ordered_json& object, Device& device);

/// Where compiled kernels are kept: empty when the cache is off (LEAT_CACHE=0, or `is_off`).
std::string kernel_cache_folder(bool is_off = false);

}  // namespace leat::cli
