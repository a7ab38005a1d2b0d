// The sentences that all queues say.
#include "leat/route/queue_frame.h"

#include <fmt/format.h>

#include "leat/route/time_slots.h"

namespace leat {

Error QueueFrame::deadline_passed(uint64_t timeout_ns) const {
  return Error(ErrorKind::device_lost, fmt::format("Work on Device \"{}\" passes its deadline ({} "
                                                   "ns).",
                                                   info_.name, timeout_ns));
}

Error QueueFrame::no_first_sign(uint64_t timeout_ns) const {
  return Error(ErrorKind::device_lost,
               fmt::format("The first submit on \"{}\" is not done after ({}) ms.", info_.chip,
                           timeout_ns / 1'000'000));
}

Error QueueFrame::still_in_flight(uint64_t last_value) const {
  return Error(ErrorKind::invalid_argument,
               fmt::format("A recorded list on Device \"{}\" is replayed before its last replay "
                           "reaches its fence value ({}).",
                           info_.name, last_value));
}

Result<uint64_t> marked_time(uint32_t slot, uint64_t ns) {
  if (ns != 0) return ns;
  return Error(ErrorKind::invalid_argument, fmt::format("Time slot ({}) holds no time.", slot));
}

}  // namespace leat
