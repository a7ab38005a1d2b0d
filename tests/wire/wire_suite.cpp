#include "tests/wire/wire_suite.h"

#include <algorithm>

#include "leat/ir/builder.h"
#include "leat/ir/text.h"

namespace leat {

namespace {

constexpr uint32_t kLanesOfWave = 32;

KernelBinary binary_of(const ir::Program& program) {
  KernelBinary binary;
  binary.name = program.name;
  binary.entry = program.name;
  binary.format = CodeFormat::interpreted;
  const std::string text = ir::print_program(program);
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  binary.code.assign(bytes, bytes + text.size());
  for (const ir::Parameter& parameter : program.parameters) {
    binary.arguments.push_back({parameter.storage, parameter.written});
  }
  binary.wave_lanes = program.wave_lanes;
  binary.waves_per_workgroup = program.waves_per_workgroup;
  binary.local_memory_bytes = program.local_bytes();
  std::ranges::copy(program.grid, binary.grid);
  return binary;
}

}  // namespace

KernelBinary empty_program() { return binary_of(ir::Builder("empty", kLanesOfWave, 1).finish()); }

KernelBinary add_program(int32_t addend) {
  ir::Builder builder("add", kLanesOfWave, 1);
  const uint32_t x = builder.parameter("x", DType::i32, true, kLanesOfWave);
  const ir::ValueId lane = builder.lane_id();
  builder.store(x, lane, builder.add(builder.load(x, lane, 1), builder.i32(addend)));
  return binary_of(builder.finish());
}

KernelBinary move_program(int32_t addend) {
  ir::Builder builder("move", kLanesOfWave, 1);
  const uint32_t in = builder.parameter("in", DType::i32, false, kLanesOfWave);
  const uint32_t out = builder.parameter("out", DType::i32, true, kLanesOfWave);
  const ir::ValueId lane = builder.lane_id();
  builder.store(out, lane, builder.add(builder.load(in, lane, 1), builder.i32(addend)));
  return binary_of(builder.finish());
}

void WireTest::open(const mock::ChipOptions& options) {
  device_.reset();
  Result<std::unique_ptr<mock::MockDevice>> opened = mock::MockDevice::open(options);
  ASSERT_OK(opened);
  device_ = std::move(*opened);
}

std::unique_ptr<Kernel> WireTest::load(const KernelBinary& binary) {
  Result<std::unique_ptr<Kernel>> kernel = device().load(binary);
  EXPECT_TRUE(kernel.has_value()) << kernel.error().message();
  return kernel ? std::move(*kernel) : nullptr;
}

Buffer WireTest::numbers(int32_t value) {
  Result<Buffer> made = device().allocate(kLanes * sizeof(int32_t), MemoryKind::shared);
  EXPECT_TRUE(made.has_value());
  std::fill_n(reinterpret_cast<int32_t*>(made->host_pointer()), kLanes, value);
  return std::move(*made);
}

int32_t WireTest::first(const Buffer& buffer) {
  return *reinterpret_cast<const int32_t*>(buffer.host_pointer());
}

void WireTest::launch(const Kernel& kernel, const std::vector<const Buffer*>& buffers) {
  std::vector<BufferRange> ranges;
  for (const Buffer* buffer : buffers) ranges.push_back({buffer, 0, buffer->size_bytes()});
  ASSERT_OK(queue().launch(kernel, ranges));
}

void WireTest::wait_for(const Result<uint64_t>& value) {
  ASSERT_OK(value);
  const Result<bool> done = queue().fence().wait(*value, 1'000'000'000);
  ASSERT_OK(done);
  ASSERT_TRUE(*done) << "The fence does not reach (" << *value << ").";
}

void WireTest::submit_and_wait() { wait_for(queue().submit()); }

std::unique_ptr<RecordedList> WireTest::record(const std::function<void()>& commands) {
  EXPECT_TRUE(queue().begin_record().has_value());
  commands();
  Result<std::unique_ptr<RecordedList>> list = queue().end_record();
  EXPECT_TRUE(list.has_value()) << list.error().message();
  return list ? std::move(*list) : nullptr;
}

}  // namespace leat
