// Chooser: who picks the parameters of each kernel. It is asked once for each distinct kernel and
// remembers, so that equal nodes of a network, and of the next one, get equal kernels.
#pragma once

#include <functional>
#include <optional>
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

/// The parameters that a node of this name has in a network of the same model for other shapes,
/// whose kernel may then serve this one; or nothing.
using KnownParams = std::function<std::optional<KernelParams>(const std::string& node)>;

/// For one target; used by one thread at a time.
class Chooser {
 public:
  /// `choose` empty: choose_by_model.
  explicit Chooser(Target target, ChooseFunction choose = {})
      : target_(std::move(target)), choose_(std::move(choose)) {}

  /// Parameters that are `known` are taken, unless the model finds far better ones; `known` may be
  /// empty. Errors: invalid_argument, when what was picked is not legal.
  Result<KernelParams> choose(const Schedule& schedule, const Node& node, Splitting splitting,
                              const KnownParams& known = {});

  const Target& target() const { return target_; }
  /// Distinct kernels so far.
  size_t kernel_count() const { return chosen_.size(); }

 private:
  /// What was found worth keeping for a node, and how large that was.
  struct Kept {
    KernelParams params;
    Splitting splitting = Splitting::allowed;
    Shape extents;
    Shape reduce;
  };
  bool is_worth_keeping(const Schedule& schedule, const Node& node, Splitting splitting,
                        const KernelParams& params);
  bool is_near_best(const Schedule& schedule, const Node& node, Splitting splitting,
                    const KernelParams& params) const;

  Target target_;
  ChooseFunction choose_;
  std::unordered_map<std::string, KernelParams> chosen_;
  std::unordered_map<std::string, Kept> kept_;  // by the node's name
};

}  // namespace leat
