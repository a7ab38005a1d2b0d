// See energy.h.
#include "leat/report/energy.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "leat/base/files.h"

namespace leat {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr size_t kReadingBytesMax = 4096;

/// Of a file that holds one; nothing when it cannot be read.
std::optional<double> number_in(const std::string& path) {
  const Result<std::string> text = read_file(path, kReadingBytesMax);
  if (!text) return std::nullopt;
  char* end = nullptr;
  const double number = std::strtod(text->c_str(), &end);
  return end == text->c_str() ? std::nullopt : std::optional(number);
}

std::string word_in(const std::string& path) {
  const Result<std::string> text = read_file(path, kReadingBytesMax);
  return text ? text->substr(0, text->find('\n')) : std::string();
}

std::vector<std::string> folders_in(const std::string& path) {
  std::vector<std::string> folders;
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    folders.push_back(it->path().string());
  }
  return folders;
}

/// The reading of the only amdgpu there is.
std::string amd_power_path(const std::string& sys) {
  std::string found;
  for (const std::string& folder : folders_in(sys + "/class/hwmon")) {
    if (word_in(folder + "/name") != "amdgpu") continue;
    for (const char* name : {"/power1_average", "/power1_input"}) {
      if (!number_in(folder + name)) continue;
      if (!found.empty()) return "";
      found = folder + name;
      break;
    }
  }
  return found;
}

}  // namespace

std::optional<EnergyMeter> EnergyMeter::find(const DeviceInfo& info, const std::string& sys) {
  EnergyMeter meter;
  if (info.route == Route::native || info.software) {
    meter.source_ = "RAPL";
    for (const std::string& folder : folders_in(sys + "/class/powercap")) {
      if (!word_in(folder + "/name").starts_with("package-")) continue;  // not its parts
      const auto range = number_in(folder + "/max_energy_range_uj");
      if (!range || !number_in(folder + "/energy_uj")) return std::nullopt;
      meter.counters_.push_back({folder + "/energy_uj", *range});
    }
    return meter.counters_.empty() ? std::nullopt : std::optional(meter);
  }
  const bool is_amd = (info.vendor + info.chip).find("AMD") != std::string::npos;
  meter.source_ = "hwmon";
  meter.power_path_ = is_amd ? amd_power_path(sys) : "";
  return meter.power_path_.empty() ? std::nullopt : std::optional(meter);
}

std::vector<double> EnergyMeter::readings() const {
  std::vector<double> values;
  for (const Counter& counter : counters_) values.push_back(number_in(counter.path).value_or(0));
  return values;
}

double EnergyMeter::microjoules_between(const std::vector<double>& before) const {
  const std::vector<double> after = readings();
  double sum = 0;
  for (size_t i = 0; i < counters_.size(); ++i) {
    sum += after[i] - before[i] + (after[i] < before[i] ? counters_[i].range : 0);
  }
  return sum;
}

Result<double> EnergyMeter::joules_per_run(const std::function<Result<void>()>& work,
                                           int runs) const {
  const std::vector<double> before = readings();
  const Clock::time_point start = Clock::now();
  double watts = 0;
  for (int i = 0; i < runs; ++i) {
    TRY(work());
    if (!power_path_.empty()) watts += number_in(power_path_).value_or(0) * 1e-6;
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const double joules =
      power_path_.empty() ? microjoules_between(before) * 1e-6 : watts / runs * seconds;
  return joules / runs;
}

}  // namespace leat
