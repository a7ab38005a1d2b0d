// What a wave program uses, found before the SPIR-V or WGSL emitter writes: a module declares its
// buffers and built-ins first, and a program that the target cannot take is refused before a word
// is written.
#pragma once

#include <cstdint>
#include <set>
#include <utility>

#include "leat/base/result.h"
#include "leat/base/target.h"
#include "leat/ir/ir.h"

namespace leat {

struct Uses {
  bool lane_id = false;
  bool wave_id = false;
  bool group_id = false;
  bool narrow = false;    // a parameter of 16 bits is accessed
  bool counters = false;  // last_group
  bool atomics = false;   // atomic_add
  bool fragments = false;
  bool f16 = false;   // fragments or local memory of them
  bool bf16 = false;  // the same, or a parameter
  bool i64 = false;   // values of the type
  bool f64 = false;
  std::set<int32_t> lane_strides;                   // of loads and stores, but 0 and kIndexed
  std::set<std::pair<uint32_t, uint8_t>> accesses;  // (parameter, width in elements)
};

/// What the blocks reachable from block 0 use.
/// Errors: unsupported (a function, or an instruction or storage that the target lacks, all of
/// which passes expand if they can; a workgroup, a grid, local memory or bindings past the target's
/// limits).
Result<Uses> find_uses(const ir::Program& program, const Target& target);

/// Lanes of a workgroup.
uint32_t lanes_per_workgroup(const ir::Program& program);

/// Local memory with the word in which last_group's answer reaches all.
uint32_t local_bytes_with_answer(const ir::Program& program, const Uses& uses);

}  // namespace leat
