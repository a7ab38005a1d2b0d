// What the direct route sends, as text: set-up, launches, chains, copies, marks, armed submits. The
// mock logs what it reads, so a change of a packet shows here.
#include <sstream>
#include "leat/backend/nvidia/nvidia_device.h"

#include "tests/wire/wire_suite.h"

namespace leat {
namespace {

class WireGolden : public WireTest {
 protected:
  void SetUp() override {
    open();
    submit_and_wait();
    gpu().engines().start_log();
  }
  /// Without the lines of descriptors, which LaunchDescriptor shows.
  std::string methods() {
    std::istringstream lines(gpu().engines().take_log());
    std::string text;
    for (std::string line; std::getline(lines, line);) {
      const bool is_method = line.starts_with("host ") || line.starts_with("compute ") ||
                             line.starts_with("copy ") || line.ends_with("QMD");
      if (is_method) text += line + "\n";
    }
    return text;
  }
};

TEST_F(WireGolden, SetUp) {
  mock::Nvidia nvidia;
  nvidia.engines().start_log();
  ASSERT_OK(open_nvidia_device_on(nvidia.os(), 0, "mock"));
  EXPECT_EQ(nvidia.engines().take_log(), R"(compute SET_OBJECT 0x0000cbc0
compute INVALIDATE_SKED_CACHES 0x00000000
compute INVALIDATE_SAMPLER_CACHE_NO_WFI 0x00000000
compute INVALIDATE_TEXTURE_HEADER_CACHE_NO_WFI 0x00000000
compute SET_SHADER_SHARED_MEMORY_WINDOW_A 0x00007294
compute SET_SHADER_SHARED_MEMORY_WINDOW_B 0x00000000
compute SET_SHADER_LOCAL_MEMORY_WINDOW_A 0x00007293
compute SET_SHADER_LOCAL_MEMORY_WINDOW_B 0x00000000
compute WAIT_FOR_IDLE 0x00000000
compute INVALIDATE_SHADER_CACHES_NO_WFI 0x00001011 (instruction data constant)
host SEM_ADDR_LO A1
host SEM_ADDR_HI 0x00000001
host SEM_PAYLOAD_LO 0x00000001
host SEM_PAYLOAD_HI 0x00000000
host SEM_EXECUTE 0x01100001 (release, wait for idle, 64-bit)
)");
}

TEST_F(WireGolden, Launch) {
  const auto kernel = load(add_program(1));
  const Buffer x = numbers(0);
  launch(*kernel, {&x});
  submit_and_wait();
  EXPECT_EQ(methods(), R"(compute WAIT_FOR_IDLE 0x00000000
compute INVALIDATE_SHADER_CACHES_NO_WFI 0x00001011 (instruction data constant)
compute SEND_PCAS_A A1
compute SEND_SIGNALING_PCAS2_B 0x00000009 (prefetch, schedule)
QMD
)");
}

TEST_F(WireGolden, LaunchDescriptor) {
  const auto kernel = load(add_program(1));
  const Buffer x = numbers(0);
  const auto list = record([&] {
    launch(*kernel, {&x});
    launch(*kernel, {&x});
  });
  wait_for(queue().replay(*list));
  const std::string log = gpu().engines().take_log();
  const size_t qmd = log.find("QMD\n"), dependent = log.find("dependent QMD\n");
  ASSERT_NE(dependent, std::string::npos);
  EXPECT_EQ(log.substr(qmd, dependent - qmd), R"(QMD
version_major 0x4
type 0x2
api_visible_call_limit 0x1
cwd_membar_type 0x1
invalidate_shader_data_cache 0x1
grid_width 0x1
grid_height 0x1
grid_depth 0x1
cta_width 0x20
cta_height 0x1
cta_depth 0x1
register_count 0x20
barrier_count 0x1
shared_memory_size 0x400
min_sm_config 0x3
max_sm_config 0x3a
target_sm_config 0x9
program_address_lower A2
program_address_upper 0x1
prefetch_address_lower A3
prefetch_size 0x1
prefetch_type 0x1
bank0_valid 0x1
bank0_address_lower A4
bank0_size 0x220
bank0_prefetch 0x1
dependent0_enable 0x1
dependent0_action 0x1
dependent0_prefetch 0x1
dependent0_pointer A5
)");
  EXPECT_EQ(log.substr(log.find("release0")), R"(release0_enable 0x1
release0_structure_size 0x2
release0_payload64 0x1
release0_address_lower A7
release0_address_upper 0x1
release0_payload_lower 0x3
)");
}

TEST_F(WireGolden, ChainsBesideEachOther) {
  const auto add = load(add_program(1)), move = load(move_program(0));
  const Buffer x = numbers(0), y = numbers(0);
  const auto list = record([&] {
    launch(*add, {&x});
    launch(*add, {&y});
    launch(*add, {&x});
    launch(*move, {&x, &y});
  });
  gpu().engines().take_log();
  wait_for(queue().replay(*list));
  EXPECT_EQ(methods(), R"(compute WAIT_FOR_IDLE 0x00000000
compute INVALIDATE_SHADER_CACHES_NO_WFI 0x00001011 (instruction data constant)
compute SEND_PCAS_A A1
compute SEND_SIGNALING_PCAS2_B 0x00000009 (prefetch, schedule)
QMD
dependent QMD
compute SEND_PCAS_A A7
compute SEND_SIGNALING_PCAS2_B 0x00000009 (prefetch, schedule)
QMD
compute WAIT_FOR_IDLE 0x00000000
compute SEND_PCAS_A A9
compute SEND_SIGNALING_PCAS2_B 0x00000009 (prefetch, schedule)
QMD
)");
}

TEST_F(WireGolden, CopyBetweenLaunches) {
  const auto add = load(add_program(1));
  const Buffer x = numbers(0), y = numbers(0);
  launch(*add, {&x});
  ASSERT_OK(queue().copy({&y, 0, 128}, {&x, 0, 128}));
  launch(*add, {&y});
  submit_and_wait();
  EXPECT_EQ(first(y), 2);
  EXPECT_EQ(methods(), R"(compute WAIT_FOR_IDLE 0x00000000
compute INVALIDATE_SHADER_CACHES_NO_WFI 0x00001011 (instruction data constant)
compute SEND_PCAS_A A1
compute SEND_SIGNALING_PCAS2_B 0x00000009 (prefetch, schedule)
QMD
host SEM_ADDR_LO A5
host SEM_ADDR_HI 0x00000001
host SEM_PAYLOAD_LO 0x00000001
host SEM_PAYLOAD_HI 0x00000000
host SEM_EXECUTE 0x00100001 (release, wait for idle)
host SEM_ADDR_LO A5
host SEM_ADDR_HI 0x00000001
host SEM_PAYLOAD_LO 0x00000002
host SEM_PAYLOAD_HI 0x00000000
host SEM_EXECUTE 0x00001000 (acquire equal, switch group)
host SEM_ADDR_LO A5
host SEM_ADDR_HI 0x00000001
host SEM_PAYLOAD_LO 0x00000001
host SEM_PAYLOAD_HI 0x00000000
host SEM_EXECUTE 0x00001000 (acquire equal, switch group)
copy SET_OBJECT 0x0000c8b5
copy OFFSET_IN_UPPER 0x00000001
copy OFFSET_IN_LOWER A6
copy OFFSET_OUT_UPPER 0x00000001
copy OFFSET_OUT_LOWER A7
copy LINE_LENGTH_IN 0x00000080
copy LINE_COUNT 0x00000001
copy LAUNCH_DMA 0x00000186 (non-pipelined, flush, source pitch, target pitch)
host SEM_ADDR_LO A5
host SEM_ADDR_HI 0x00000001
host SEM_PAYLOAD_LO 0x00000002
host SEM_PAYLOAD_HI 0x00000000
host SEM_EXECUTE 0x00100001 (release, wait for idle)
compute SEND_PCAS_A A8
compute SEND_SIGNALING_PCAS2_B 0x00000009 (prefetch, schedule)
QMD
)");
}

TEST_F(WireGolden, MarkAndArm) {
  const auto add = load(add_program(1));
  const Buffer x = numbers(0);
  const auto list = record([&] {
    ASSERT_OK(queue().mark_time(3));
    launch(*add, {&x});
  });
  const Result<uint64_t> value = queue().arm(*list);
  ASSERT_OK(value);
  EXPECT_LT(queue().fence().poll(), *value);
  queue().fire();
  gpu().run();
  wait_for(value);
  EXPECT_EQ(methods(), R"(compute WAIT_FOR_IDLE 0x00000000
compute INVALIDATE_SHADER_CACHES_NO_WFI 0x00001011 (instruction data constant)
host SEM_ADDR_LO A1
host SEM_ADDR_HI 0x00000001
host SEM_PAYLOAD_LO 0x00000001
host SEM_PAYLOAD_HI 0x00000000
host SEM_EXECUTE 0x01000003 (acquire circular, 64-bit)
compute NO_OPERATION 0x00000000
host SEM_ADDR_LO A2
host SEM_ADDR_HI 0x00000001
host SEM_PAYLOAD_LO 0x00000001
host SEM_PAYLOAD_HI 0x00000000
host SEM_EXECUTE 0x03100001 (release, wait for idle, 64-bit, timestamp)
compute SEND_PCAS_A A3
compute SEND_SIGNALING_PCAS2_B 0x00000009 (prefetch, schedule)
QMD
)");
}

}  // namespace
}  // namespace leat
