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

namespace {

/// A kernel that is there already may be so many times as slow as the best one would be.
constexpr double kKeptPriceMax = 1.5;
/// What was near the best for a node is so, too, where each axis is at most so much longer or
/// shorter.
constexpr double kNearMax = 1.25;

bool is_near(const Shape& a, const Shape& b) {
  return std::ranges::equal(a, b, [](int64_t x, int64_t y) {
    return static_cast<double>(x) <= kNearMax * static_cast<double>(y) &&
           static_cast<double>(y) <= kNearMax * static_cast<double>(x);
  });
}

/// Of which something is remembered; forgotten together.
constexpr size_t kNodesMax = size_t{1} << 14;

/// But for how many elements a lane takes, which candidates() has from the node's size.
bool is_alike(const KernelParams& a, const KernelParams& b) {
  const auto* loops = std::get_if<MapReduceParams>(&a);
  if (loops == nullptr || !std::holds_alternative<MapReduceParams>(b)) return a == b;
  MapReduceParams same = *loops;
  same.per_lane = std::get<MapReduceParams>(b).per_lane;
  return b == KernelParams(same);
}

}  // namespace

bool Chooser::is_worth_keeping(const Schedule& schedule, const Node& node, Splitting splitting,
                               const KernelParams& params) {
  const auto known = kept_.find(node.name);
  if (known != kept_.end()) {
    const Kept& kept = known->second;
    const bool is_alike_enough = kept.params == params && kept.splitting == splitting &&
                                 is_near(kept.extents, node.extents) &&
                                 is_near(kept.reduce, node.reduce);
    if (is_alike_enough) return is_legal(schedule, node, params, target_).has_value();
  }
  if (!is_near_best(schedule, node, splitting, params)) return false;
  if (kept_.size() >= kNodesMax) kept_.clear();
  kept_.insert_or_assign(node.name, Kept{params, splitting, node.extents, node.reduce});
  return true;
}

bool Chooser::is_near_best(const Schedule& schedule, const Node& node, Splitting splitting,
                           const KernelParams& params) const {
  const std::vector<Candidate> all = candidates(schedule, node, target_, splitting);
  const auto is_it = [&](const Candidate& candidate) { return is_alike(candidate.params, params); };
  const auto found = std::ranges::find_if(all, is_it);
  if (found == all.end()) return false;
  const auto best = std::ranges::min_element(all, {}, &Candidate::price);
  return found->price <= kKeptPriceMax * best->price &&
         is_legal(schedule, node, params, target_).has_value();
}

Result<KernelParams> Chooser::choose(const Schedule& schedule, const Node& node,
                                     Splitting splitting, const KnownParams& known_params) {
  if (known_params) {
    const std::optional<KernelParams> kept = known_params(node.name);
    if (kept && is_worth_keeping(schedule, node, splitting, *kept)) return *kept;
  }
  std::string key = kernel_key(schedule, node);
  key += splitting == Splitting::allowed ? '+' : '-';
  const auto known = chosen_.find(key);
  if (known != chosen_.end()) return known->second;
  const KernelParams params = choose_ ? choose_(schedule, node, target_, splitting)
                                      : choose_by_model(schedule, node, target_, splitting);
  const Result<void> legal = is_legal(schedule, node, params, target_);
  if (!legal) return legal.error().during("choosing parameters of " + node.name);
  chosen_.emplace(std::move(key), params);
  return params;
}

}  // namespace leat
