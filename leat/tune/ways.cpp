// One table a family: each parameter with the values that it may take. A neighbour takes the next
// value of one of them; all ways are the product of those that are swept.
#include "leat/tune/ways.h"

#include <algorithm>
#include <set>

namespace leat {

namespace {

/// Where a parameter is of use: with tiles in registers alone, with tiles in local memory, with
/// those of matrix units, or always.
enum class Use : uint8_t { plain, staged, units, always };

template <typename Params>
struct Field {
  uint32_t Params::*value;
  std::vector<uint32_t> values;
  bool is_swept = false;
  Use use = Use::always;
};

const std::vector<Field<ContractionParams>>& fields_of(const ContractionParams&) {
  using P = ContractionParams;
  static const std::vector<Field<P>> kFields = {
      {&P::reg_m, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16}, true, Use::plain},
      {&P::reg_n, {1, 2, 3, 4, 8}, true, Use::plain},
      {&P::k_step, {1, 2, 4, 8}, true, Use::plain},
      {&P::waves_m, {1, 2, 4, 8}, true, Use::staged},
      {&P::waves_n, {1, 2, 4}, true, Use::staged},
      {&P::reg_m, {1, 2, 4, 8}, true, Use::staged},
      {&P::reg_n, {4, 8}, true, Use::staged},
      {&P::k_step, {4, 8, 16, 32}, false, Use::staged},
      {&P::stages, {1, 2}, false, Use::staged},
      {&P::lane_fold, {1, 2, 4}, false, Use::staged},
      {&P::last_adds, {0, 1}, false, Use::staged},
      {&P::waves_m, {1, 2, 4, 8, 12}, false, Use::units},
      {&P::waves_n, {1, 2, 4}, false, Use::units},
      {&P::reg_m, {1, 2, 4}, false, Use::units},
      {&P::reg_n, {1, 2, 4, 8}, false, Use::units},
      {&P::k_step, {32, 64, 128}, false, Use::units},
      {&P::stages, {2, 3, 4, 5, 6}, false, Use::units},
      {&P::unit_n, {64, 128, 192, 256}, false, Use::units},
      {&P::vec_m, {1, 2, 4}, false},
      {&P::vec_n, {1, 2, 4}, false},
      {&P::split_k, {1, 2, 4, 8, 16, 32}, false},
      {&P::group_m, {8, 64, 512}, false},
  };
  return kFields;
}

const std::vector<Field<MapReduceParams>>& fields_of(const MapReduceParams&) {
  using P = MapReduceParams;
  static const std::vector<Field<P>> kFields = {
      {&P::waves, {1, 2, 4, 8}, true},
      {&P::per_lane, {1, 2, 4, 8, 16, 32, 64}, true},
      {&P::lanes_reduce, {0, 1}, true},
      {&P::unroll, {1, 2, 4, 8, 16}, true},
      {&P::split, {1, 2, 4, 8, 16, 32, 64, 128}, false},
  };
  return kFields;
}

const std::vector<Field<ProgramParams>>& fields_of(const ProgramParams&) {
  static const std::vector<Field<ProgramParams>> kFields = {
      {&ProgramParams::lanes_row, {0, 1}, true}};
  return kFields;
}

bool is_of_use(const ContractionParams& params, Use use) {
  if (use == Use::always) return true;
  if (params.by_units()) return use == Use::units;
  return use == (params.stages > 0 ? Use::staged : Use::plain);
}
bool is_of_use(const MapReduceParams&, Use) { return true; }
bool is_of_use(const ProgramParams&, Use) { return true; }

uint32_t parts_of(const ContractionParams& params) { return params.split_k; }
uint32_t parts_of(const MapReduceParams& params) { return params.split; }
uint32_t parts_of(const ProgramParams&) { return 1; }

class Finder {
 public:
  Finder(const Schedule& schedule, const Node& node, const Target& target, Splitting splitting)
      : schedule_(schedule), node_(node), target_(target), splitting_(splitting) {}

  template <typename Params>
  void add(const Params& params) {
    if (!is_possible(schedule_, node_, params, target_, splitting_)) return;
    if (seen_.insert(to_string(params)).second) found_.push_back(params);
  }

  template <typename Params>
  void add_neighbours(const Params& params) {
    for (const Field<Params>& field : fields_of(params)) {
      if (!is_of_use(params, field.use)) continue;
      const uint32_t value = params.*field.value;
      const auto above = std::ranges::upper_bound(field.values, value);
      const auto at = std::ranges::lower_bound(field.values, value);
      Params other = params;
      if (above != field.values.end()) other.*field.value = *above, add(other);
      if (at != field.values.begin()) other.*field.value = *(at - 1), add(other);
    }
  }

  template <typename Params>
  void add_swept(const Params& params, size_t first = 0) {
    const std::vector<Field<Params>>& fields = fields_of(params);
    if (first == fields.size()) return add(params);
    const Field<Params>& field = fields[first];
    if (!field.is_swept || !is_of_use(params, field.use)) return add_swept(params, first + 1);
    Params other = params;
    for (const uint32_t value : field.values) {
      other.*field.value = value;
      add_swept(other, first + 1);
    }
  }

  std::vector<KernelParams> take() { return std::move(found_); }

 private:
  const Schedule& schedule_;
  const Node& node_;
  const Target& target_;
  Splitting splitting_;
  std::set<std::string> seen_;
  std::vector<KernelParams> found_;
};

}  // namespace

bool is_possible(const Schedule& schedule, const Node& node, const KernelParams& params,
                 const Target& target, Splitting splitting) {
  const uint32_t parts = std::visit([](const auto& p) { return parts_of(p); }, params);
  if (splitting == Splitting::forbidden && parts > 1) return false;
  return is_legal(schedule, node, params, target).has_value();
}

std::vector<KernelParams> neighbours(const Schedule& schedule, const Node& node,
                                     const KernelParams& params, const Target& target,
                                     Splitting splitting) {
  Finder finder(schedule, node, target, splitting);
  std::visit([&](const auto& p) { finder.add_neighbours(p); }, params);
  return finder.take();
}

std::vector<KernelParams> extreme_ways(const Schedule& schedule, const Node& node,
                                       const KernelParams& params, const Target& target,
                                       Splitting splitting) {
  Finder finder(schedule, node, target, splitting);
  const auto* tile = std::get_if<ContractionParams>(&params);
  if (tile == nullptr || tile->stages > 0) return {};
  const uint32_t accumulators = target.vector_registers / 2;
  ContractionParams flat = *tile, tall = *tile;
  flat.reg_m = 1;
  flat.reg_n = accumulators;
  tall.reg_m = accumulators;
  tall.reg_n = 1;
  flat.vec_m = flat.vec_n = tall.vec_m = tall.vec_n = 1;
  flat.k_step = tall.k_step = 2;
  finder.add(flat);
  finder.add(tall);
  return finder.take();
}

std::vector<KernelParams> all_ways(const Schedule& schedule, const Node& node, const Target& target,
                                   Splitting splitting) {
  Finder finder(schedule, node, target, splitting);
  for (const Candidate& candidate : candidates(schedule, node, target, splitting)) {
    std::visit([&](const auto& p) { finder.add(p), finder.add_swept(p); }, candidate.params);
  }
  return finder.take();
}

}  // namespace leat
