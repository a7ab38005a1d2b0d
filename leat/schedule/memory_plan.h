// The memory plan: an offset for every tensor in its arena, ahead of time.
#pragma once

#include "leat/schedule/plan.h"

namespace leat {

/// Gives every weight its place one after the other, and every activation an offset such that
/// tensors whose lives overlap never share bytes. Fills schedule.memory.
void plan_memory(Schedule& schedule);

}  // namespace leat
