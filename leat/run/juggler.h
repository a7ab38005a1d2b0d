// The juggler: leads a stream of items through the slots of one or several devices. While a device
// computes item n the host prepares n+1 and consumes n-1. How many slots, and which devices share
// the stream, is measured in the stream itself (juggler_plan.h).
//
// What it promises, whatever devices do: each item is delivered once, with a result that passed its
// fence (and its receipt, where there is one) or with an error; in order unless that is given up. A
// run past its deadline is skipped and its item tried elsewhere; its slot is not touched before the
// run is known to be over. A device that is lost, or misses too many deadlines, is taken out.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/device/fence.h"
#include "leat/run/juggler_plan.h"
#include "leat/run/network.h"
#include "leat/run/trace.h"

namespace leat {

/// Items finished out of order that wait for earlier ones, at most.
inline constexpr uint64_t kReorderMax = 1024;
/// An item that failed on devices this often is delivered as an error.
inline constexpr uint32_t kAttemptsMax = 32;
/// Deadlines missed in a row before a device is taken out, though its fence moves.
inline constexpr uint32_t kStrikesMax = 16;
/// The same for one whose fence does not move meanwhile: it hangs.
inline constexpr uint32_t kSilentDeadlinesMax = 3;

/// What a slot does, as functions handed in.
struct JugglerSlot {
  /// Writes the slot's inputs. On any host thread. An error is the item's, and final.
  std::function<Result<void>(uint64_t item)> prepare;
  /// Starts the run; the fence value of its end. On the juggler's thread, as all that uses a
  /// device.
  std::function<Result<uint64_t>()> start;
  /// Whether the run has really come to its end; may be empty. On the juggler's thread.
  std::function<bool()> verify;
  /// Reads the slot's outputs. On any host thread. An error is the item's, and final.
  std::function<Result<void>(uint64_t item)> consume;
  /// The device's own times of the run that ended last; may be empty. On the juggler's thread.
  std::function<Result<SlotTimes>()> times;
};

struct JugglerDevice {
  std::string name;
  Fence* fence = nullptr;
  /// A run's time from when the device could begin it.
  uint64_t deadline_ns = kHangTimeoutNs;
  /// How long after the device's last start juggle() waits at its end for runs that were given up.
  uint64_t hang_ns = kHangTimeoutNs;
  std::vector<JugglerSlot> slots;
};

struct JugglerProgress {
  uint64_t delivered = 0;
  uint64_t count = 0;
  double seconds = 0;
  double rate = 0;  // items a second, lately
};

struct JugglerOptions {
  bool keeps_order = true;
  size_t host_threads = 1;
  /// Each item once, on the calling thread; `error` is null when it has a result.
  std::function<void(uint64_t item, const Error* error)> deliver;
  /// When it is true no new items are begun; those begun are delivered. May be empty.
  std::function<bool()> stops;
  /// A few times a second, on the calling thread. May be empty.
  std::function<void(const JugglerProgress&)> progress;
  JugglerPlanOptions plan;
  Trace* trace = nullptr;
};

struct JugglerDeviceReport {
  std::string name;
  uint64_t items = 0;                // whose results came from it
  uint64_t deadlines = 0;            // runs skipped
  uint64_t wrong_fences = 0;         // said too much, or said it too early
  uint64_t unended = 0;              // runs not known to be over when juggle() returns
  uint32_t slots = 0;                // used at the end
  bool is_used = false;              // at the end
  double rate_alone = 0;             // items a second
  std::string lost;                  // why it was taken out; empty if it was not
  std::optional<double> idle_share;  // of the device's own time since the trials, between its runs
};

struct JugglerReport {
  uint64_t delivered = 0;
  uint64_t errors = 0;   // delivered without a result
  uint64_t retries = 0;  // runs made again
  double seconds = 0;
  double rate = 0;         // items a second over all
  double steady_rate = 0;  // since the trials; 0 when they took all of it
  std::string plan;
  std::vector<JugglerDeviceReport> devices;
};

/// Leads items 0 to count-1 through the devices. The caller's thread drives; it returns when all
/// are delivered and all runs are over, those that were given up too, or their device is lost or
/// hangs (JugglerDevice::hang_ns). Errors: device_lost, when no device is left, saying how many
/// items were delivered.
Result<JugglerReport> juggle(std::vector<JugglerDevice> devices, uint64_t count,
                             const JugglerOptions& options);

/// Slots of a network whose inputs and outputs are written and read in place. `prepare` and
/// `consume` get the slot's number. The network outlives what is returned.
JugglerDevice juggled_network(
    Network& network, const std::function<Result<void>(uint64_t item, size_t slot)>& prepare,
    const std::function<Result<void>(uint64_t item, size_t slot)>& consume);

}  // namespace leat
