// bound_accesses: what stands in the way of an index that may leave its memory. Behind it a program
// touches nothing outside of its buffers, whatever it is given: a load there gives 0, a store or an
// atomic addition does nothing; in local memory, which has no masks, the nearest element is taken.
// It is no pass of passes.h: networks' programs are right by construction, and only programs that
// somebody else wrote need it, before all passes.
#pragma once

#include <span>

#include "leat/base/result.h"
#include "leat/ir/access_ranges.h"
#include "leat/ir/ir.h"

namespace leat {

/// load, store, atomic_add, load_local, store_local.
bool can_be_bound(ir::Opcode op);

/// `program` is verified, `open` are accesses of it. Errors: unsupported, for those that cannot be
/// masked: of fragments, asynchronous copies, prefetches and counters.
Result<ir::Program> bound_accesses(const ir::Program& program,
                                   std::span<const ir::OpenAccess> open);

}  // namespace leat
