// One writer and one reader are remembered for each word, or that there were several. That finds
// every race between two accesses of one word but one: a third lane's write of bits that two others
// wrote alike.
#include "leat/ir/race_shadow.h"

namespace leat::ir {
namespace {

constexpr AccessId kSeveral = UINT32_MAX;

}  // namespace

RaceShadow::Cell& RaceShadow::current(size_t word) {
  Cell& cell = cells_[word];
  if (cell.epoch != epoch_) cell = {.epoch = epoch_};
  return cell;
}

bool RaceShadow::read(size_t word, AccessId id) {
  Cell& cell = current(word);
  const uint32_t wave = (id - 1) / (wave_lanes_ + 1);
  if (cell.writer != 0 && cell.writer != id && cell.writer != whole_wave(wave)) return false;
  cell.reader = cell.reader == 0 || cell.reader == id ? id : kSeveral;
  return true;
}

bool RaceShadow::write(size_t word, AccessId id, bool same_bits) {
  Cell& cell = current(word);
  if (!same_bits) {
    const bool read_elsewhere = cell.reader != 0 && (cell.reader != id || is_whole_wave(id));
    const bool written_elsewhere = cell.writer != 0 && cell.writer != id;
    if (read_elsewhere || written_elsewhere) return false;
  }
  cell.writer = cell.writer == 0 || cell.writer == id ? id : kSeveral;
  return true;
}

}  // namespace leat::ir
