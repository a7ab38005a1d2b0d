// See llvm_machine_test.h. Objects are linked into this process as the cpu backend does it.
#include "leat/emit/llvm_machine_test.h"

#include <gtest/gtest.h>
#include <llvm/ExecutionEngine/Orc/ExecutionUtils.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/Support/TargetSelect.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>

#include "leat/base/half.h"
#include "leat/emit/emit.h"
#include "leat/ir/interpret.h"
#include "leat/ir/text.h"

namespace leat {

void PrintTo(const Target& target, std::ostream* out) { *out << target.name; }

}  // namespace leat

namespace leat::llvm_test {

namespace {

using Entry = void (*)(const void* const*, uint32_t, uint32_t);
using Bytes = std::vector<std::byte>;

Target x86_target(const char* name, const char* cpu, uint32_t lanes, uint32_t registers) {
  Target target;
  target.name = name;
  target.format = CodeFormat::native_object;
  target.is_cpu = true;
  target.llvm_triple = "x86_64-unknown-linux-gnu";
  target.llvm_cpu = cpu;
  target.wave_lanes = lanes;
  target.lanes_per_workgroup_max = lanes;
  target.vector_registers = registers;
  return target;
}

// Memory that ends where a page begins that traps.
class GuardedMemory {
 public:
  explicit GuardedMemory(size_t size_bytes) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t used = (size_bytes + page - 1) / page * page;
    mapped_ = used + page;
    void* start =
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(start != MAP_FAILED);
    start_ = static_cast<std::byte*>(start);
    CHECK(mprotect(start_ + used, page, PROT_NONE) == 0);
    data_ = start_ + used - size_bytes;
  }
  GuardedMemory(const GuardedMemory&) = delete;
  ~GuardedMemory() { munmap(start_, mapped_); }

  std::byte* data() { return data_; }

 private:
  std::byte* start_ = nullptr;
  std::byte* data_ = nullptr;
  size_t mapped_ = 0;
};

// Small whole numbers, fractions and now and then a special value.
float random_float(std::mt19937& random) {
  const float specials[] = {0.0f, -0.0f, INFINITY, -INFINITY, 1e-40f, -3e38f, 2147483648.0f, NAN};
  const uint32_t kind = random() % 16;
  if (kind == 0) return specials[random() % std::size(specials)];
  const float whole = static_cast<float>(static_cast<int32_t>(random() % 33) - 16);
  if (kind < 4) return whole;
  if (kind < 6) return whole + 0.5f;
  return std::uniform_real_distribution<float>(-20.0f, 20.0f)(random);
}

int32_t random_int(std::mt19937& random) {
  const int32_t specials[] = {0, -1, 1, INT32_MIN, INT32_MAX, 31, 32};
  const uint32_t kind = random() % 4;
  if (kind == 0) return specials[random() % std::size(specials)];
  if (kind == 1) return static_cast<int32_t>(random());
  return static_cast<int32_t>(random() % 64);
}

size_t element_bytes(DType storage) { return storage == DType::f16 ? 2 : 4; }

Bytes random_buffer(const ir::Parameter& parameter, std::mt19937& random) {
  const size_t count = static_cast<size_t>(parameter.element_count);
  Bytes bytes(count * element_bytes(parameter.storage));
  for (size_t i = 0; i < count; ++i) {
    if (parameter.storage == DType::f16) {
      const uint16_t value = half_from_float(random_float(random));
      std::memcpy(&bytes[i * 2], &value, 2);
    } else {
      const uint32_t value = parameter.storage == DType::i32
                                 ? static_cast<uint32_t>(random_int(random))
                                 : std::bit_cast<uint32_t>(random_float(random));
      std::memcpy(&bytes[i * 4], &value, 4);
    }
  }
  return bytes;
}

// Distance in units of the last place, for numbers of one sign.
bool is_close(uint32_t a, uint32_t b, uint32_t ulps) {
  const float x = std::bit_cast<float>(a);
  const float y = std::bit_cast<float>(b);
  if (a == b || x == y || (std::isnan(x) && std::isnan(y))) return true;
  return ulps > 0 && std::signbit(x) == std::signbit(y) && (a > b ? a - b : b - a) <= ulps;
}

void expect_equal(const ir::Parameter& parameter, const Bytes& wanted, const std::byte* got,
                  uint32_t ulps) {
  const size_t size = element_bytes(parameter.storage);
  for (size_t i = 0; i < wanted.size() / size; ++i) {
    uint32_t a = 0;
    uint32_t b = 0;
    std::memcpy(&a, &wanted[i * size], size);
    std::memcpy(&b, got + i * size, size);
    if (parameter.storage == DType::f16) {
      a = std::bit_cast<uint32_t>(float_from_half(static_cast<uint16_t>(a)));
      b = std::bit_cast<uint32_t>(float_from_half(static_cast<uint16_t>(b)));
    }
    const bool same = parameter.storage == DType::i32 ? a == b : is_close(a, b, ulps);
    ASSERT_TRUE(same) << parameter.name << "[" << i << "] is 0x" << std::hex << b << ", not 0x" << a
                      << " (" << std::bit_cast<float>(b) << ", not " << std::bit_cast<float>(a)
                      << ")";
  }
}

std::unique_ptr<llvm::orc::LLJIT> link(const KernelBinary& binary, Entry& entry) {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  auto jit = llvm::cantFail(
      llvm::orc::LLJITBuilder().setPlatformSetUp(llvm::orc::setUpInactivePlatform).create());
  // Of this process's functions floorf and the like are called; LLVM 16 does not look by itself.
  jit->getMainJITDylib().addGenerator(
      llvm::cantFail(llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
          jit->getDataLayout().getGlobalPrefix())));
  const llvm::StringRef bytes(reinterpret_cast<const char*>(binary.code.data()),
                              binary.code.size());
  llvm::cantFail(jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(bytes)));
  entry = llvm::cantFail(jit->lookup(binary.entry)).toPtr<Entry>();
  return jit;
}

}  // namespace

Target sse2_target() { return x86_target("sse2", "x86-64", 4, 16); }
Target avx2_target() { return x86_target("avx2", "x86-64-v3", 8, 16); }
Target avx512_target() { return x86_target("avx512", "x86-64-v4", 16, 32); }

Target neon_target() {
  Target target = x86_target("neon", "generic", 4, 32);
  target.llvm_triple = "aarch64-unknown-linux-gnu";
  return target;
}

std::vector<Target> runnable_targets() {
  std::vector<Target> targets;
#if defined(__x86_64__)
  targets.push_back(sse2_target());
  if (__builtin_cpu_supports("x86-64-v3") != 0) {
    for (const uint32_t lanes : {8u, 1u}) {
      targets.push_back(avx2_target());
      targets.back().wave_lanes = lanes;
      targets.back().name += "_" + std::to_string(lanes);
    }
  }
  if (__builtin_cpu_supports("x86-64-v4") != 0) targets.push_back(avx512_target());
#elif defined(__aarch64__)
  targets.push_back(neon_target());
#endif
  return targets;
}

void expect_as_interpreted(const ir::Program& program, const Target& target, uint32_t float_ulps) {
  SCOPED_TRACE(program.name + " for " + target.name);
  std::mt19937 random(program.wave_lanes);
  std::vector<Bytes> wanted;
  std::vector<std::unique_ptr<GuardedMemory>> got;
  for (const ir::Parameter& parameter : program.parameters) {
    wanted.push_back(random_buffer(parameter, random));
    got.push_back(std::make_unique<GuardedMemory>(wanted.back().size()));
    std::memcpy(got.back()->data(), wanted.back().data(), wanted.back().size());
  }
  const std::vector<std::span<std::byte>> spans(wanted.begin(), wanted.end());
  const Result<void> interpreted = ir::interpret(program, spans);
  ASSERT_TRUE(interpreted) << interpreted.error().message() << "\n" << ir::print_program(program);

  const Result<KernelBinary> binary = emit_llvm(program, target);
  ASSERT_TRUE(binary) << binary.error().message();
  Entry entry = nullptr;
  const auto jit = link(*binary, entry);
  std::vector<const void*> pointers;
  for (const auto& memory : got) pointers.push_back(memory->data());
  const uint32_t count = program.grid[0] * program.grid[1] * program.grid[2];
  entry(pointers.data(), 0, count / 2);
  entry(pointers.data(), count / 2, count);
  for (size_t i = 0; i < got.size(); ++i) {
    expect_equal(program.parameters[i], wanted[i], got[i]->data(), float_ulps);
  }
}

}  // namespace leat::llvm_test
