// The verifier: what every wave program must keep to, checked between passes and on every text that
// comes from outside. What passes here can be emitted and interpreted without further checks of its
// form; indices and races are the interpreter's business.
//
// Rules beyond ir.h:
//   - a result is varying exactly if an operand is (lane_id always; reduce_* never; a load by its
//     address), save that a loop's carried value may be varying while what initialises it is not
//   - with a lane_stride the index is uniform; a varying mask or stored value needs a varying
//   address,
//     which is a varying index or a lane_stride (0: all lanes at one place)
//   - a varying value of more than one lane is not stored to local memory at a uniform index: its
//     lanes would race
//   - a loop's step is a positive constant
//   - a shuffle stands where a barrier may
//   - a fragment is an operand or a result of fragment_*, mma, loop and yield only; the memory it
//   is
//     loaded from or stored to holds its elements as they are. Of a group of its waves each has the
//     same index and stride
//   - an atomic_add has a varying address, so that it is clear how often it adds
//   - a barrier, and a last_group with its operands, stands only in loops and branches whose bounds
//   are the same in all waves of the
//     workgroup, as far as that can be told: made of constants, group_id, arithmetic, counters of
//     such loops and uniform loads of buffers that the kernel does not write
#pragma once

#include "leat/base/result.h"
#include "leat/ir/ir.h"

namespace leat::ir {

/// No device known runs more lanes in a workgroup.
/// Source: Vulkan registry, maxComputeWorkGroupInvocations, at most 1024 on every desktop driver.
inline constexpr uint32_t kWorkgroupLanesMax = 1024;
/// Bytes of local memory of a workgroup. No device known has more; an emitter's target may have
/// less.
inline constexpr uint64_t kLocalBytesMax = uint64_t{1} << 20;

/// Errors: internal; the sentence names the kernel and the instruction in text form.
Result<void> verify(const Program& program);

}  // namespace leat::ir
