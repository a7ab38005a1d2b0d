// Counters and readings of a /sys that the test writes.
#include "leat/report/energy.h"

#include <filesystem>

#include "leat/base/scratch_folder_test.h"

namespace leat {
namespace {

class EnergyMeterTest : public ScratchFolder {
 protected:
  void put(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    write(name, text);
  }
  void put_package(const std::string& folder, const std::string& name, const std::string& uj) {
    const std::string at = "class/powercap/" + folder;
    put(at + "/name", name + "\n");
    put(at + "/energy_uj", uj + "\n");
    put(at + "/max_energy_range_uj", "1000000\n");
  }
  std::optional<EnergyMeter> find(const DeviceInfo& info) {
    return EnergyMeter::find(info, path(""));
  }
};

const DeviceInfo kCpu = {.name = "cpu", .route = Route::native};
const DeviceInfo kAmd = {.name = "gpu0", .vendor = "AMD", .route = Route::vulkan};

TEST_F(EnergyMeterTest, SumsPackagesOverTheirEnd) {
  put_package("intel-rapl:0", "package-0", "900000");
  put_package("intel-rapl:1", "package-1", "100");
  put_package("intel-rapl:0:0", "core", "5");
  const auto meter = find(kCpu);
  ASSERT_TRUE(meter);
  EXPECT_EQ(meter->source(), "RAPL");
  int runs = 0;
  const auto joules = meter->joules_per_run(
      [&]() -> Result<void> {
        if (++runs < 4) return {};
        put_package("intel-rapl:0", "package-0", "100000");  // 200000 on, through the end
        put_package("intel-rapl:1", "package-1", "200100");
        put_package("intel-rapl:0:0", "core", "777777");
        return {};
      },
      4);
  ASSERT_TRUE(joules);
  EXPECT_NEAR(*joules, 0.1, 1e-9);
}

TEST_F(EnergyMeterTest, ASoftwareGpuIsTheProcessors) {
  put_package("intel-rapl:0", "package-0", "1");
  EXPECT_TRUE(find({.name = "gpu1", .route = Route::vulkan, .software = true}));
  EXPECT_FALSE(find({.name = "gpu0", .vendor = "NVIDIA", .route = Route::vulkan}));
}

TEST_F(EnergyMeterTest, ReadsTheOnlyAmdGpu) {
  EXPECT_FALSE(find(kAmd));
  put("class/hwmon/hwmon0/name", "nvme\n");
  put("class/hwmon/hwmon3/name", "amdgpu\n");
  put("class/hwmon/hwmon3/power1_average", "50000000\n");
  const auto meter = find(kAmd);
  ASSERT_TRUE(meter);
  EXPECT_EQ(meter->source(), "hwmon");
  const auto joules = meter->joules_per_run([]() -> Result<void> { return {}; }, 10);
  ASSERT_TRUE(joules);
  EXPECT_GT(*joules, 0);
  EXPECT_LT(*joules, 50.0);
  put("class/hwmon/hwmon4/name", "amdgpu\n");
  put("class/hwmon/hwmon4/power1_input", "7\n");
  EXPECT_FALSE(find(kAmd)) << "two, and nobody says which";
}

TEST_F(EnergyMeterTest, TellsNothingWithoutACounter) {
  EXPECT_FALSE(find(kCpu));
  put("class/powercap/intel-rapl:0/name", "package-0\n");
  EXPECT_FALSE(find(kCpu)) << "a counter that cannot be read";
}

TEST_F(EnergyMeterTest, AnErrorOfTheWorkIsHanded) {
  put_package("intel-rapl:0", "package-0", "1");
  const auto joules = find(kCpu)->joules_per_run(
      []() -> Result<void> { return Error(ErrorKind::device_lost, "Gone."); }, 3);
  ASSERT_FALSE(joules);
  EXPECT_EQ(joules.error().message(), "Gone.");
}

}  // namespace
}  // namespace leat
