// Offsets by greedy placement: tensors in some order, each at the lowest offset where it meets
// nobody it lives together with. No single order is best for every network, so a few are tried and
// the smallest arena wins. Finding the true minimum is NP-hard (dynamic storage allocation); the
// lower bound, the largest sum of tensors alive at one step, is reported beside what was reached.
#include "leat/schedule/memory_plan.h"

#include <algorithm>

#include "leat/schedule/layout.h"

namespace leat {

namespace {

struct Interval {
  TensorId tensor = kNoTensor;
  size_t size_bytes = 0;
  size_t first = SIZE_MAX;  // step that writes it first
  size_t last = 0;          // step that reads it last
  size_t offset_bytes = 0;
};

size_t align_up(size_t value) {
  return (value + kPlacementAlignment - 1) / kPlacementAlignment * kPlacementAlignment;
}

size_t bytes_of(const Placement& placement) {
  return static_cast<size_t>(placement.element_count * size_bytes_of(placement.storage));
}

std::vector<Interval> find_intervals(const Schedule& schedule) {
  std::vector<Interval> by_tensor(schedule.placements.size());
  auto touch = [&](TensorId tensor, size_t step) {
    const TensorId root = root_of(schedule, tensor);
    if (schedule.placements[root].space != Space::activations) return;
    Interval& interval = by_tensor[root];
    interval.tensor = root;
    interval.size_bytes = align_up(std::max<size_t>(bytes_of(schedule.placements[root]), 1));
    interval.first = std::min(interval.first, step);
    interval.last = std::max(interval.last, step);
  };
  for (size_t s = 0; s < schedule.steps.size(); ++s) {
    const Node& node = schedule.graph.nodes[schedule.steps[s].node];
    for (TensorId input : node.inputs) touch(input, s);
    touch(node.output, s);
  }
  std::erase_if(by_tensor, [](const Interval& i) { return i.tensor == kNoTensor; });
  return by_tensor;
}

/// Places the intervals in their order; returns the arena's size.
size_t place(std::vector<Interval>& intervals) {
  size_t arena = 0;
  std::vector<const Interval*> placed;
  for (Interval& interval : intervals) {
    std::vector<const Interval*> together;
    for (const Interval* other : placed) {
      if (other->first <= interval.last && interval.first <= other->last) {
        together.push_back(other);
      }
    }
    std::ranges::sort(together, {}, [](const Interval* i) { return i->offset_bytes; });
    size_t offset = 0;
    for (const Interval* other : together) {
      if (offset + interval.size_bytes <= other->offset_bytes) break;
      offset = std::max(offset, other->offset_bytes + other->size_bytes);
    }
    interval.offset_bytes = offset;
    arena = std::max(arena, offset + interval.size_bytes);
    placed.push_back(&interval);
  }
  return arena;
}

size_t lower_bound(const std::vector<Interval>& intervals, size_t steps) {
  size_t most = 0;
  for (size_t s = 0; s < steps; ++s) {
    size_t live = 0;
    for (const Interval& i : intervals) live += i.first <= s && s <= i.last ? i.size_bytes : 0;
    most = std::max(most, live);
  }
  return most;
}

void plan_weights(Schedule& schedule) {
  size_t end = 0;
  for (Placement& placement : schedule.placements) {
    if (placement.space != Space::weights) continue;
    placement.offset_bytes = end;
    end = align_up(end + std::max<size_t>(bytes_of(placement), 1));
  }
  schedule.memory.weights_bytes = end;
}

}  // namespace

void plan_memory(Schedule& schedule) {
  plan_weights(schedule);
  std::vector<Interval> intervals = find_intervals(schedule);
  schedule.memory.lower_bound_bytes = lower_bound(intervals, schedule.steps.size());

  auto life = [](const Interval& i) { return i.last - i.first; };
  using Before = bool (*)(const Interval&, const Interval&);
  const Before orders[] = {
      [](const Interval& a, const Interval& b) { return a.size_bytes > b.size_bytes; },
      [](const Interval& a, const Interval& b) { return a.first < b.first; },
      [](const Interval& a, const Interval& b) { return a.last > b.last; },
  };
  size_t best = SIZE_MAX;
  std::vector<Interval> best_plan;
  auto attempt = [&](std::vector<Interval> plan) {
    const size_t arena = place(plan);
    if (arena >= best) return;
    best = arena;
    best_plan = std::move(plan);
  };
  for (const Before order : orders) {
    std::vector<Interval> plan = intervals;
    std::ranges::stable_sort(plan, order);
    attempt(std::move(plan));
  }
  std::ranges::stable_sort(intervals, [&](const Interval& a, const Interval& b) {
    return a.size_bytes * (life(a) + 1) > b.size_bytes * (life(b) + 1);
  });
  attempt(std::move(intervals));
  schedule.memory.activations_bytes = best_plan.empty() ? 0 : best;
  for (const Interval& interval : best_plan) {
    schedule.placements[interval.tensor].offset_bytes = interval.offset_bytes;
  }
  for (TensorId id = 0; id < schedule.placements.size(); ++id) {
    const TensorId root = root_of(schedule, id);
    if (root != id) schedule.placements[id].offset_bytes = schedule.placements[root].offset_bytes;
  }
}

}  // namespace leat
