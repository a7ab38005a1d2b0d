// The interpreter's loads, stores, atomic additions and asynchronous copies, lane after lane.
#include <fmt/format.h>

#include "leat/ir/interpret_machine.h"
#include "leat/ir/scalar_ops.h"
#include "leat/ir/storage.h"

namespace leat::ir {

Result<void> Machine::access_global(const Instruction& instruction, Wave& wave) {
  const bool is_store = instruction.op == Opcode::store;
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const ValueId value_id = is_store ? operands[1] : instruction.first_result;
  const uint32_t width = program_.values[value_id].width;
  const Operand index = operand(instruction, 0, wave);
  const bool has_stride = instruction.lane_stride != kIndexed;
  const bool varying = has_stride || program_.values[operands[0]].varying;
  const Operand stored = value(value_id, wave);
  Word* loaded = is_store ? nullptr : words(value_id, wave);
  const Operand mask =
      instruction.masked ? operand(instruction, operands.size() - 1, wave) : Operand{};
  GlobalBuffer& buffer = buffers_[instruction.slot];
  const uint32_t lanes = varying ? program_.wave_lanes : 1;
  for (uint32_t lane = 0; lane < lanes; ++lane) {
    const bool is_off = instruction.masked && mask.word(0, lane) == 0;
    const int64_t offset = has_stride ? int64_t{lane} * instruction.lane_stride : 0;
    const int64_t at = int64_t{number<int32_t>(index.word(0, lane))} + offset;
    const uint32_t wave_number = first_wave_ + wave.number;
    for (uint32_t c = 0; c < width; ++c) {
      Word word = is_store ? stored.word(c, lane) : 0;
      if (!is_off) {
        const AccessPoint point = {at * width + c, wave_number, lane, varying};
        const AccessFault fault = is_store ? buffer.store(point, word) : buffer.load(point, word);
        if (fault != AccessFault::none) {
          return wrong(instruction, fault_text(fault, point, buffer.element_count()));
        }
      }
      if (!is_store) loaded[c * lanes + lane] = word;
    }
  }
  return {};
}

Result<void> Machine::add_atomically(const Instruction& instruction, Wave& wave) {
  const Operand index = operand(instruction, 0, wave);
  const Operand added = operand(instruction, 1, wave);
  const Operand mask = instruction.masked ? operand(instruction, 2, wave) : Operand{};
  const int64_t stride = instruction.lane_stride == kIndexed ? 0 : instruction.lane_stride;
  GlobalBuffer& buffer = buffers_[instruction.slot];
  Word* before = words(instruction.first_result, wave);
  for (uint32_t lane = 0; lane < program_.wave_lanes; ++lane) {
    before[lane] = 0;
    if (instruction.masked && mask.word(0, lane) == 0) continue;
    const int64_t at = int64_t{number<int32_t>(index.word(0, lane))} + lane * stride;
    const AccessPoint point = {at, first_wave_ + wave.number, lane, true};
    const AccessFault fault = buffer.add(point, added.word(0, lane), before[lane]);
    if (fault != AccessFault::none) {
      return wrong(instruction, fault_text(fault, point, buffer.element_count()));
    }
  }
  return {};
}

Result<void> Machine::access_local(const Instruction& instruction, Wave& wave) {
  const bool is_store = instruction.op == Opcode::store_local;
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const ValueId value_id = is_store ? operands[1] : instruction.first_result;
  const uint32_t width = program_.values[value_id].width;
  const bool varying = program_.values[operands[0]].varying;
  const Operand index = operand(instruction, 0, wave);
  const Operand stored = value(value_id, wave);
  Word* loaded = is_store ? nullptr : words(value_id, wave);
  LocalBuffer& local = locals_[instruction.slot];
  const uint32_t lanes = varying ? program_.wave_lanes : 1;
  for (uint32_t lane = 0; lane < lanes; ++lane) {
    const int64_t at = number<int32_t>(index.word(0, lane));
    for (uint32_t c = 0; c < width; ++c) {
      Word word = is_store ? stored.word(c, lane) : 0;
      const AccessPoint point = {at * width + c, wave.number, lane, varying};
      const AccessFault fault = is_store ? local.store(point, word) : local.load(point, word);
      if (fault != AccessFault::none) {
        return wrong(instruction, fault_text(fault, point, local.element_count()));
      }
      if (!is_store) loaded[c * lanes + lane] = word;
    }
  }
  return {};
}

// --- Asynchronous copies ---

Result<void> Machine::start_copy(const Instruction& instruction, Wave& wave) {
  for (uint32_t lane = 0; lane < program_.wave_lanes; ++lane) {
    TRY(copy_lane(instruction, wave, lane));
  }
  return {};
}

// The source is read now; a kernel must not write what it copies, so when makes no difference.
Result<void> Machine::copy_lane(const Instruction& instruction, Wave& wave, uint32_t lane) {
  const auto index_at = [&](size_t operand_index) {
    return int64_t{number<int32_t>(operand(instruction, operand_index, wave).word(0, lane))};
  };
  const int64_t index = index_at(0), source = index_at(1), count = instruction.imm;
  const bool is_off = instruction.masked && operand(instruction, 2, wave).word(0, lane) == 0;
  if (index % count != 0 || (!is_off && source % count != 0)) {
    return wrong(instruction,
                 fmt::format("in lane ({}) copies from element ({}) to ({}), which are "
                             "no multiples of ({})",
                             lane, source, index, count));
  }
  GlobalBuffer& from = buffers_[instruction.source];
  LocalBuffer& to = locals_[instruction.slot];
  for (int64_t i = 0; i < count; ++i) {
    uint64_t bits = 0;
    if (!is_off) {
      const AccessPoint point = {source + i, first_wave_ + wave.number, lane, true};
      const AccessFault fault = from.load_bits(point, bits);
      if (fault != AccessFault::none) {
        return wrong(instruction, fault_text(fault, point, from.element_count()));
      }
    }
    const AccessPoint point = {index + i, wave.number, lane, true};
    const AccessFault fault = to.start_copy(point);
    if (fault != AccessFault::none) {
      return wrong(instruction, fault_text(fault, point, to.element_count()));
    }
    wave.copies.back().push_back({instruction.slot, point, bits});
  }
  return {};
}

// Nothing is fetched; but it has to be there, at whole pieces.
Result<void> Machine::check_prefetch(const Instruction& instruction, Wave& wave) {
  const int64_t first = scalar(program_.operands_of(instruction)[0], wave);
  const int64_t count = buffers_[instruction.slot].element_count();
  const int64_t bytes = size_bytes_of(program_.parameters[instruction.slot].storage);
  const bool fits =
      first >= 0 && first + instruction.imm <= count && first * bytes % kPrefetchedBytes == 0;
  if (fits) return {};
  return wrong(instruction, fmt::format("fetches elements ({}) to ({}) of ({}), in pieces of ({}) "
                                        "bytes",
                                        first, first + instruction.imm, count, kPrefetchedBytes));
}

Result<void> Machine::finish_copies(const Instruction& instruction, Wave& wave,
                                    size_t pending_groups) {
  while (wave.copies.size() > pending_groups + 1) {  // the open one is behind them
    for (const PendingCopy& copy : wave.copies.front()) {
      LocalBuffer& local = locals_[copy.slot];
      const AccessFault fault = local.finish_copy(copy.point, copy.bits);
      if (fault != AccessFault::none) {
        return wrong(instruction, fault_text(fault, copy.point, local.element_count()));
      }
    }
    wave.copies.erase(wave.copies.begin());
  }
  return {};
}

// At the end of a workgroup.
Result<void> Machine::check_copies() const {
  for (const Wave& wave : waves_) {
    for (const std::vector<PendingCopy>& group : wave.copies) {
      if (group.empty()) continue;
      return Error(ErrorKind::internal,
                   fmt::format("Kernel \"{}\" ends in workgroup ({}, {}, {}) with an asynchronous "
                               "copy that wave ({}) does not wait for.",
                               program_.name, group_[0], group_[1], group_[2], wave.number));
    }
  }
  return {};
}

}  // namespace leat::ir
