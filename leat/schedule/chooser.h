// Chooser: who picks the parameters of each kernel. It is asked once for each distinct kernel and
// remembers, so that equal nodes of a network, and of the next one, get equal kernels.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>

#include "leat/schedule/candidates.h"

namespace leat {

/// Picks among what candidates() gives, or anything else that is legal.
using ChooseFunction = std::function<KernelParams(const Schedule& schedule, const Node& node,
                                                  const Target& target, Splitting splitting)>;

/// The analytic model's choice: the first candidate of the lowest price.
KernelParams choose_by_model(const Schedule& schedule, const Node& node, const Target& target,
                             Splitting splitting);

/// For one target; used by one thread at a time.
class Chooser {
 public:
  explicit Chooser(Target target, ChooseFunction choose = choose_by_model)
      : target_(std::move(target)), choose_(std::move(choose)) {}

  /// Errors: invalid_argument, when what was picked is not legal.
  Result<KernelParams> choose(const Schedule& schedule, const Node& node, Splitting splitting);

  const Target& target() const { return target_; }
  /// Distinct kernels so far.
  size_t kernel_count() const { return chosen_.size(); }

 private:
  Target target_;
  ChooseFunction choose_;
  std::unordered_map<std::string, KernelParams> chosen_;
};

}  // namespace leat
