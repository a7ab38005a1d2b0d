// Source: open-gpu-kernel-modules kernel_channel.c, kernel_channel_group_api.c (rules of the
// parameters), ctrla06fgpfifo.h (what stopping does), nverror.h (codes); open-gpu-doc
// manuals/ampere/ga100/dev_ram.ref.txt (USERD).
#include "leat/backend/nvidia/nvidia_channel.h"

#include <fmt/format.h>
#include <immintrin.h>

#include <array>
#include <chrono>
#include <cstring>

#include "leat/route/packet_text.h"

namespace leat {

namespace {

constexpr uint64_t kUserdOffset = NvidiaChannel::kEntries * sizeof(uint64_t);
constexpr uint64_t kUserdBytes = 512;
constexpr uint64_t kErrorBytes = 4096;

// nverror.h, and NVIDIA's public table of Xids.
constexpr NumberName kErrorNames[] = {
    {13, "an exception in a kernel"},
    {31, "an access to an address that is not mapped"},
    {32, "a push buffer that the host engine refuses"},
    {43, "the channel was reset"},
    {45, "the channel was removed"},
    {48, "an error in the card's memory"},
    {69, "a method that its class refuses"},
    {79, "the card fell off the bus"},
    {94, "a contained error in the card's memory"},
    {95, "an uncontained error in the card's memory"},
    {109, "a time-out of a context switch"},
    {119, "the card's management processor does not answer"},
};

}  // namespace

const char* name_of(NvidiaStop way) {
  switch (way) {
    case NvidiaStop::free: return "free";
    case NvidiaStop::stop_channel: return "stop_channel";
    case NvidiaStop::preempt: return "preempt";
    case NvidiaStop::disable_channels: return "disable_channels";
    case NvidiaStop::reset_channel: return "reset_channel";
    case NvidiaStop::leave_running: return "leave_running";
  }
  return "unknown";
}

NvidiaDoorbell::~NvidiaDoorbell() {
  if (page_ != nullptr) os_->munmap(os_->context, page_, method::kUsermodeBytes);
}

Result<void> NvidiaDoorbell::open(NvidiaRm& rm, const NvidiaCard& card) {
  os_ = &rm.os();
  // Older usermode classes take no parameters and ignore these.
  constexpr rm::UsermodeParams kThroughBar1 = {1, 0};
  TRY_ASSIGN(const uint32_t usermode,
             rm.alloc(rm.subdevice(), card.classes.usermode, kThroughBar1, "the doorbell"));
  const Result<void*> page = rm.map_to_host(usermode, method::kUsermodeBytes, true);
  if (!page) {
    (void)rm.free(rm.subdevice(), usermode);
    return page.error();
  }
  page_ = static_cast<std::byte*>(*page);
  register_ = reinterpret_cast<volatile uint32_t*>(page_ + method::kDoorbellOffset);
  return {};
}

Result<void> NvidiaChannel::open(const NvidiaCard& card, Kind kind) {
  CHECK(!is_open());
  if (!control_) {
    TRY_ASSIGN(const DirectRange control,
               memory_.allocate(kUserdOffset + kUserdBytes, NvidiaPlace::window));
    const Result<NvidiaNotifier> errors = memory_.allocate_notifier(kErrorBytes);
    if (!errors) memory_.free(control);
    TRY(errors);
    control_ = control;
    errors_ = *errors;
    gp_put_ =
        reinterpret_cast<volatile uint32_t*>(control_.host + kUserdOffset + method::kUserdGpPut);
    notifier_ = reinterpret_cast<volatile rm::NvNotification*>(errors_.host);
  }
  std::memset(control_.host, 0, control_.size_bytes);
  std::memset(errors_.host, 0, errors_.size_bytes);
  entries_ = Ring(reinterpret_cast<volatile uint64_t*>(control_.host), kEntries);
  const Result<void> opened = [&]() -> Result<void> {
    TRY(open_group(card, kind));
    TRY(open_channel(card, kind));
    return schedule();
  }();
  if (!opened) close();
  return opened;
}

Result<void> NvidiaChannel::open_group(const NvidiaCard& card, Kind kind) {
  rm::ChannelGroupParams group = {};
  group.va_space = memory_.va_space();
  engine_type_ = kind == Kind::compute ? rm::kEngineGraphics : card.copy_engine_type;
  group.engine_type = engine_type_;
  TRY_ASSIGN(group_, rm_.alloc(rm_.device(), rm::kChannelGroup, group, "a channel group"));
  if (kind == Kind::copy) return {};
  const rm::ContextShareParams share = {memory_.va_space(), rm::kContextShareAsync, 0};
  TRY_ASSIGN(context_share_, rm_.alloc(group_, rm::kContextShare, share, "a context share"));
  return {};
}

Result<void> NvidiaChannel::open_channel(const NvidiaCard& card, Kind kind) {
  rm::ChannelParams params = {};
  params.error_memory = errors_.memory;
  params.gpfifo_offset = control_.address;
  params.gpfifo_entries = kEntries;
  params.flags = rm_.os().is_root(rm_.os().context) ? rm::kChannelUnprivileged : 0;
  params.context_share = context_share_;  // 0 for copies: the group's address space
  const NvidiaObjectRange control = memory_.object_of(control_);
  params.userd_memory[0] = control.memory;
  params.userd_offset[0] = control.offset_bytes + kUserdOffset;
  params.engine_type = engine_type_;
  TRY_ASSIGN(channel_, rm_.alloc(group_, card.classes.channel, params, "a channel"));
  if (kind == Kind::compute) {
    constexpr rm::ComputeParams kCompute = {2, 0, sizeof(rm::ComputeParams), 0};
    TRY(rm_.alloc(channel_, card.classes.compute, kCompute, "a compute object"));
  } else {
    // Without the engine's type the object lands on the graphics runlist.
    const rm::CopyParams copy = {1, card.copy_engine_type};
    TRY(rm_.alloc(channel_, card.classes.copy, copy, "a copy object"));
  }
  return {};
}

Result<void> NvidiaChannel::schedule() {
  TRY(rm_.control(channel_, rm::kGetWorkSubmitToken, token_, "the doorbell's token"));
  return set_scheduled(true);
}

Result<void> NvidiaChannel::set_scheduled(bool enabled) {
  std::array<uint8_t, 3> params = {enabled ? uint8_t{1} : uint8_t{0}, 0, 0};
  return rm_.control(group_, rm::kGroupSchedule, params.data(), rm_.branch().schedule_bytes,
                     "scheduling a channel group");
}

// --- The end ------------------------------------------------------------------------------------

NvidiaChannel::~NvidiaChannel() {
  close();
  for (const uint32_t group : left_groups_) (void)rm_.free(rm_.device(), group);
}

// Refusals leave objects to the client's end; there is nobody to tell.
void NvidiaChannel::close() {
  if (group_ != 0) {
    if (channel_ != 0) (void)rm_.free(group_, channel_);
    (void)rm_.free(rm_.device(), group_);
  }
  channel_ = group_ = context_share_ = 0;
}

// The old group keeps its ring and its error word, so open() makes new ones.
void NvidiaChannel::leave() {
  left_groups_.push_back(group_);
  channel_ = group_ = context_share_ = 0;
  control_ = {};
  errors_ = {};
}

// A free alone waits for a running kernel: 1.04 s of one second's worth on an H200, with the
// preemption mode of the group set to instruction level (accepted), too.
void NvidiaChannel::stop(NvidiaStop way, std::vector<NvidiaStopStep>& steps) {
  constexpr uint32_t kPreemptTimeoutUs = 100'000;
  const auto ask = [&](const char* request, auto call) {
    const auto start = std::chrono::steady_clock::now();
    Result<void> answer = call();
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - start;
    steps.push_back({request, std::move(answer), passed.count()});
  };
  if (!is_open()) return;
  switch (way) {
    case NvidiaStop::free: return;
    case NvidiaStop::stop_channel:
      return ask("STOP_CHANNEL", [&] {
        rm::StopChannel params = {1};
        return rm_.control(channel_, rm::kStopChannel, params, "stopping a channel");
      });
    case NvidiaStop::preempt:
      ask("GPFIFO_SCHEDULE off", [&] { return set_scheduled(false); });
      return ask("PREEMPT", [&] {
        rm::GroupPreempt params = {1, 1, {}, kPreemptTimeoutUs};
        return rm_.control(group_, rm::kGroupPreempt, params, "preempting a channel group");
      });
    case NvidiaStop::disable_channels:
      return ask("FIFO_DISABLE_CHANNELS", [&] {
        rm::DisableChannels params = {};
        params.disable = 1;
        params.count = 1;
        params.clients[0] = rm_.client();
        params.channels[0] = channel_;
        return rm_.control(rm_.subdevice(), rm::kDisableChannels, params, "disabling a channel");
      });
    case NvidiaStop::reset_channel:
      ask("GPFIFO_SCHEDULE off", [&] { return set_scheduled(false); });
      return ask("RESET_CHANNEL", [&] {
        rm::ResetChannel params = {};
        params.engine_type = engine_type_;
        return rm_.control(channel_, rm::kResetChannel, params, "resetting a channel");
      });
    case NvidiaStop::leave_running: return leave();
  }
}

void NvidiaChannel::ring() {
  _mm_sfence();  // push buffers and entries before the index
  *gp_put_ = entries_.index();
  _mm_sfence();  // the index before the doorbell
  doorbell_.ring(token_);
}

NvidiaFault NvidiaChannel::fault() const {
  NvidiaFault fault = {notifier_->info32, ""};
  const char* const known = find_name(kErrorNames, fault.code);
  const char* const name = known != nullptr ? known : "an error";
  fault.text = fmt::format("NVIDIA's driver reports {} (Xid {}).", name, fault.code);
  return fault;
}

}  // namespace leat
