// Offsets by greedy placement: tensors in some order, each at the lowest offset where it meets
// nobody it lives together with. No single order is best for every network, so a few are tried and
// the smallest arena wins; while it is above the lower bound, a local search changes the order, and
// places some tensors from the arena's end downwards. Finding the true minimum is NP-hard (dynamic
// storage allocation); the lower bound, the largest sum of tensors alive at one step, is reported
// beside what was reached.
#include "leat/schedule/memory_plan.h"

#include <algorithm>
#include <span>

namespace leat {

namespace {

struct Interval {
  TensorId tensor = kNoTensor;
  size_t size_bytes = 0;
  size_t first = SIZE_MAX;  // step that writes it first
  size_t last = 0;          // step that reads it last
  size_t offset_bytes = 0;
  bool from_end = false;  // as near to the end as it goes, not to the beginning

  size_t end_bytes() const { return offset_bytes + size_bytes; }
  bool lives_with(const Interval& other) const {
    return other.first <= last && first <= other.last;
  }
};

size_t align_up(size_t value) {
  return (value + kPlacementAlignment - 1) / kPlacementAlignment * kPlacementAlignment;
}

std::vector<Interval> find_intervals(const Schedule& schedule) {
  std::vector<Interval> by_tensor(schedule.placements.size());
  auto touch = [&](TensorId tensor, size_t step) {
    const TensorId root = root_of(schedule, tensor);
    if (schedule.placements[root].space != Space::activations) return;
    Interval& interval = by_tensor[root];
    interval.tensor = root;
    interval.size_bytes = align_up(std::max<size_t>(schedule.placements[root].size_bytes(), 1));
    interval.first = std::min(interval.first, step);
    interval.last = std::max(interval.last, step);
  };
  for (size_t s = 0; s < schedule.steps.size(); ++s) {
    const Node& node = schedule.graph.nodes[schedule.steps[s].node];
    for (TensorId input : node.inputs) touch(input, s);
    for (const NodeResult& result : node.results) touch(result.output, s);
    for (TensorId scratch : schedule.steps[s].scratch) touch(scratch, s);
  }
  std::erase_if(by_tensor, [](const Interval& i) { return i.tensor == kNoTensor; });
  return by_tensor;
}

/// The lowest offset where it meets none of `together`, which are in order of offset.
size_t lowest_offset(size_t size_bytes, std::span<const Interval* const> together) {
  size_t offset = 0;
  for (const Interval* other : together) {
    if (offset + size_bytes <= other->offset_bytes) break;
    offset = std::max(offset, other->end_bytes());
  }
  return offset;
}

/// The highest such offset below `limit`; SIZE_MAX when there is none.
size_t highest_offset(size_t size_bytes, std::vector<const Interval*>& together, size_t limit) {
  std::ranges::sort(together, {}, [](const Interval* i) { return i->end_bytes(); });
  size_t end = limit;
  for (size_t i = together.size(); i > 0; --i) {
    if (together[i - 1]->end_bytes() + size_bytes <= end) break;
    end = std::min(end, together[i - 1]->offset_bytes);
  }
  return end >= size_bytes ? end - size_bytes : SIZE_MAX;
}

/// Which placed intervals live at each step: whom a new one lives with is found by looking at its
/// own steps, so that a long network of short lives costs what its lives cost.
class Lives {
 public:
  explicit Lives(size_t steps) : at_step_(steps) {}

  void add(const Interval& interval) {
    for (size_t s = interval.first; s <= interval.last; ++s) at_step_[s].push_back(&interval);
  }

  /// Each once, in no order.
  void find(const Interval& interval, std::vector<const Interval*>& together) const {
    together.clear();
    for (size_t s = interval.first; s <= interval.last; ++s) {
      for (const Interval* other : at_step_[s]) {
        const bool met_before = s > interval.first && other->first < s;
        if (!met_before) together.push_back(other);
      }
    }
  }

 private:
  std::vector<std::vector<const Interval*>> at_step_;
};

size_t step_count(const std::vector<Interval>& intervals) {
  size_t count = 0;
  for (const Interval& i : intervals) count = std::max(count, i.last + 1);
  return count;
}

/// Places the intervals in their order, those from the end below `limit`; returns the arena's size.
size_t place(std::vector<Interval>& intervals, size_t limit) {
  size_t arena = 0;
  Lives placed(step_count(intervals));
  std::vector<const Interval*> together;
  for (Interval& interval : intervals) {
    placed.find(interval, together);
    size_t offset = SIZE_MAX;
    if (interval.from_end) offset = highest_offset(interval.size_bytes, together, limit);
    if (offset == SIZE_MAX) {
      std::ranges::sort(together, {}, [](const Interval* i) { return i->offset_bytes; });
      offset = lowest_offset(interval.size_bytes, together);
    }
    interval.offset_bytes = offset;
    arena = std::max(arena, interval.end_bytes());
    placed.add(interval);
  }
  return arena;
}

/// The largest sum of what lives at one step.
size_t lower_bound(const std::vector<Interval>& intervals) {
  std::vector<std::ptrdiff_t> change(step_count(intervals) + 1, 0);
  for (const Interval& i : intervals) {
    change[i.first] += static_cast<std::ptrdiff_t>(i.size_bytes);
    change[i.last + 1] -= static_cast<std::ptrdiff_t>(i.size_bytes);
  }
  std::ptrdiff_t live = 0, most = 0;
  for (std::ptrdiff_t bytes : change) most = std::max(most, live += bytes);
  return static_cast<size_t>(most);
}

/// Puts the tensors of a space one behind the other, for good; the space's bytes.
size_t plan_arena(Schedule& schedule, Space space) {
  size_t end = 0;
  for (Placement& placement : schedule.placements) {
    if (placement.space != space) continue;
    placement.offset_bytes = end;
    end = align_up(end + std::max<size_t>(placement.size_bytes(), 1));
  }
  return end;
}

/// Local search below an arena that is larger than its bound. A move takes a tensor that reaches
/// beyond the bound, places it earlier or from the other end, and perhaps turns one that lives with
/// it; it stays when the arena does not grow. Repeated blocks with a skip connection want this:
/// each skip lies at the end where the last one does not.
class PlanSearch {
 public:
  PlanSearch(std::vector<Interval> plan, size_t arena, size_t bound)
      : start_(std::move(plan)), best_(start_), best_arena_(arena), bound_(bound) {}

  /// The best plan found.
  std::vector<Interval> run() {
    constexpr size_t kPairsMax = 40'000'000;  // compared; bounds what this adds to a load
    constexpr size_t kRoundsMax = 3000;
    constexpr size_t kRoundsOfOneTry = 300;
    const size_t pairs = std::max<size_t>(start_.size() * start_.size(), 1);
    const size_t rounds = std::min(kRoundsMax, kPairsMax / pairs);
    for (size_t round = 0; round < rounds && best_arena_ > bound_; ++round) {
      if (round % kRoundsOfOneTry == 0) restart();
      move();
    }
    return std::move(best_);
  }

 private:
  uint32_t draw(size_t below) {
    random_ = random_ * 1664525u + 1013904223u;
    return static_cast<uint32_t>((random_ >> 8) % below);
  }

  void restart() {
    plan_ = start_;
    arena_ = place(plan_, bound_);
    beyond_ = count_beyond(plan_);
  }

  size_t count_beyond(const std::vector<Interval>& plan) const {
    return static_cast<size_t>(
        std::ranges::count_if(plan, [&](const Interval& i) { return i.end_bytes() > bound_; }));
  }

  size_t draw_beyond() {
    size_t skip = draw(beyond_);
    for (size_t i = 0;; ++i) {
      if (plan_[i].end_bytes() > bound_ && skip-- == 0) return i;
    }
  }

  size_t draw_companion(const Interval& of) {
    for (;;) {
      const size_t i = draw(plan_.size());
      if (plan_[i].lives_with(of)) return i;  // it lives with itself
    }
  }

  void move() {
    std::vector<Interval> plan = plan_;
    const size_t chosen = draw_beyond();
    if (draw(2) == 0) plan[chosen].from_end = !plan[chosen].from_end;
    if (draw(2) == 0) {
      Interval& other = plan[draw_companion(plan[chosen])];
      other.from_end = !other.from_end;
    }
    if (chosen > 0 && draw(3) != 0) {
      const auto place_of = plan.begin() + static_cast<std::ptrdiff_t>(chosen);
      std::rotate(plan.begin() + draw(chosen), place_of, place_of + 1);
    }
    const size_t arena = place(plan, bound_);
    const size_t beyond = count_beyond(plan);
    const bool better = arena < arena_ || (arena == arena_ && beyond <= beyond_);
    // Now and then a move sideways, to leave where no single move helps.
    if (!better && (arena > arena_ || draw(10) != 0)) return;
    plan_ = std::move(plan);
    arena_ = arena;
    beyond_ = beyond;
    if (arena >= best_arena_) return;
    best_ = plan_;
    best_arena_ = arena;
  }

  std::vector<Interval> start_, plan_, best_;
  size_t arena_ = 0;
  size_t best_arena_;
  size_t beyond_ = 0;
  size_t bound_;
  uint32_t random_ = 1;
};

size_t end_of(const std::vector<Interval>& plan) {
  size_t end = 0;
  for (const Interval& i : plan) end = std::max(end, i.end_bytes());
  return end;
}

}  // namespace

void plan_memory(Schedule& schedule) {
  schedule.memory.weights_bytes = plan_arena(schedule, Space::weights);
  schedule.memory.state_bytes = plan_arena(schedule, Space::state);
  std::vector<Interval> intervals = find_intervals(schedule);
  schedule.memory.lower_bound_bytes = lower_bound(intervals);

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
    const size_t arena = place(plan, 0);
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
  if (!best_plan.empty()) {
    best_plan = PlanSearch(std::move(best_plan), best, schedule.memory.lower_bound_bytes).run();
  }
  schedule.memory.activations_bytes = end_of(best_plan);
  for (const Interval& interval : best_plan) {
    schedule.placements[interval.tensor].offset_bytes = interval.offset_bytes;
  }
  for (TensorId id = 0; id < schedule.placements.size(); ++id) {
    const TensorId root = root_of(schedule, id);
    if (root != id) schedule.placements[id].offset_bytes = schedule.placements[root].offset_bytes;
  }
}

}  // namespace leat
