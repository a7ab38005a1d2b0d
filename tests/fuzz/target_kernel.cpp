// Kernels in text form: parsed, verified, printed and read back; small ones are interpreted.
#include "leat/base/check.h"
#include "leat/base/files.h"
#include "leat/ir/interpret.h"
#include "leat/ir/parse.h"
#include "leat/ir/text.h"
#include "leat/ir/verify.h"
#include "leat/lower/bound_accesses.h"
#include "leat/lower/passes.h"
#include "tests/fuzz/fuzz_target.h"

namespace leat {
namespace {

// What is interpreted, so that one input takes milliseconds.
constexpr uint64_t kStepsMax = 20'000;
constexpr uint64_t kWordsMax = 1 << 20;          // of all lanes' values
constexpr uint64_t kElementsInAllMax = 1 << 16;  // of buffers
constexpr uint64_t kWorkgroupsMax = 64;

bool is_small(const ir::Program& program) {
  uint64_t groups = 1;
  for (const uint32_t extent : program.grid) {
    if (extent > kWorkgroupsMax) return false;
    groups *= extent;
  }
  uint64_t elements = 0;
  for (const ir::Parameter& parameter : program.parameters) {
    elements += static_cast<uint64_t>(parameter.element_count);
  }
  uint64_t words = 0;
  for (const ir::Type& type : program.values) {
    words += type.is_fragment() ? uint64_t{type.fragment.rows()} * type.fragment.columns()
                                : uint64_t{type.width} * program.wave_lanes;
  }
  words *= program.waves_per_workgroup;
  return groups <= kWorkgroupsMax && elements <= kElementsInAllMax && words <= kWordsMax;
}

/// Its own faults (indices, races) are errors; ours would be caught by the sanitizers.
Result<void> interpret_zeros(const ir::Program& program) {
  std::vector<std::vector<std::byte>> memory;
  std::vector<std::span<std::byte>> buffers;
  for (const ir::Parameter& parameter : program.parameters) {
    memory.emplace_back(static_cast<size_t>(parameter.element_count) *
                        static_cast<size_t>(size_bytes_of(parameter.storage)));
  }
  for (std::vector<std::byte>& bytes : memory) buffers.emplace_back(bytes);
  return ir::interpret(program, buffers, kStepsMax);
}

/// What is proven of it and what is masked stays inside of its memory.
void interpret_bounded(const ir::Program& program) {
  const ir::LaunchRanges ranges = ir::find_ranges(program, {});
  const Result<ir::Program> bound = bound_accesses(program, ranges.open);
  if (!bound) return;  // an access that cannot be masked
  CHECK(ir::verify(*bound).has_value());
  const Result<void> ran = interpret_zeros(*bound);
  CHECK(ran.has_value() || ran.error().message().find("outside of") == std::string::npos);
}

}  // namespace

bool feed_kernel(std::string_view bytes) {
  const Result<ir::Program> program = ir::parse_program(bytes, "fuzzed.ir");
  if (!program) return false;
  if (!ir::verify(*program)) {
    [[maybe_unused]] const std::string text = ir::print_program(*program);  // also broken ones
    return false;
  }
  const std::string text = ir::print_program(*program);
  const Result<ir::Program> again = ir::parse_program(text, "again.ir");
  CHECK(again.has_value() && ir::print_program(*again) == text);
  const PassResult expanded = expand_math(*program, Target());
  CHECK(expanded.has_value() && ir::verify(**expanded).has_value());
  if (is_small(*program)) {
    [[maybe_unused]] const Result<void> ran = interpret_zeros(*program);
    interpret_bounded(*program);
  }
  return true;
}

std::vector<std::string> kernel_seeds() {
  std::vector<std::string> seeds;
  for (const char* name : {"ir_sampler.ir", "ir_matmul.ir"}) {
    const std::string path = std::string(LEAT_SOURCE_DIR "/tests/text/") + name;
    seeds.push_back(read_file(path, 1 << 20).value());
  }
  return seeds;
}

}  // namespace leat
