// What a run costs in joules, where somebody tells: the package of an Intel or AMD processor by its
// running counter (RAPL, in Linux' powercap), for the cpu and what a processor renders; an AMD GPU
// by its driver's reading of power (hwmon). Whatever else the machine did meanwhile is in it.
// Source: Linux, Documentation/power/powercap/powercap.rst and gpu/amdgpu/thermal.rst.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/device/device.h"

namespace leat {

class EnergyMeter {
 public:
  /// Nothing, where nobody tells of this device or this process may not read it. With several
  /// AMD GPUs none is known to be the device. `sys` is "/sys", save in tests.
  static std::optional<EnergyMeter> find(const DeviceInfo& info, const std::string& sys = "/sys");

  /// Joules of one of the `runs` that `work` makes. Errors: those of `work`.
  Result<double> joules_per_run(const std::function<Result<void>()>& work, int runs) const;
  /// "RAPL" or "hwmon".
  const std::string& source() const { return source_; }

 private:
  /// A counter of microjoules that starts anew at `range`.
  struct Counter {
    std::string path;
    double range = 0;
  };
  double microjoules_between(const std::vector<double>& before) const;
  std::vector<double> readings() const;

  std::string source_;
  std::vector<Counter> counters_;  // of all packages
  std::string power_path_;         // microwatts; empty: counters
};

}  // namespace leat
