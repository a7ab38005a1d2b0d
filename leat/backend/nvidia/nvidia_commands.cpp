// A fresh block goes through its slots before it uses one again, because the constant cache may
// still have what a slot held: one invalidation serves many submits.
#include "leat/backend/nvidia/nvidia_commands.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace leat {

namespace {

using method::kComputeSubchannel;
using method::kCopySubchannel;

constexpr uint64_t kBankBytesMax = NvidiaImageLayout::kBankBytesMax;

// Dwords that one command adds at most to each push buffer, with hand-over and end.
constexpr size_t kCommandDwordsMax = 48;
constexpr uint32_t kLaunchesPerBlock = 128;
constexpr size_t kComputeDwordsPerLaunch = 8;
constexpr size_t kCopyDwords = 1024;
constexpr size_t kTwoImagesLaunchesMax = 16;
// A recorded list's launches are compared with more of those before.
constexpr size_t kFreshAccessesMax = 256;
// Launch descriptors are named by their address in this unit (SEND_PCAS_A).
constexpr uint32_t kPcasAddressShift = 8;

}  // namespace

Result<void> NvidiaCommands::reserve() {
  constexpr uint32_t launches_max = kLaunchesPerBlock;
  launches_max_ = launches_max;
  const size_t compute_dwords = kComputeDwordsPerLaunch * launches_max + 2 * kCommandDwordsMax;
  layout_ = NvidiaImageLayout::of(launches_max, compute_dwords, kCopyDwords);
  TRY_ASSIGN(memory_, context_.memory.allocate(layout_.copy + kCopyDwords * sizeof(uint32_t),
                                               NvidiaPlace::window));
  std::memset(memory_.host, 0, memory_.size_bytes);
  images_[0].open(memory_.host, memory_.address);
  launches_.reserve(launches_max);
  qmds_.reserve(launches_max);
  parameters_.reserve(launches_max * size_t{kBankBytesMax / 8});
  compute_.reserve(compute_dwords, compute_dwords);
  copy_.reserve(kCopyDwords, kCopyDwords);
  chains_.reserve(launches_max, kFreshAccessesMax, kBankBytesMax / 8);
  slot_is_dense_.assign(launches_max, false);
  clear();
  return {};
}

bool NvidiaCommands::is_full() const {
  if (launches_max_ == 0) return false;
  return first_slot_ + launches_.size() >= launches_max_ ||
         compute_.size() + 2 * kCommandDwordsMax > compute_.capacity() ||
         copy_.size() + 2 * kCommandDwordsMax > kCopyDwords;
}

void NvidiaCommands::clear() {
  first_slot_ += static_cast<uint32_t>(launches_.size());
  if (first_slot_ > launches_max_ / 2) {  // from here on slots have been used before
    first_slot_ = 0;
    context_.setup.set_caches_stale();
  }
  launches_.clear();
  qmds_.clear();
  parameters_.clear();
  compute_.clear();
  copy_.clear();
  chains_.clear();
  handoff_.clear();
  NvidiaImage::add_entry(compute_);
}

void NvidiaCommands::front_end_barrier() {
  compute_.add(method::immediate(kComputeSubchannel, method::kWaitForIdle, 0));
}

void NvidiaCommands::launch(const NvidiaKernel& kernel, std::span<const MemoryAccess> arguments,
                            const Grid& grid) {
  close_copies();
  const auto index = static_cast<uint32_t>(launches_.size());
  launches_.push_back({.bank = &kernel.bank(),
                       .first_parameter = static_cast<uint32_t>(parameters_.size()),
                       .parameter_count = static_cast<uint32_t>(arguments.size()),
                       .grid = grid});
  for (const MemoryAccess& argument : arguments) parameters_.push_back(argument.address);
  qmds_.push_back(kernel.qmd());
  if (grid != kernel.grid()) qmds_.back().set_grid(grid);
  const NvidiaStart start = chains_.add(index, arguments);
  if (start.kind == NvidiaStart::Kind::follows) {
    launches_[start.before].dependent = index;
    return;
  }
  if (start.kind == NvidiaStart::Kind::behind) front_end_barrier();
  compute_.add(method::header(kComputeSubchannel, method::kSendPcasA, 1));
  compute_.add_shifted_address(compute_.size(), kPcasAddressShift, launch_offset(index));
  compute_.add({0, method::immediate(kComputeSubchannel, method::kSendSignalingPcas2B,
                                     method::kPcasPrefetchSchedule)});
}

// --- Copies and marks ---------------------------------------------------------------------------

void NvidiaCommands::close_copies() {
  if (handoff_.in_copies()) handoff_.to_compute(compute_, copy_);
}

void NvidiaCommands::copy(uint64_t target, uint64_t source, uint64_t size_bytes) {
  CHECK(size_bytes <= kCopyBytesMax);
  const bool is_first = copy_.is_empty();
  if (!handoff_.in_copies()) {
    handoff_.to_copies(compute_, copy_);
    chains_.clear();
  }
  if (is_first) {
    copy_.add({method::header(kCopySubchannel, method::kSetObject, 1), context_.card.classes.copy});
  }
  while (size_bytes > 0) {
    const uint64_t part = std::min(size_bytes, method::kCopyBytesMax);
    copy_.add({method::header(kCopySubchannel, method::kOffsetInUpper, 4), high(source),
               low(source), high(target), low(target),
               method::header(kCopySubchannel, method::kLineLengthIn, 2), low(part), 1,
               method::header(kCopySubchannel, method::kLaunchDma, 1), method::kLinearCopy});
    source += part;
    target += part;
    size_bytes -= part;
  }
}

void NvidiaCommands::mark_time(uint64_t address) {
  close_copies();
  add_semaphore(
      compute_, address, 1,
      method::kSemRelease | method::kSemReleaseWfi | method::kSemPayload64 | method::kSemTimestamp);
  chains_.clear();
}

// --- The end ------------------------------------------------------------------------------------

// A single chain that nothing runs beside ends with its last launch, whose descriptor can set the
// fence: 0.6 us less than a release by the host engine.
void NvidiaCommands::place_release(uint64_t fence_value) {
  close_copies();
  if (chains_.is_single()) {
    qmds_[chains_.tail()].set_release(context_.fence.address(), fence_value);
  } else {
    add_semaphore(compute_, context_.fence.address(), fence_value,
                  method::kSemRelease | method::kSemReleaseWfi | method::kSemPayload64);
  }
}

/// Where the release of the end holds its payload.
uint64_t NvidiaCommands::payload_offset() const {
  if (!chains_.is_single()) {
    const size_t release = compute_.size() - method::kSemaphoreDwords;
    return layout_.compute + (release + method::kSemaphorePayload) * sizeof(uint32_t);
  }
  const auto bit = bits_of(context_.card.classes.qmd, QmdField::release0_payload_lower).low;
  return launch_offset(chains_.tail()) + static_cast<uint64_t>(bit) / 8;
}

Result<void> NvidiaCommands::place() {
  if (is_fresh()) {
    CHECK(compute_.size_bytes() <= layout_.copy - layout_.compute && copy_.size() <= kCopyDwords);
    return {};
  }
  const size_t dwords = std::max(compute_.size(), copy_.size());
  if (dwords > method::kSegmentDwordsMax) {
    return Error(ErrorKind::invalid_argument, "A recorded list has (" + std::to_string(dwords) +
                                                  ") dwords of commands, more than the limit (" +
                                                  std::to_string(method::kSegmentDwordsMax) + ").");
  }
  layout_ = NvidiaImageLayout::of(launches_.size(), compute_.size(), copy_.size());
  image_count_ = launches_.size() <= kTwoImagesLaunchesMax ? 2 : 1;
  TRY_ASSIGN(memory_,
             context_.memory.allocate(image_count_ * layout_.size_bytes, NvidiaPlace::window));
  for (uint32_t i = 0; i < image_count_; ++i) {
    images_[i].open(memory_.host + i * layout_.size_bytes,
                    memory_.address + i * layout_.size_bytes);
    std::memset(images_[i].host(), 0, NvidiaImageLayout::kHandoffBytes);
  }
  slot_is_dense_.assign(launches_.size(), true);
  context_.setup.set_caches_stale();  // the banks may lie where others lay
  return {};
}

Result<void> NvidiaCommands::finish(uint64_t fence_value) {
  place_release(fence_value);
  TRY(place());
  for (uint32_t i = 0; i < image_count_; ++i) write_image(images_[i], fence_value);
  return {};
}

void NvidiaCommands::write_image(NvidiaImage& image, uint64_t fence_value) {
  for (uint32_t i = 0; i < launches_.size(); ++i) write_launch(image, i);
  compute_.place(image.address(), image.host() + layout_.compute);
  copy_.place(image.address(), image.host() + layout_.copy);
  image.set_end(payload_offset(), fence_value);
}

void NvidiaCommands::write_launch(const NvidiaImage& image, uint32_t index) {
  const Launch& launch = launches_[index];
  const uint64_t bank_address =
      image.address() + launch_offset(index) + NvidiaImageLayout::kQmdBytes;
  std::byte* slot = image.host() + launch_offset(index);
  Qmd qmd = qmds_[index];
  qmd.set_bank0(bank_address, static_cast<uint32_t>(launch.bank->bytes.size()));
  if (launch.dependent != kNone) {
    qmd.set_dependent(image.address() + launch_offset(launch.dependent), qmds_[launch.dependent]);
  }
  const std::span<const uint32_t> dwords = std::as_const(qmd).dwords();
  std::memcpy(slot, dwords.data(), dwords.size_bytes());
  const bool sparse = launch.bank->is_sparse;
  const size_t dense_index = is_fresh() ? first_slot_ + index : index;
  write_bank(slot + NvidiaImageLayout::kQmdBytes, launch,
             !sparse || slot_is_dense_[dense_index] || !is_fresh());
  if (is_fresh()) slot_is_dense_[dense_index] = !sparse;
}

// Stores to the card cost bus time, so a bank whose middle is zero gets its ends only.
void NvidiaCommands::write_bank(std::byte* target, const Launch& launch, bool whole) {
  const std::vector<std::byte>& bank = launch.bank->bytes;
  const uint32_t line = launch.bank->parameter_offset / 64 * 64;
  if (whole) {
    std::memcpy(target, bank.data(), bank.size());
  } else {
    std::memcpy(target, bank.data(), kBankHeadBytes);
    std::memcpy(target + line, bank.data() + line, bank.size() - line);
  }
  const uint32_t place = launch.bank->grid_offset;
  if (std::memcmp(bank.data() + place, launch.grid.data(), sizeof launch.grid) != 0) {
    std::memcpy(target + place, launch.grid.data(), sizeof launch.grid);
  }
  if (launch.parameter_count == 0) return;
  std::memcpy(target + launch.bank->parameter_offset, parameters_.data() + launch.first_parameter,
              launch.parameter_count * sizeof(uint64_t));
}

// --- Submits ------------------------------------------------------------------------------------

// The other image was submitted before this one and has passed its fence, so it may be written.
void NvidiaCommands::set_submitted(uint64_t value) {
  submitted_value_ = value;
  if (image_count_ == 1) return;
  image_ ^= 1;
  image().set_fence_value(value + 1);
}

std::span<const uint32_t> NvidiaCommands::compute_words(NvidiaEntry entry) const {
  return {reinterpret_cast<const uint32_t*>(image().host() + compute_offset(entry)),
          compute_dwords(entry)};
}

std::span<const uint32_t> NvidiaCommands::copy_words() const {
  return {reinterpret_cast<const uint32_t*>(image().host() + layout_.copy), copy_dwords()};
}

}  // namespace leat
