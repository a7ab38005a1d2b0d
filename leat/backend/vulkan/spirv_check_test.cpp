// The outline check on a module made by hand and on what damage makes of it.
#include "leat/backend/vulkan/spirv_check.h"

#include <gtest/gtest.h>

#include <cstring>

namespace leat {
namespace {

uint32_t first_word(uint32_t opcode, uint32_t words) { return words << 16 | opcode; }

// Header; OpMemoryModel; OpEntryPoint GLCompute %1 "main"; OpExecutionMode LocalSize 8 2 1;
// OpFunction and OpFunctionEnd with ids that nothing looks at here.
std::vector<uint32_t> small_module() {
  return {0x07230203,        0x00010300, 0,  10,         0,     //
          first_word(14, 3), 0,          1,                     //
          first_word(15, 5), 5,          1,  0x6e69616d, 0,     //
          first_word(16, 6), 1,          17, 8,          2, 1,  //
          first_word(54, 5), 2,          1,  0,          3,     //
          first_word(56, 1)};
}

KernelBinary binary_of(const std::vector<uint32_t>& words) {
  KernelBinary binary;
  binary.name = "small";
  binary.entry = "main";
  binary.format = CodeFormat::spirv_pointers;
  binary.wave_lanes = 8;
  binary.waves_per_workgroup = 2;
  binary.code.resize(words.size() * sizeof(uint32_t));
  if (!words.empty()) std::memcpy(binary.code.data(), words.data(), binary.code.size());
  return binary;
}

TEST(SpirvCheck, TakesAModule) {
  const Result<void> checked = check_spirv(binary_of(small_module()));
  EXPECT_TRUE(checked.has_value()) << checked.error().message();
}

TEST(SpirvCheck, RefusesEveryTruncation) {
  const std::vector<uint32_t> words = small_module();
  for (size_t count = 0; count < words.size(); ++count) {
    const std::vector<uint32_t> part(words.begin(),
                                     words.begin() + static_cast<std::ptrdiff_t>(count));
    EXPECT_FALSE(check_spirv(binary_of(part)).has_value()) << count << " words";
  }
  KernelBinary odd = binary_of(words);
  odd.code.pop_back();
  EXPECT_FALSE(check_spirv(odd).has_value());
}

TEST(SpirvCheck, RefusesDamagedWords) {
  struct Damage {
    size_t at;
    uint32_t value;
    const char* what;
  };
  const Damage damages[] = {{0, 0x03022307, "magic of the other byte order"},
                            {1, 0x00020000, "version 2.0"},
                            {3, 0xffffffff, "id bound"},
                            {5, first_word(14, 0), "instruction of no words"},
                            {5, first_word(14, 100), "instruction past the end"},
                            {9, 0, "entry point of a vertex shader"},
                            {11, 0x6e69616e, "another entry point"},
                            {16, 16, "another workgroup size"},
                            {24, first_word(57, 1), "open function"}};
  for (const Damage& damage : damages) {
    std::vector<uint32_t> words = small_module();
    words[damage.at] = damage.value;
    EXPECT_FALSE(check_spirv(binary_of(words)).has_value()) << damage.what;
  }
}

TEST(SpirvCheck, AnEntryNameWithoutEndStaysInItsInstruction) {
  std::vector<uint32_t> words = small_module();
  words[12] = 0x6e69616d;  // "mainmain" and no zero behind it
  const Result<void> checked = check_spirv(binary_of(words));
  ASSERT_FALSE(checked.has_value());
  EXPECT_NE(checked.error().message().find("entry point \"main\""), std::string::npos);
}

}  // namespace
}  // namespace leat
