// For the tests of the LLVM emitter: targets to emit for, and a comparison of what the code does on
// this machine with what the interpreter does.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "leat/base/target.h"
#include "leat/ir/builder.h"

namespace leat {

/// For the messages of failed tests.
void PrintTo(const Target& target, std::ostream* out);

}  // namespace leat

namespace leat::llvm_test {

/// x86-64 without any extension: no fma, no f16 conversion, no masked loads.
Target sse2_target();
Target avx2_target();
Target avx512_target();
Target neon_target();

/// The targets whose code runs on this machine, with waves of 4, 8 and 16 lanes, also of lengths
/// that LLVM has to split or pad.
std::vector<Target> runnable_targets();

/// Emits `program`, runs it on random buffers and compares all buffers with the interpreter's: the
/// same bits, save that one NaN is as good as another. The workgroups run in two calls. Each buffer
/// ends at a page that must not be touched.
/// `float_ulps` is how far floats may be apart where the target rounds otherwise.
void expect_as_interpreted(const ir::Program& program, const Target& target,
                           uint32_t float_ulps = 0);

}  // namespace leat::llvm_test
