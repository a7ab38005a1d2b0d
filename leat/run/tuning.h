// Tuning on a device: what leat/tune needs to know of it and to have done by it.
#pragma once

#include <string>

#include "leat/device/device.h"
#include "leat/tune/tuner.h"

namespace leat {

/// What makes times on this device comparable.
TuneChip tune_chip_of(const Device& device);

/// Makes ways of one node ready on the device, with inputs of random floats, and of zeros where
/// they are whole numbers. Results are compared with the reference evaluator at some places (not
/// those of programs, nor sums of millions), and with the first way's everywhere, where the node
/// writes its whole tensor. Compiled kernels are kept in `cache_folder`, unless it is empty. The
/// device outlives what is made, and that the trial sets.
MakeTrials trials_on(Device& device, const std::string& cache_folder);

struct TuningOptions {
  /// Of the store and of compiled kernels. Empty: nothing is kept, nor known.
  std::string cache_folder;
  bool measures = false;  // kernels that the store does not know
  bool again = false;     // and those that it knows
  SearchLimits limits;
  /// See TunerOptions. May be empty.
  std::function<void(const TunedKernel&)> on_choice;
  std::function<void(const Error&)> on_store_error;
};

/// Who chooses on the devices of a session (SessionOptions::choose_on). A store is made only where
/// something is measured.
std::function<ChooseFunction(Device&)> tuned_choices(TuningOptions options);

}  // namespace leat
