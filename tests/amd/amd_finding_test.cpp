// Finding cards, and the sentences for what is in the way: each names the file or the value.
#include <gtest/gtest.h>

#include "leat/backend/amd/amd_card.h"
#include "tests/amd/amd_fake_card.h"

namespace leat {
namespace {

std::string refusal_of(const amd_card::FakeCardOptions& options) {
  FakeCard card(options);
  const std::vector<FoundRoute> found = find_amd_devices_on(card.os);
  EXPECT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].info.route, Route::direct);
  EXPECT_EQ(card.fake.open_descriptors(), 0u);
  EXPECT_EQ(card.open().has_value(), found[0].refusal.empty());
  return found[0].refusal;
}

TEST(AmdFinding, ACardIsDescribed) {
  FakeCard card;
  const std::vector<FoundRoute> found = find_amd_devices_on(card.os);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].refusal, "");
  EXPECT_EQ(found[0].info.chip, "AMD gfx1100 (84 compute units)");
  EXPECT_EQ(found[0].info.vendor, "AMD");
  EXPECT_EQ(found[0].info.driver, "KFD 1.17");
  EXPECT_EQ(found[0].info.memory_bytes, uint64_t{4} << 30);
  Result<std::unique_ptr<Device>> device = card.open();
  ASSERT_OK(device);
  EXPECT_EQ((*device)->info().name, "gpu0:direct");
  const Target& target = (*device)->target();
  EXPECT_EQ(target.llvm_cpu, "gfx1100");
  EXPECT_EQ(target.compute_units, 84u);
  EXPECT_EQ(target.wave_lanes, 32u);
  EXPECT_FALSE(open_amd_device_on(card.os, 1, "gpu1:direct").has_value());
}

TEST(AmdFinding, WhatIsInTheWayIsNamed) {
  const auto contains = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  const std::string nothing = refusal_of({.has_kfd = false, .has_amdgpu = false});
  contains(nothing, "\"other\" 3.57, not amdgpu");
  const std::string no_right = refusal_of({.may_open = false});
  contains(no_right, "/dev/kfd");
  contains(no_right, "render");
  contains(refusal_of({.kfd_minor = 10, .has_amdgpu = false}), "KFD 1.10");
  contains(refusal_of({.target_version = 90402}), "(90402)");
  EXPECT_EQ(refusal_of({.kfd_minor = 11}), "");
}

TEST(AmdFinding, WithoutKfdTheRenderNodeServes) {
  FakeCard bare({.has_kfd = false});
  std::vector<FoundRoute> found = find_amd_devices_on(bare.os);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].refusal, "");
  EXPECT_EQ(found[0].info.chip, "AMD gfx1100 (84 compute units)");
  EXPECT_EQ(found[0].info.driver, "DRM 3.57, not KFD: KFD does not show the card.");
  EXPECT_EQ(found[0].uuid_hex, "00000000030000000000000000000000");
  FakeCard old({.kfd_minor = 10});
  found = find_amd_devices_on(old.os);
  EXPECT_NE(found[0].info.driver.find("DRM 3.57, not KFD: KFD 1.10 is not"), std::string::npos);
  Result<std::unique_ptr<Device>> device = old.open();
  ASSERT_OK(device);
  EXPECT_EQ((*device)->info().driver, "DRM 3.57");
  EXPECT_EQ(old.fake.live_queues(), 0u);
  EXPECT_EQ(refusal_of({.target_version = 100300, .has_kfd = false})
                .find("The GPU of renderD128 with graphics block (10.3.0)"),
            0u);
}

TEST(AmdFinding, SaveAreasAreThoseOfTheKernel) {
  // Linux amdkfd/kfd_queue.c; equal to dumps of real cards: 96 compute units (tinygrad/7900xtx
  // docs/MEC.md), gfx1151 with 40 (ROCm/legacy-rocm-build issue 6182).
  const AmdSaveArea navi31 = save_area_of(84, 0x60000);
  EXPECT_EQ(navi31.save_bytes, 0x266c000u);
  EXPECT_EQ(navi31.control_stack_bytes, 0x8000u);
  EXPECT_EQ(navi31.debug_bytes, 86016u);
  EXPECT_EQ(navi31.total_bytes(), 40374272u);
  EXPECT_EQ(save_area_of(96, 0x60000).total_bytes(), 46145536u);
  EXPECT_EQ(save_area_of(60, 0x60000).total_bytes(), 28839936u);
  EXPECT_EQ(save_area_of(32, 0x40000).total_bytes(), 11190272u);
  EXPECT_EQ(save_area_of(64, 0x60000).total_bytes(), 30765056u);
  EXPECT_EQ(save_area_of(40, 0x60000).total_bytes(), 19226624u);
  EXPECT_EQ(save_area_of(40, 0x40000).total_bytes(), 13983744u);
}

TEST(AmdFinding, BothSaveAreasOfGfx1151AreTried) {
  for (const uint32_t vgpr_bytes : {0x60000u, 0x40000u}) {
    FakeCard card({.target = "gfx1151",
                   .target_version = 110501,
                   .compute_units = 40,
                   .shader_engines = 2,
                   .vgpr_bytes_per_cu = vgpr_bytes});
    const Result<std::unique_ptr<Device>> device = card.open();
    ASSERT_OK(device);
    EXPECT_EQ(card.faults(), "");
  }
}

}  // namespace
}  // namespace leat
