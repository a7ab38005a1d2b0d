// Conformance: kernels, the order of commands, recorded lists.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "leat/base/half.h"
#include "tests/backend/backend_suite.h"
#include "tests/backend/backend_suite_kernels.h"

namespace leat {
namespace {

class LaunchConformance : public ConformanceTest {};

std::vector<float> ramp(size_t count, float step) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i % 4096) * step;
  return values;
}

// Whole numbers below 2^24 times 2.5: every result is exact, so the comparison is too.
TEST_P(LaunchConformance, Saxpy) {
  for (const size_t count : {size_t{1}, size_t{7}, size_t{1000}, size_t{100003}}) {
    for (const MemoryKind kind : {MemoryKind::device, MemoryKind::shared}) {
      const auto kernel = load(saxpy_kernel(device().target(), static_cast<int64_t>(count)));
      ASSERT_NE(kernel, nullptr);
      const std::vector<float> x = ramp(count, 2.0f);
      const std::vector<float> y = ramp(count, 1.0f);
      const Buffer x_buffer = buffer_of(x, kind);
      const Buffer y_buffer = buffer_of(y, kind);
      const Buffer out = buffer_of(std::vector<float>(count + 1, -1.0f), kind);
      launch(*kernel, {&x_buffer, &y_buffer, &out});
      submit_and_wait();
      if (!runs_kernels()) continue;
      std::vector<float> wanted(count + 1, -1.0f);  // the last stays as it was
      for (size_t i = 0; i < count; ++i) wanted[i] = 2.5f * x[i] + y[i];
      EXPECT_TRUE(read<float>(out, count + 1) == wanted) << count << " elements";
    }
  }
}

/// Pairs of all signs and sizes: every special value with every other one, then random bits.
void add_pairs(std::vector<float>& a, std::vector<float>& b) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float special[] = {0.0f,   -0.0f, 1.0f,   -3.0f,     1.2e-38f,   3e38f,
                           1e-20f, 7e19f, 1e-30f, kInfinity, -kInfinity, std::nanf("")};
  for (const float x : special) {
    for (const float y : special) {
      a.push_back(x);
      b.push_back(y);
    }
  }
  std::mt19937 bits(7);
  for (int i = 0; i < 20000; ++i) {
    const uint32_t x = static_cast<uint32_t>(bits()), y = static_cast<uint32_t>(bits());
    float values[2];
    std::memcpy(&values[0], &x, sizeof x);
    std::memcpy(&values[1], &y, sizeof y);
    a.push_back(values[0]);
    b.push_back(values[1]);
  }
}

/// Numbers so small that their reciprocals are infinite, divided by and taken apart.
void add_small(std::vector<float>& a, std::vector<float>& b) {
  const float small[] = {1.4e-45f, 1e-44f, 1e-40f, -2.9e-39f};
  for (const float x : {0.0f, 1e-44f, 1e-40f, 3e-29f, 1e-20f, -1e-5f, 1.0f, 3e38f}) {
    for (const float y : small) {
      a.push_back(x);
      b.push_back(y);
    }
  }
}

/// Units in the last place; 0 where either is below the normal numbers, which GPUs flush.
double rounding_error(float got, double want) {
  constexpr double kNormalMin = std::numeric_limits<float>::min();
  if (std::isnan(want)) return std::isnan(got) ? 0 : 1e9;
  if (std::abs(want) > std::numeric_limits<float>::max() || want == 0) {
    return static_cast<float>(want) == got ? 0 : 1e9;
  }
  if (std::abs(want) < 2 * kNormalMin) return std::abs(got) < 4 * kNormalMin ? 0 : 1e9;
  return std::abs(got - want) / std::ldexp(1.0, std::ilogb(want) - 23);
}

// A software renderer rounds by itself and has no fused multiply-add, so what real GPUs do to round
// is run there too, and allowed one unit more.
TEST_P(LaunchConformance, QuotientsAndRootsAreRounded) {
  std::vector<float> a, b;
  add_pairs(a, b);
  add_small(a, b);
  const auto count = static_cast<int64_t>(a.size());
  const Buffer a_buffer = buffer_of(a), b_buffer = buffer_of(b);
  const Buffer quotients = buffer_of(std::vector<float>(a.size(), 0.0f));
  const Buffer roots = buffer_of(std::vector<float>(a.size(), 0.0f));
  for (const bool as_real_gpu : {false, true}) {
    Target target = device().target();
    if (as_real_gpu && !target.software) break;
    if (as_real_gpu) target.software = false;
    const auto kernel = load(rounding_kernel(target, count));
    ASSERT_NE(kernel, nullptr);
    launch(*kernel, {&a_buffer, &b_buffer, &quotients, &roots});
    submit_and_wait();
    if (!runs_kernels()) return;
    const auto quotient = read<float>(quotients, a.size()), root = read<float>(roots, a.size());
    constexpr float kNormalMin = std::numeric_limits<float>::min();
    const auto is_flushed = [&](float x) { return x != 0 && std::abs(x) < kNormalMin; };
    for (size_t i = 0; i < a.size(); ++i) {
      if (is_flushed(a[i]) || is_flushed(b[i])) {
        // Whether a number is flushed or not, only zero by zero is none.
        const bool may_be_zeros = std::abs(a[i]) < kNormalMin && std::abs(b[i]) < kNormalMin;
        const bool is_number =
            may_be_zeros || std::isnan(a[i]) || std::isnan(b[i]) || !std::isnan(quotient[i]);
        ASSERT_TRUE(is_number) << a[i] << " / " << b[i];
        continue;
      }
      const double limit = as_real_gpu ? 1.6 : 0.51;
      const double ratio = static_cast<double>(a[i]) / static_cast<double>(b[i]);
      ASSERT_LE(rounding_error(quotient[i], ratio), limit) << a[i] << " / " << b[i];
      ASSERT_LE(rounding_error(root[i], std::sqrt(static_cast<double>(a[i]))), limit) << a[i];
      ASSERT_TRUE(ratio != 0 || std::signbit(quotient[i]) == std::signbit(ratio)) << a[i];
    }
  }
}

TEST_P(LaunchConformance, EveryWorkgroupOfAGridRunsOnce) {
  const auto kernel = load(grid_kernel(device().target()));
  ASSERT_NE(kernel, nullptr);
  const Buffer out = buffer_of(std::vector<int32_t>(24, -1));
  launch(*kernel, {&out});
  submit_and_wait();
  if (!runs_kernels()) return;
  std::vector<int32_t> wanted;
  for (int32_t z = 0; z < 4; ++z) {
    for (int32_t y = 0; y < 3; ++y) {
      for (int32_t x = 0; x < 2; ++x) wanted.push_back(x + 100 * y + 10000 * z);
    }
  }
  EXPECT_EQ(read<int32_t>(out, 24), wanted);
}

TEST_P(LaunchConformance, ALaunchMayHaveFewerWorkgroups) {
  constexpr int64_t kGroups = 50;
  const auto kernel = load(reverse_kernel(device().target(), kGroups));
  ASSERT_NE(kernel, nullptr);
  const auto size = static_cast<size_t>(reverse_group_size(device().target()));
  std::vector<int32_t> values(size * kGroups);
  std::iota(values.begin(), values.end(), 0);
  const Buffer in = buffer_of(values);
  const Buffer out = buffer_of(std::vector<int32_t>(values.size(), -1));
  const Buffer recorded = buffer_of(std::vector<int32_t>(values.size(), -1));
  const std::array ranges = {whole(in), whole(out)};
  const std::array recorded_ranges = {whole(in), whole(recorded)};
  ASSERT_OK(queue().begin_record());
  const Result<void> launched = queue().launch(*kernel, recorded_ranges, 7);
  auto list = queue().end_record();
  ASSERT_OK(launched);
  ASSERT_OK(list);
  ASSERT_OK(queue().launch(*kernel, ranges, 1));
  submit_and_wait();
  const auto replayed = queue().replay(**list);
  ASSERT_OK(replayed);
  wait_for(*replayed);
  if (!runs_kernels()) return;
  const auto reversed = [&](size_t groups) {
    std::vector<int32_t> wanted(values.size(), -1);
    for (size_t i = 0; i < groups * size; ++i) {
      wanted[i] = values[i / size * size + (size - 1 - i % size)];
    }
    return wanted;
  };
  EXPECT_EQ(read<int32_t>(out, values.size()), reversed(1));
  EXPECT_EQ(read<int32_t>(recorded, values.size()), reversed(7));
}

TEST_P(LaunchConformance, WavesMeetAtABarrier) {
  constexpr int64_t kGroups = 50;
  const auto kernel = load(reverse_kernel(device().target(), kGroups));
  ASSERT_NE(kernel, nullptr);
  const auto size = static_cast<size_t>(reverse_group_size(device().target()));
  std::vector<int32_t> values(size * kGroups);
  std::iota(values.begin(), values.end(), 0);
  const Buffer in = buffer_of(values);
  const Buffer out = buffer(values.size() * sizeof(int32_t));
  launch(*kernel, {&in, &out});
  submit_and_wait();
  if (!runs_kernels()) return;
  for (size_t start = 0; start < values.size(); start += size) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(start);
    std::reverse(first, first + static_cast<std::ptrdiff_t>(size));
  }
  EXPECT_EQ(read<int32_t>(out, values.size()), values);
}

TEST_P(LaunchConformance, StoresHalfPrecision) {
  if (!device().target().storage_f16) GTEST_SKIP() << "The device has no 16-bit storage.";
  constexpr size_t kCount = 1001;
  const auto kernel = load(to_half_kernel(device().target(), kCount));
  ASSERT_NE(kernel, nullptr);
  const std::vector<float> values = ramp(kCount, 0.37f);
  const Buffer in = buffer_of(values);
  const Buffer out = buffer_of(std::vector<uint16_t>(kCount + 1, 0x1234));
  launch(*kernel, {&in, &out});
  submit_and_wait();
  if (!runs_kernels()) return;
  std::vector<uint16_t> wanted;
  for (const float value : values) wanted.push_back(half_from_float(value));
  wanted.push_back(0x1234);
  EXPECT_EQ(read<uint16_t>(out, kCount + 1), wanted);
}

// x -> 3x + 1 and x -> 3x + 2 do not commute, so a swapped or overlapping pair shows.
int32_t chained(int32_t value, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    value = static_cast<int32_t>(3u * static_cast<uint32_t>(value) + (i % 2 == 0 ? 1u : 2u));
  }
  return value;
}

TEST_P(LaunchConformance, DependentKernelsRunInOrder) {
  constexpr size_t kCount = 10000;
  constexpr int kRounds = 50;
  const auto odd = load(triple_kernel(device().target(), kCount, 1));
  const auto even = load(triple_kernel(device().target(), kCount, 2));
  ASSERT_TRUE(odd != nullptr && even != nullptr);
  const Buffer x = buffer_of(std::vector<int32_t>(kCount, 7), MemoryKind::device);
  for (int i = 0; i < kRounds; ++i) launch(i % 2 == 0 ? *odd : *even, {&x});
  submit_and_wait();
  if (!runs_kernels()) return;
  EXPECT_EQ(read<int32_t>(x, kCount), std::vector<int32_t>(kCount, chained(7, kRounds)));
}

// Grids that leave most of a chip idle, whose workgroups read what others wrote a launch ago into
// memory that still others read before: what is left of it in any cache would show.
TEST_P(LaunchConformance, ChainsOfSmallGridsSeeWhatWasWritten) {
  constexpr int kLaunches = 48;
  constexpr int kReplays = 200;
  constexpr size_t kSteps[] = {5, 77, 1, 33};
  for (const size_t count : {size_t{256}, size_t{4096}}) {
    std::vector<std::unique_ptr<Kernel>> kernels;
    for (const size_t step : kSteps) {
      kernels.push_back(load(mixing_kernel(device().target(), static_cast<int64_t>(count),
                                           static_cast<int64_t>(step))));
      ASSERT_NE(kernels.back(), nullptr);
    }
    std::vector<int32_t> start(count);
    std::iota(start.begin(), start.end(), 1);
    std::vector<uint32_t> expected(start.begin(), start.end()), next(count);
    std::vector<Buffer> buffers;
    for (int i = 0; i < 3; ++i) buffers.push_back(buffer_of(start, MemoryKind::device));
    ASSERT_OK(queue().begin_record());
    for (size_t i = 0; i < kLaunches; ++i) {
      launch(*kernels[i % kernels.size()], {&buffers[i % 3], &buffers[(i + 1) % 3]});
    }
    const Result<std::unique_ptr<RecordedList>> list = queue().end_record();
    ASSERT_OK(list);
    for (int replay = 0; replay < kReplays; ++replay) {
      const Result<uint64_t> done = queue().replay(**list);
      ASSERT_OK(done);
      wait_for(*done);
      if (!runs_kernels()) continue;
      for (size_t i = 0; i < kLaunches; ++i) {
        for (size_t k = 0; k < count; ++k) {
          next[k] = expected[(k * kSteps[i % kernels.size()] + 1) % count] + 3 * expected[k];
        }
        expected.swap(next);
      }
      ASSERT_EQ(read<uint32_t>(buffers[0], count), expected) << "replay " << replay;
    }
  }
}

TEST_P(LaunchConformance, ManySmallLaunchesInOneSubmit) {
  constexpr int kRounds = 3000;
  const auto odd = load(triple_kernel(device().target(), 5, 1));
  const auto even = load(triple_kernel(device().target(), 5, 2));
  ASSERT_TRUE(odd != nullptr && even != nullptr);
  const Buffer x = buffer_of(std::vector<int32_t>(5, 1));
  for (int i = 0; i < kRounds; ++i) launch(i % 2 == 0 ? *odd : *even, {&x});
  submit_and_wait();
  if (!runs_kernels()) return;
  EXPECT_EQ(read<int32_t>(x, 5), std::vector<int32_t>(5, chained(1, kRounds)));
}

TEST_P(LaunchConformance, OrderHoldsAcrossSubmits) {
  constexpr int kSubmits = 60;  // more than a backend has command buffers
  const auto odd = load(triple_kernel(device().target(), 1000, 1));
  const auto even = load(triple_kernel(device().target(), 1000, 2));
  ASSERT_TRUE(odd != nullptr && even != nullptr);
  const Buffer x = buffer_of(std::vector<int32_t>(1000, 1), MemoryKind::device);
  for (int i = 0; i < kSubmits; ++i) {
    launch(i % 2 == 0 ? *odd : *even, {&x});
    ASSERT_OK(queue().submit());
  }
  submit_and_wait();
  if (!runs_kernels()) return;
  EXPECT_EQ(read<int32_t>(x, 1000), std::vector<int32_t>(1000, chained(1, kSubmits)));
}

TEST_P(LaunchConformance, CopiesAndKernelsAlternate) {
  constexpr size_t kCount = 2000;
  const auto kernel = load(triple_kernel(device().target(), kCount, 1));
  ASSERT_NE(kernel, nullptr);
  const Buffer a = buffer_of(std::vector<int32_t>(kCount, 2), MemoryKind::device);
  const Buffer b = buffer(kCount * sizeof(int32_t), MemoryKind::device);
  const Buffer c = buffer(kCount * sizeof(int32_t), MemoryKind::shared);
  ASSERT_OK(queue().copy(whole(b), whole(a)));
  launch(*kernel, {&b});
  ASSERT_OK(queue().copy(whole(a), whole(b)));
  launch(*kernel, {&a});
  ASSERT_OK(queue().copy(whole(c), whole(a)));
  launch(*kernel, {&a});
  submit_and_wait();
  if (!runs_kernels()) return;
  EXPECT_EQ(read<int32_t>(b, kCount), std::vector<int32_t>(kCount, 7));
  EXPECT_EQ(read<int32_t>(c, kCount), std::vector<int32_t>(kCount, 22));
  EXPECT_EQ(read<int32_t>(a, kCount), std::vector<int32_t>(kCount, 67));
}

/// Slices of buffers; what a kernel or a copy does to them, here and on the device.
struct Slices {
  static constexpr size_t kBuffers = 3, kSlices = 5, kCount = 64;  // of i32: kBufferAlignment
  std::vector<std::vector<uint32_t>> values =
      std::vector(kBuffers, std::vector<uint32_t>(kSlices* kCount, 1));

  static BufferRange range(const Buffer& buffer, size_t slice) {
    return {&buffer, slice * kCount * sizeof(int32_t), kCount * sizeof(int32_t)};
  }
  uint32_t* at(size_t buffer, size_t slice) { return values[buffer].data() + slice * kCount; }
  void triple(size_t buffer, size_t slice, uint32_t addend) {
    for (size_t i = 0; i < kCount; ++i) at(buffer, slice)[i] = 3 * at(buffer, slice)[i] + addend;
  }
};

// Commands that do not meet may run at once; whatever meets must not show it.
TEST_P(LaunchConformance, RandomCommandsSeemToRunInOrder) {
  static_assert(Slices::kCount * sizeof(int32_t) % kBufferAlignment == 0);
  Slices slices;
  std::vector<std::unique_ptr<Kernel>> kernels;
  for (int32_t addend = 0; addend < 4; ++addend) {
    kernels.push_back(load(triple_kernel(device().target(), Slices::kCount, addend)));
    ASSERT_NE(kernels.back(), nullptr);
  }
  std::vector<Buffer> buffers;
  for (size_t b = 0; b < Slices::kBuffers; ++b) {
    const MemoryKind kind = b == 0 ? MemoryKind::shared : MemoryKind::device;
    buffers.push_back(buffer_of(std::vector<int32_t>(Slices::kSlices * Slices::kCount, 1), kind));
  }
  std::mt19937 random(11);
  const auto below = [&](size_t limit) { return random() % limit; };
  ASSERT_OK(queue().begin_record());
  for (int command = 0; command < 300; ++command) {
    const size_t b = below(Slices::kBuffers), slice = below(Slices::kSlices);
    if (below(4) == 0) {
      const size_t from = below(Slices::kBuffers), source = below(Slices::kSlices);
      if (b == from && slice == source) continue;
      ASSERT_OK(
          queue().copy(Slices::range(buffers[b], slice), Slices::range(buffers[from], source)));
      std::copy_n(slices.at(from, source), Slices::kCount, slices.at(b, slice));
    } else {
      const size_t addend = below(kernels.size());
      const BufferRange arguments[] = {Slices::range(buffers[b], slice)};
      ASSERT_OK(queue().launch(*kernels[addend], arguments));
      slices.triple(b, slice, static_cast<uint32_t>(addend));
    }
  }
  const Result<std::unique_ptr<RecordedList>> list = queue().end_record();
  ASSERT_OK(list);
  const Result<uint64_t> value = queue().replay(**list);
  ASSERT_OK(value);
  wait_for(*value);
  if (!runs_kernels()) return;
  for (size_t b = 0; b < Slices::kBuffers; ++b) {
    EXPECT_EQ(read<uint32_t>(buffers[b], slices.values[b].size()), slices.values[b]) << b;
  }
}

TEST_P(LaunchConformance, ArgumentsMayBePartsOfOneBuffer) {
  constexpr size_t kCount = 100;
  constexpr size_t kPart = 2 * kBufferAlignment;
  const auto kernel = load(saxpy_kernel(device().target(), kCount));
  ASSERT_NE(kernel, nullptr);
  const Buffer arena = buffer_of(std::vector<float>(4 * kPart / sizeof(float), 4.0f));
  ASSERT_OK(queue().launch(*kernel, std::vector<BufferRange>{{&arena, kPart, kCount * 4},
                                                             {&arena, 2 * kPart, kCount * 4},
                                                             {&arena, 3 * kPart, kCount * 4}}));
  submit_and_wait();
  if (!runs_kernels()) return;
  std::vector<float> wanted(4 * kPart / sizeof(float), 4.0f);
  std::fill_n(wanted.begin() + 3 * kPart / sizeof(float), kCount, 14.0f);
  EXPECT_EQ(read<float>(arena, wanted.size()), wanted);
}

TEST_P(LaunchConformance, BuffersAndKernelsMayDieInFlight) {
  constexpr size_t kCount = 4096;
  const Buffer result = buffer_of(std::vector<float>(kCount, 0.0f));
  for (int round = 0; round < 20; ++round) {
    auto slow = load(halving_kernel(device().target(), kCount, 500));
    auto saxpy = load(saxpy_kernel(device().target(), kCount));
    ASSERT_TRUE(slow != nullptr && saxpy != nullptr);
    Buffer x = buffer_of(std::vector<float>(kCount, 10.0f), MemoryKind::device);
    launch(*slow, {&x});
    launch(*saxpy, {&x, &x, &result});
    if (round % 2 == 0) x = Buffer();  // before the submit, and after it
    ASSERT_OK(queue().submit());
    const Buffer next = buffer(kCount * sizeof(float), MemoryKind::device);
    EXPECT_TRUE(next);
  }
  submit_and_wait();
  if (!runs_kernels()) return;
  // x = x/2 + 1 has the fixed point 2, reached after 25 rounds: 2.5 * 2 + 2.
  EXPECT_EQ(read<float>(result, kCount), std::vector<float>(kCount, 7.0f));
}

TEST_P(LaunchConformance, ReplaysReadNewInput) {
  constexpr size_t kCount = 1000;
  const auto kernel = load(saxpy_kernel(device().target(), kCount));
  ASSERT_NE(kernel, nullptr);
  const Buffer x = buffer_of(std::vector<float>(kCount, 0.0f));
  const Buffer middle = buffer_of(std::vector<float>(kCount, 0.0f), MemoryKind::device);
  const Buffer out = buffer_of(std::vector<float>(kCount, 0.0f));
  ASSERT_OK(queue().begin_record());
  launch(*kernel, {&x, &x, &middle});
  launch(*kernel, {&middle, &x, &out});
  const Result<std::unique_ptr<RecordedList>> list = queue().end_record();
  ASSERT_OK(list);
  for (int round = 0; round < 100; ++round) {
    const float value = static_cast<float>(round);
    write(x, std::vector<float>(kCount, value));
    const Result<uint64_t> done = queue().replay(**list);
    ASSERT_OK(done);
    wait_for(*done);
    if (!runs_kernels()) continue;
    ASSERT_EQ(read<float>(out, kCount), std::vector<float>(kCount, value * 9.75f));
  }
}

TEST_P(LaunchConformance, RecordingRunsNothing) {
  const auto kernel = load(triple_kernel(device().target(), 100, 1));
  ASSERT_NE(kernel, nullptr);
  const Buffer x = buffer_of(std::vector<int32_t>(100, 5));
  ASSERT_OK(queue().begin_record());
  launch(*kernel, {&x});
  const Result<std::unique_ptr<RecordedList>> list = queue().end_record();
  ASSERT_OK(list);
  submit_and_wait();
  EXPECT_EQ(read<int32_t>(x, 100), std::vector<int32_t>(100, 5));
}

TEST_P(LaunchConformance, ReplayComesAfterWhatWaitsForSubmit) {
  const auto odd = load(triple_kernel(device().target(), 100, 1));
  const auto even = load(triple_kernel(device().target(), 100, 2));
  ASSERT_TRUE(odd != nullptr && even != nullptr);
  const Buffer x = buffer_of(std::vector<int32_t>(100, 5));
  launch(*odd, {&x});
  ASSERT_OK(queue().begin_record());
  launch(*even, {&x});
  const Result<std::unique_ptr<RecordedList>> list = queue().end_record();
  ASSERT_OK(list);
  const Result<uint64_t> first = queue().replay(**list);
  ASSERT_OK(first);
  wait_for(*first);
  launch(*odd, {&x});
  const Result<uint64_t> second = queue().replay(**list);
  ASSERT_OK(second);
  wait_for(*second);
  if (!runs_kernels()) return;
  EXPECT_EQ(read<int32_t>(x, 100), std::vector<int32_t>(100, chained(5, 4)));
}

TEST_P(LaunchConformance, ListsTakeTurns) {
  const auto odd = load(triple_kernel(device().target(), 100, 1));
  const auto even = load(triple_kernel(device().target(), 100, 2));
  ASSERT_TRUE(odd != nullptr && even != nullptr);
  const Buffer x = buffer_of(std::vector<int32_t>(100, 5));
  std::unique_ptr<RecordedList> lists[2];
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK(queue().begin_record());
    for (int repeat = 0; repeat < 2; ++repeat) launch(repeat == 0 ? *odd : *even, {&x});
    Result<std::unique_ptr<RecordedList>> list = queue().end_record();
    ASSERT_OK(list);
    lists[i] = std::move(*list);
  }
  for (int round = 0; round < 10; ++round) {
    ASSERT_OK(queue().replay(*lists[0]));
    const Result<uint64_t> done = queue().replay(*lists[1]);
    ASSERT_OK(done);
    wait_for(*done);
  }
  if (!runs_kernels()) return;
  EXPECT_EQ(read<int32_t>(x, 100), std::vector<int32_t>(100, chained(5, 40)));
}

TEST_P(LaunchConformance, RefusesArgumentsThatLeaveTheirBuffer) {
  const auto kernel = load(triple_kernel(device().target(), 100, 1));
  ASSERT_NE(kernel, nullptr);
  const Buffer x = buffer(400);
  const BufferRange bad[] = {{&x, 256, 400}};
  const Result<void> result = queue().launch(*kernel, bad);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Backend, LaunchConformance, testing::ValuesIn(tested_routes()),
                         [](const auto& test) { return test.param.test_name; });

}  // namespace
}  // namespace leat
