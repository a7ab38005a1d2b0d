// The ways in which a node may be computed: which are possible, which are worth a trial, and what
// the analytic model thinks that each costs. Everybody who chooses parameters takes them from here.
#pragma once

#include <vector>

#include "leat/base/target.h"
#include "leat/schedule/plan.h"

namespace leat {

struct Candidate {
  KernelParams params;
  /// What the model expects, to be compared between candidates of one node only: a unit of time
  /// of its own for each node.
  double price = 0;
};

/// Whether a node may become several: parts of a split node are not split again.
enum class Splitting : uint8_t { forbidden, allowed };

/// The legal ways worth a trial, in the order in which the first of equal price is preferred; never
/// empty for a node that computes something. The placements of the node's tensors must have their
/// strides, and packed weights their mark.
std::vector<Candidate> candidates(const Schedule& schedule, const Node& node, const Target& target,
                                  Splitting splitting);

/// Whether lowering takes all fields of the parameters and the target runs what comes of it.
/// Errors: invalid_argument, naming the field, its value and the limit.
Result<void> is_legal(const Schedule& schedule, const Node& node, const KernelParams& params,
                      const Target& target);

/// Whether units may take f32 and round it: the user allows it, and both factors are f32.
bool takes_tf32(const Schedule& schedule, const Node& node, const Contraction& contraction);

/// As a product of matrices, and as loops.
std::vector<Candidate> contraction_candidates(const Schedule& schedule, const Node& node,
                                              const Contraction& contraction, const Target& target,
                                              Splitting splitting);
std::vector<Candidate> reduction_candidates(const Schedule& schedule, const Node& node,
                                            const Target& target, Splitting splitting);

}  // namespace leat
