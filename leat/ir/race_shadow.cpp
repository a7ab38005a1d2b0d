// One writer and one reader are remembered for each word, or that there were several. That finds
// every race between two accesses of one word but one: a third lane's write of bits that two others
// wrote alike.
#include "leat/ir/race_shadow.h"

#include <algorithm>

namespace leat::ir {
namespace {

constexpr AccessId kSeveral = UINT32_MAX;
constexpr AccessId kAdders = UINT32_MAX - 1;  // as a writer: atomic additions only

}  // namespace

void GroupOrder::start_group() {
  ++stretch_;
  over_.clear();
}

void GroupOrder::meet(const Counter& counter, bool is_last) {
  over_.insert(stretch_);
  std::unordered_set<uint32_t>& released = released_[counter];
  if (is_last) {
    over_.insert(released.begin(), released.end());
    released_.erase(counter);
  } else {
    released.insert(over_.begin(), over_.end());
  }
  ++stretch_;
}

RaceShadow::Cell& RaceShadow::current(size_t word) {
  Cell& cell = cells_[word];
  if (cell.epoch != epoch_) cell = {.epoch = epoch_};
  if (order_ != nullptr) {
    forget_what_is_over(word, cell.writer, written_);
    forget_what_is_over(word, cell.reader, read_);
  }
  return cell;
}

void RaceShadow::forget_what_is_over(size_t word, AccessId& id, Stretches& stretches) const {
  if (id == 0) return;
  const std::vector<uint32_t>& touched = stretches[word];
  const auto is_over = [this](uint32_t stretch) { return order_->is_over(stretch); };
  if (!std::ranges::all_of(touched, is_over)) return;
  id = 0;
  stretches.erase(word);
}

void RaceShadow::note(size_t word, Stretches& stretches) const {
  if (order_ == nullptr) return;
  std::vector<uint32_t>& touched = stretches[word];
  if (touched.empty() || touched.back() != order_->stretch()) touched.push_back(order_->stretch());
}

bool RaceShadow::read(size_t word, AccessId id) {
  Cell& cell = current(word);
  const uint32_t wave = (id - 1) / (wave_lanes_ + 1);
  if (cell.writer != 0 && cell.writer != id && cell.writer != whole_wave(wave)) return false;
  cell.reader = cell.reader == 0 || cell.reader == id ? id : kSeveral;
  note(word, read_);
  return true;
}

bool RaceShadow::write(size_t word, AccessId id, bool same_bits) {
  Cell& cell = current(word);
  if (cell.writer == kAdders) return false;
  if (!same_bits) {
    const bool read_elsewhere = cell.reader != 0 && (cell.reader != id || is_whole_wave(id));
    const bool written_elsewhere = cell.writer != 0 && cell.writer != id;
    if (read_elsewhere || written_elsewhere) return false;
  }
  cell.writer = cell.writer == 0 || cell.writer == id ? id : kSeveral;
  note(word, written_);
  return true;
}

bool RaceShadow::add(size_t word, AccessId id) {
  Cell& cell = current(word);
  const bool written = cell.writer != 0 && cell.writer != kAdders && cell.writer != id;
  const bool read_elsewhere = cell.reader != 0 && (cell.reader != id || is_whole_wave(id));
  if (written || read_elsewhere) return false;
  cell.writer = kAdders;
  note(word, written_);
  return true;
}

}  // namespace leat::ir
