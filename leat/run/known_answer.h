// The known-answer self-test: a route is used only after it has computed something we know.
#pragma once

#include <string>

#include "leat/device/device.h"
#include "leat/run/network.h"

namespace leat {

/// A small matrix product with its epilogue.
Result<Graph> known_question();

/// Runs a network of that graph and compares every element with the answer. Errors: internal, with
/// the first wrong element; invalid_argument, when it is one of another graph; and whatever the
/// device says.
Result<void> check_known_answer(Network& network);

/// Both, on the device. `cache_folder` as in NetworkOptions.
Result<void> self_test(Device& device, const std::string& cache_folder);

}  // namespace leat
