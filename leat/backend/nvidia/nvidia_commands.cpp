// An image: [hand-over word, 512 bytes][launches: 512 bytes of QMD, 1536 of constant bank each]
// [compute push buffer][copy push buffer].
//
// A fresh block goes through its slots before it uses one again, because the constant cache may
// still have what a slot held: one invalidation serves many submits.
#include "leat/backend/nvidia/nvidia_commands.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace leat {

namespace {

using method::kComputeSubchannel;
using method::kCopySubchannel;

constexpr uint64_t kHandoffBytes = 512;
constexpr uint64_t kQmdBytes = 512;
constexpr uint64_t kLaunchBytes = kQmdBytes + kBankBytesMax;
// Dwords that one command adds at most to each push buffer, with hand-over and end.
constexpr size_t kCommandDwordsMax = 48;
constexpr size_t kComputeDwordsPerLaunch = 8;
constexpr size_t kCopyDwords = 1024;
constexpr size_t kTwoImagesLaunchesMax = 16;

uint32_t low(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t high(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

}  // namespace

Result<void> NvidiaCommands::reserve(uint32_t launches_max) {
  launches_max_ = launches_max;
  const size_t compute_dwords = kComputeDwordsPerLaunch * launches_max + 2 * kCommandDwordsMax;
  TRY_ASSIGN(memory_, context_.memory.allocate(kHandoffBytes + launches_max * kLaunchBytes +
                                                   (compute_dwords + kCopyDwords) * 4,
                                               NvidiaPlace::window));
  std::memset(memory_.host, 0, memory_.size_bytes);
  images_[0] = {.host = memory_.host, .address = memory_.address};
  compute_offset_ = kHandoffBytes + launches_max * kLaunchBytes;
  copy_offset_ = compute_offset_ + compute_dwords * 4;
  launches_.reserve(launches_max);
  qmds_.reserve(launches_max);
  parameters_.reserve(launches_max * size_t{kBankBytesMax / 8});
  compute_.reserve(compute_dwords);
  copy_.reserve(kCopyDwords);
  chains_.reserve(launches_max);
  accesses_.reserve(kFreshAccessesMax + kBankBytesMax / 8);
  handoff_words_[0].reserve(compute_dwords);
  handoff_words_[1].reserve(kCopyDwords);
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
  is_empty_ = true;
  in_copies_ = false;
  handoff_ = 0;
  first_slot_ += static_cast<uint32_t>(launches_.size());
  if (first_slot_ > launches_max_ / 2) {  // from here on slots have been used before
    first_slot_ = 0;
    context_.caches_are_stale = true;
  }
  launches_.clear();
  qmds_.clear();
  parameters_.clear();
  compute_.clear();
  copy_.clear();
  chains_.clear();
  accesses_.clear();
  for (std::vector<uint32_t>& words : handoff_words_) words.clear();
  semaphore(compute_, 0, 0, method::kSemAcquireCircular | method::kSemPayload64);  // set_arm()
  compute_.push_back(method::immediate(kComputeSubchannel, method::kWaitForIdle, 0));
}

uint64_t NvidiaCommands::launch_offset(size_t index) const {
  return kHandoffBytes + (first_slot_ + index) * kLaunchBytes;
}

void NvidiaCommands::semaphore(std::vector<uint32_t>& words, uint64_t address, uint64_t payload,
                               uint32_t execute) {
  words.insert(words.end(), {method::header(0, method::kSemAddrLo, 5), low(address), high(address),
                             low(payload), high(payload), execute});
}

// --- Launches -----------------------------------------------------------------------------------

/// The one chain that conflicts, kNone, or kEvery when several do.
uint32_t NvidiaCommands::conflicting_chain(std::span<const MemoryAccess> accesses) const {
  uint32_t found = kNone;
  for (const ChainAccess& earlier : accesses_) {
    if (earlier.chain == found) continue;
    for (const MemoryAccess& access : accesses) {
      if (!conflict(earlier.access, access)) continue;
      if (found != kNone) return kEvery;
      found = earlier.chain;
      break;
    }
  }
  return found;
}

void NvidiaCommands::remember(std::span<const MemoryAccess> accesses, uint32_t chain) {
  for (const MemoryAccess& access : accesses) {
    const auto same = std::ranges::find_if(accesses_, [&](const ChainAccess& known) {
      return known.chain == chain && known.access.address == access.address &&
             known.access.size_bytes == access.size_bytes;
    });
    if (same == accesses_.end()) {
      accesses_.push_back({access, chain});
    } else {
      same->access.written |= access.written;
    }
  }
}

void NvidiaCommands::front_end_barrier() {
  compute_.push_back(method::immediate(kComputeSubchannel, method::kWaitForIdle, 0));
  chains_.clear();
  accesses_.clear();
}

void NvidiaCommands::launch(const NvidiaKernel& kernel, std::span<const MemoryAccess> arguments) {
  is_empty_ = false;
  close_copies();
  const auto index = static_cast<uint32_t>(launches_.size());
  launches_.push_back({.bank = &kernel.bank(),
                       .first_parameter = static_cast<uint32_t>(parameters_.size()),
                       .parameter_count = static_cast<uint32_t>(arguments.size())});
  for (const MemoryAccess& argument : arguments) parameters_.push_back(argument.address);
  qmds_.push_back(kernel.qmd());
  const size_t accesses_max = launches_max_ == 0 ? kAccessesMax : kFreshAccessesMax;
  uint32_t chain =
      accesses_.size() + arguments.size() > accesses_max ? kEvery : conflicting_chain(arguments);
  if (chain < kEvery) {
    launches_[chains_[chain].tail].dependent = index;
    chains_[chain].tail = index;
  } else {
    if (chain == kEvery) front_end_barrier();
    chain = static_cast<uint32_t>(chains_.size());
    chains_.push_back({index});
    launches_[index].pcas_index = static_cast<uint32_t>(compute_.size() + 1);
    compute_.insert(compute_.end(),
                    {method::header(kComputeSubchannel, method::kSendPcasA, 1), 0,
                     method::immediate(kComputeSubchannel, method::kSendSignalingPcas2B,
                                       method::kPcasPrefetchSchedule)});
  }
  remember(arguments, chain);
}

// --- Copies and marks ---------------------------------------------------------------------------

// Values of the hand-over word: odd when compute is done and copies may start, even when the copies
// are done. Each list counts from 1 again; both sides wait for equality, and the word starts at 0
// in every round, also behind one that a fault cut off in the middle.
void NvidiaCommands::release_to_copies() {
  ++handoff_;
  handoff_words_[0].push_back(static_cast<uint32_t>(compute_.size() + 1));
  semaphore(compute_, 0, handoff_, method::kSemRelease | method::kSemReleaseWfi);
  handoff_words_[1].push_back(static_cast<uint32_t>(copy_.size() + 1));
  semaphore(copy_, 0, handoff_, method::kSemAcquireEqual | method::kSemSwitchGroup);
  in_copies_ = true;
  chains_.clear();
  accesses_.clear();
}

void NvidiaCommands::close_copies() {
  if (!in_copies_) return;
  ++handoff_;
  handoff_words_[1].push_back(static_cast<uint32_t>(copy_.size() + 1));
  semaphore(copy_, 0, handoff_, method::kSemRelease | method::kSemReleaseWfi);
  handoff_words_[0].push_back(static_cast<uint32_t>(compute_.size() + 1));
  semaphore(compute_, 0, handoff_, method::kSemAcquireEqual | method::kSemSwitchGroup);
  in_copies_ = false;
}

void NvidiaCommands::copy(uint64_t target, uint64_t source, uint64_t size_bytes) {
  CHECK(size_bytes <= kCopyBytesMax);
  is_empty_ = false;
  if (!in_copies_) release_to_copies();
  if (copy_.size() == 6) {  // right behind the first hand-over
    copy_.insert(copy_.end(), {method::header(kCopySubchannel, method::kSetObject, 1),
                               context_.card.classes.copy});
  }
  while (size_bytes > 0) {
    const uint64_t part = std::min(size_bytes, method::kCopyBytesMax);
    copy_.insert(copy_.end(),
                 {method::header(kCopySubchannel, method::kOffsetInUpper, 4), high(source),
                  low(source), high(target), low(target),
                  method::header(kCopySubchannel, method::kLineLengthIn, 2), low(part), 1,
                  method::header(kCopySubchannel, method::kLaunchDma, 1), method::kLinearCopy});
    source += part;
    target += part;
    size_bytes -= part;
  }
}

void NvidiaCommands::mark_time(uint64_t address) {
  is_empty_ = false;
  close_copies();
  semaphore(
      compute_, address, 1,
      method::kSemRelease | method::kSemReleaseWfi | method::kSemPayload64 | method::kSemTimestamp);
  chains_.clear();
  accesses_.clear();
}

// --- The end ------------------------------------------------------------------------------------

// A single chain that nothing runs beside ends with its last launch, whose descriptor can set the
// fence: 0.6 us less than a release by the host engine.
void NvidiaCommands::place_release(uint64_t fence_value) {
  close_copies();
  if (chains_.size() == 1) {
    qmds_[chains_[0].tail].set_release(context_.fence.address(), fence_value);
  } else {
    semaphore(compute_, context_.fence.address(), fence_value,
              method::kSemRelease | method::kSemReleaseWfi | method::kSemPayload64);
  }
  for (Image& image : images_) image.value = fence_value;
}

Result<void> NvidiaCommands::place() {
  if (is_fresh()) {
    CHECK(compute_.size() * 4 <= copy_offset_ - compute_offset_ && copy_.size() <= kCopyDwords);
    return {};
  }
  const size_t dwords = std::max(compute_.size(), copy_.size());
  if (dwords > method::kSegmentDwordsMax) {
    return Error(ErrorKind::invalid_argument, "A recorded list has (" + std::to_string(dwords) +
                                                  ") dwords of commands, more than the limit (" +
                                                  std::to_string(method::kSegmentDwordsMax) + ").");
  }
  compute_offset_ = kHandoffBytes + launches_.size() * kLaunchBytes;
  copy_offset_ = compute_offset_ + compute_.size() * 4;
  const uint64_t image_bytes =
      (copy_offset_ + copy_.size() * 4 + kHandoffBytes - 1) / kHandoffBytes * kHandoffBytes;
  image_count_ = launches_.size() <= kTwoImagesLaunchesMax ? 2 : 1;
  TRY_ASSIGN(memory_, context_.memory.allocate(image_count_ * image_bytes, NvidiaPlace::window));
  for (uint32_t i = 0; i < image_count_; ++i) {
    images_[i].host = memory_.host + i * image_bytes;
    images_[i].address = memory_.address + i * image_bytes;
    std::memset(images_[i].host, 0, kHandoffBytes);
  }
  slot_is_dense_.assign(launches_.size(), true);
  context_.caches_are_stale = true;  // the banks may lie where others lay
  return {};
}

Result<void> NvidiaCommands::finish(uint64_t fence_value) {
  place_release(fence_value);
  TRY(place());
  for (uint32_t i = 0; i < image_count_; ++i) write_image(images_[i]);
  return {};
}

void NvidiaCommands::write_image(Image& image) {
  for (uint32_t i = 0; i < launches_.size(); ++i) write_launch(image, i);
  for (const uint32_t word : handoff_words_[0]) {
    compute_[word] = low(image.address);
    compute_[word + 1] = high(image.address);
  }
  for (const uint32_t word : handoff_words_[1]) {
    copy_[word] = low(image.address);
    copy_[word + 1] = high(image.address);
  }
  std::memcpy(image.host + compute_offset_, compute_.data(), compute_.size() * 4);
  if (!copy_.empty()) {
    std::memcpy(image.host + copy_offset_, copy_.data(), copy_.size() * 4);
  }
  uint64_t payload_offset = compute_offset_ + (compute_.size() - 3) * 4;
  if (chains_.size() == 1) {
    const auto bit = bits_of(context_.card.classes.qmd, QmdField::release0_payload_lower).low;
    payload_offset = launch_offset(chains_[0].tail) + static_cast<uint64_t>(bit) / 8;
  }
  image.payload = reinterpret_cast<volatile uint32_t*>(image.host + payload_offset);
}

void NvidiaCommands::write_launch(Image& image, uint32_t index) {
  const Launch& launch = launches_[index];
  const uint64_t address = image.address + launch_offset(index);
  std::byte* slot = image.host + launch_offset(index);
  Qmd& qmd = qmds_[index];
  qmd.set_bank0(address + kQmdBytes, static_cast<uint32_t>(launch.bank->bytes.size()));
  if (launch.dependent != kNone) {
    qmd.set_dependent(image.address + launch_offset(launch.dependent));
  }
  if (launch.pcas_index != kNone) compute_[launch.pcas_index] = low(address >> 8);
  const std::span<const uint32_t> dwords = qmd.dwords();
  std::memcpy(slot, dwords.data(), dwords.size_bytes());
  const bool sparse = launch.bank->is_sparse;
  const size_t dense_index = is_fresh() ? first_slot_ + index : index;
  write_bank(slot + kQmdBytes, launch, !sparse || slot_is_dense_[dense_index] || !is_fresh());
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
  if (launch.parameter_count == 0) return;
  std::memcpy(target + launch.bank->parameter_offset, parameters_.data() + launch.first_parameter,
              launch.parameter_count * sizeof(uint64_t));
}

// --- Submits ------------------------------------------------------------------------------------

void NvidiaCommands::set_fence_value(uint64_t value) {
  Image& image = images_[image_];
  if (image.value == value) return;
  image.value = value;
  image.payload[0] = low(value);
  image.payload[1] = high(value);
}

void NvidiaCommands::set_arm(uint64_t address, uint64_t payload, bool idle) {
  auto* words = reinterpret_cast<volatile uint32_t*>(images_[image_].host + compute_offset_);
  words[1] = low(address);
  words[2] = high(address);
  words[3] = low(payload);
  words[4] = high(payload);
  words[5] = method::kSemAcquireCircular | method::kSemPayload64;
  Image& image = images_[image_];
  if (image.waits == idle) set_wait(image, !idle);
}

void NvidiaCommands::enter(Entry entry) {
  Image& image = images_[image_];
  if (entry == Entry::busy && !image.waits) set_wait(image, true);
}

void NvidiaCommands::set_wait(Image& image, bool waits) {
  image.waits = waits;
  auto* words = reinterpret_cast<volatile uint32_t*>(image.host + compute_offset_);
  words[kArmDwords] =
      method::immediate(kComputeSubchannel, waits ? method::kWaitForIdle : method::kNoOperation, 0);
}

// The other image was submitted before this one and has passed its fence, so it may be written.
void NvidiaCommands::set_submitted(uint64_t value) {
  submitted_value_ = value;
  if (image_count_ == 1) return;
  image_ ^= 1;
  set_fence_value(value + 1);
}

std::span<const uint32_t> NvidiaCommands::compute_words(Entry entry) const {
  return {reinterpret_cast<const uint32_t*>(image().host + compute_offset_) + skipped_dwords(entry),
          compute_dwords(entry)};
}

std::span<const uint32_t> NvidiaCommands::copy_words() const {
  return {reinterpret_cast<const uint32_t*>(image().host + copy_offset_), copy_dwords()};
}

}  // namespace leat
