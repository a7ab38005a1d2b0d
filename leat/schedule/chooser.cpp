// See chooser.h.
#include "leat/schedule/chooser.h"

#include <algorithm>

#include "leat/schedule/kernel_key.h"

namespace leat {

KernelParams choose_by_model(const Schedule& schedule, const Node& node, const Target& target,
                             Splitting splitting) {
  const std::vector<Candidate> all = candidates(schedule, node, target, splitting);
  CHECK(!all.empty());
  return std::ranges::min_element(all, {}, &Candidate::price)->params;
}

Result<KernelParams> Chooser::choose(const Schedule& schedule, const Node& node,
                                     Splitting splitting) {
  std::string key = kernel_key(schedule, node);
  key += splitting == Splitting::allowed ? '+' : '-';
  const auto known = chosen_.find(key);
  if (known != chosen_.end()) return known->second;
  const KernelParams params = choose_(schedule, node, target_, splitting);
  const Result<void> legal = is_legal(schedule, node, params, target_);
  if (!legal) return legal.error().during("choosing parameters of " + node.name);
  chosen_.emplace(std::move(key), params);
  return params;
}

}  // namespace leat
