// The render node's side: buffers by handle, virtual addresses, contexts, and command submission
// with indirect buffers for the compute ring. amdgpu_gem.c, amdgpu_ctx.c, amdgpu_cs.c.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tests/amd/fake_kfd_state.h"

namespace leat::amd_card {

namespace {

constexpr uint64_t kDomainGtt = 2, kDomainVram = 4;
constexpr uint64_t kGemNoCpu = 1 << 1, kGemAlwaysValid = 1 << 6;
constexpr uint64_t kGemKnown = (1 << 17) - 1;
constexpr uint32_t kUserptrWritable = 8;  // REGISTER: a notifier, without which none may write
constexpr uint32_t kInfoDevice = 0x16, kInfoFault = 0x23;
constexpr uint64_t kVaFirst = 0x200000, kVaMax = uint64_t{1} << 47;
constexpr uint32_t kFaultStatus = 0x301;
constexpr uint32_t kVaMap = 1, kVaUnmap = 2;
constexpr uint32_t kVaRead = 1 << 1, kVaWrite = 1 << 2, kVaExecute = 1 << 3;
constexpr uint32_t kVaKnown = kVaRead | kVaWrite | kVaExecute | 0xf << 5;
constexpr uint32_t kContextAlloc = 1, kContextFree = 2, kContextQuery2 = 4;
constexpr uint32_t kChunkIb = 1, kChunkBuffers = 6;
constexpr uint32_t kIpCompute = 1, kIbAlignment = 32;
constexpr uint64_t kStateReset = 1, kStateVramLost = 2, kStateGuilty = 4;

}  // namespace

int FakeKfd::drm_version(DrmVersion& in) {
  const std::string name = options_.has_amdgpu ? "amdgpu" : "other";
  if (in.name_bytes < name.size() || in.name == 0) return fail(EINVAL);
  std::memcpy(reinterpret_cast<void*>(in.name), name.data(), name.size());
  in.name_bytes = name.size();
  in.major = 3;
  in.minor = 57;
  return 0;
}

int FakeKfd::drm_info(const DrmInfo& in) {
  if (in.answer == 0) return fail(EINVAL);
  DrmDevice device = {};
  device.shader_engines = options_.shader_engines;
  device.compute_units = options_.compute_units;
  device.address_first = kVaFirst;
  device.address_max = kVaMax;
  device.address_alignment = kFakePage;
  const auto answer = [&](const auto& thing) {
    const size_t size = std::min<size_t>(in.answer_bytes, sizeof thing);
    std::memcpy(reinterpret_cast<void*>(in.answer), &thing, size);
    return 0;
  };
  if (in.query == kInfoDevice) return answer(device);
  return in.query == kInfoFault ? answer(drm_fault_) : fail(EINVAL);
}

int FakeKfd::gem_userptr(DrmUserptr& in) {
  if (in.address == 0 || in.address % kFakePage != 0 || in.size % kFakePage != 0 || in.size == 0) {
    return fail(EINVAL);
  }
  if ((in.flags & kUserptrWritable) == 0) return fail(EACCES);
  auto made = std::make_unique<Buffer>();
  made->size = in.size;
  made->host = reinterpret_cast<uint8_t*>(in.address);
  made->handle = uint64_t{kGpuId} << 32 | next_buffer_++;
  made->flags = kMemUserptr;
  made->is_by_handle = true;
  in.handle = uint32_t(made->handle);
  buffers_[made->handle] = std::move(made);
  return 0;
}

// Flags are for exports.
int FakeKfd::fd_to_handle(DrmFdToHandle& in) {
  if (in.flags != 0) return fail(EINVAL);
  Buffer* buffer = import_file(in.fd);
  if (buffer == nullptr) return fail(EINVAL);
  buffer->is_by_handle = true;
  in.handle = uint32_t(buffer->handle);
  return 0;
}

int FakeKfd::gem_create(DrmGemCreate& in) {
  const uint64_t domain = in.in.domains;
  if (in.in.size == 0 || (domain != kDomainGtt && domain != kDomainVram)) return fail(EINVAL);
  const uint64_t size = (in.in.size + kFakePage - 1) / kFakePage * kFakePage;
  if (domain == kDomainVram && vram_used_ + size > options_.vram_bytes) return fail(ENOMEM);
  const uint64_t flags = in.in.flags;
  if ((flags & ~kGemKnown) != 0) return fail(EINVAL);
  Buffer* buffer = new_buffer(size);
  if (buffer == nullptr) return fail(ENOMEM);
  buffer->is_always_valid = (flags & kGemAlwaysValid) != 0;
  buffer->is_by_handle = true;
  buffer->flags = domain == kDomainGtt ? kMemGtt : kMemVram;
  if ((flags & kGemNoCpu) == 0 && options_.has_large_bar) buffer->flags |= kMemPublic;
  if (domain == kDomainVram) vram_used_ += size;
  in = {};
  in.handle = uint32_t(buffer->handle);
  return 0;
}

int FakeKfd::gem_va(const DrmGemVa& in) {
  Buffer* buffer = find_buffer(uint64_t{kGpuId} << 32 | in.handle);
  if (buffer == nullptr || in.pad != 0 || (in.flags & ~kVaKnown) != 0) return fail(EINVAL);
  if (in.va < kVaFirst || in.va + in.size > kVaMax || in.va % kFakePage != 0 ||
      in.size % kFakePage != 0) {
    return fail(EINVAL);
  }
  if (in.offset != 0 || in.size != buffer->size) return fail(EINVAL);  // whole buffers only
  if (in.operation == kVaUnmap) {
    if (!buffer->is_mapped || buffer->va != in.va) return fail(EINVAL);
    memory_.unmap(in.va);
    buffer->is_mapped = false;
    return 0;
  }
  if (in.operation != kVaMap || buffer->is_mapped) return fail(EINVAL);
  uint8_t access = 0;
  if ((in.flags & kVaRead) != 0) access |= kRead;
  if ((in.flags & kVaWrite) != 0) access |= kWrite;
  if ((in.flags & kVaExecute) != 0) access |= kRun;
  return map_to_gpu(*buffer, in.va, access) ? 0 : fail(EINVAL);
}

int FakeKfd::context(DrmContext& in) {
  const uint32_t operation = in.in.operation, id = in.in.context;
  if (operation == kContextAlloc) {
    if (in.in.priority > 0) return fail(EACCES);  // asks for a right that tests lack
    drm_contexts_[next_context_] = {};
    in = {};
    in.context = next_context_++;
    return 0;
  }
  if (!drm_contexts_.contains(id)) return fail(EINVAL);
  if (operation == kContextFree) {
    drm_contexts_.erase(id);
    return 0;
  }
  if (operation != kContextQuery2) return fail(EINVAL);
  in = {};
  in.state.flags = was_reset_ ? kStateReset | kStateVramLost : 0;
  if (drm_contexts_[id].is_guilty) in.state.flags |= kStateReset | kStateGuilty;
  return 0;
}

int FakeKfd::check_list(const DrmChunk& chunk, DrmJob& job) {
  DrmBufferList list;
  std::memcpy(&list, reinterpret_cast<const void*>(chunk.data), sizeof list);
  if (list.operation != 0 || list.entry_size != 8) return EINVAL;
  for (uint32_t k = 0; k < list.count; ++k) {
    uint32_t handle;
    std::memcpy(&handle, reinterpret_cast<const void*>(list.entries + 8 * k), 4);
    if (find_buffer(uint64_t{kGpuId} << 32 | handle) == nullptr) return ENOENT;
    job.listed.push_back(uint64_t{kGpuId} << 32 | handle);
  }
  return 0;
}

int FakeKfd::submit(DrmSubmit& in) {
  const uint32_t context_id = in.in.context;
  if (!drm_contexts_.contains(context_id) || in.in.chunk_count == 0 || in.in.flags != 0) {
    return fail(EINVAL);
  }
  if (was_reset_ || drm_contexts_[context_id].is_guilty) return fail(ECANCELED);
  const auto* chunks = reinterpret_cast<const uint64_t*>(in.in.chunks);
  auto job = std::make_unique<DrmJob>();
  for (uint32_t k = 0; k < in.in.chunk_count; ++k) {
    DrmChunk chunk;
    std::memcpy(&chunk, reinterpret_cast<const void*>(chunks[k]), sizeof(chunk));
    if (chunk.id == kChunkBuffers && chunk.length_dw == sizeof(DrmBufferList) / 4) {
      if (const int error = check_list(chunk, *job); error != 0) return fail(error);
      continue;
    }
    if (chunk.id != kChunkIb || chunk.length_dw != sizeof(DrmIb) / 4) return fail(EINVAL);
    DrmIb ib;
    std::memcpy(&ib, reinterpret_cast<const void*>(chunk.data), sizeof(ib));
    if (ib.ip_type != kIpCompute || ib.va % kIbAlignment != 0 || ib.bytes % kIbAlignment != 0 ||
        ib.bytes == 0 || ib.pad != 0) {
      return fail(EINVAL);
    }
    job->buffers.push_back(ib);
  }
  if (job->buffers.empty()) return fail(EINVAL);
  job->context = context_id;
  job->sequence = in.sequence = ++drm_contexts_[context_id].submitted;
  drm_jobs_.push_back(std::move(job));
  if (!is_polling_ && !hung_) (void)run_jobs();  // nobody else will
  return 0;
}

Result<void> FakeKfd::run_job(const DrmJob& job) {
  for (const auto& [handle, buffer] : buffers_) {
    if (!buffer->is_by_handle || !buffer->is_mapped || buffer->is_always_valid) continue;
    if (std::ranges::find(job.listed, handle) == job.listed.end()) {
      return Error(
          ErrorKind::device_lost,
          fmt::format("Buffer 0x{:x} is mapped, and the submit does not name it.", handle));
    }
  }
  if (drm_processor_ == nullptr) {
    drm_processor_ = std::make_unique<PacketProcessor>(memory_, processor_options(true));
  }
  drm_processor_->begin_submission();
  for (const DrmIb& ib : job.buffers) {
    if (memory_.at(ib.va, ib.bytes, kRead | kRun) == nullptr) {
      return Error(ErrorKind::device_lost, "The indirect buffer is not executable.");
    }
    TRY(drm_processor_->run_buffer(ib.va, ib.bytes / 4, &ib == &job.buffers.back()));
  }
  return {};
}

/// A job that faults ends its context, and its fence is never written.
bool FakeKfd::run_jobs() {
  const bool ran = !drm_jobs_.empty();
  for (const auto& job : std::exchange(drm_jobs_, {})) {
    const auto found = drm_contexts_.find(job->context);
    if (found == drm_contexts_.end() || found->second.is_guilty) continue;
    const Result<void> done = run_job(*job);
    if (done) {
      found->second.done = job->sequence;
      continue;
    }
    found->second.is_guilty = true;
    drm_processor_.reset();
    memory_.forget_touches();
    faults_.push_back(done.error().message());
    if (faults_.back().find("unmapped") != std::string::npos) drm_fault_ = {0, kFaultStatus, 0};
  }
  return ran;
}

int FakeKfd::wait_submit(DrmWaitSubmit& in) {
  const auto found = drm_contexts_.find(in.in.context);
  if (found == drm_contexts_.end() || in.in.sequence > found->second.submitted) return fail(EINVAL);
  if (found->second.is_guilty) return fail(ECANCELED);
  const bool is_done = in.in.sequence <= found->second.done;
  in = {};
  in.status = is_done ? 0 : 1;
  return 0;
}

int FakeKfd::drm_call(Fd& fd, uint32_t request, void* argument) {
  (void)fd;
  switch (request) {
    case kDrmGemCreate: return gem_create(*static_cast<DrmGemCreate*>(argument));
    case kDrmGemMmap: {
      auto& in = *static_cast<DrmGemMmap*>(argument);
      const Buffer* buffer = find_buffer(uint64_t{kGpuId} << 32 | in.handle);
      if (buffer == nullptr) return fail(ENOENT);
      in.offset = buffer->mmap_offset;
      return 0;
    }
    case kDrmGemVa: return gem_va(*static_cast<const DrmGemVa*>(argument));
    case kDrmGemClose: {
      uint32_t handle;
      std::memcpy(&handle, argument, 4);
      return free_memory(uint64_t{kGpuId} << 32 | handle);
    }
    case kDrmContext: return context(*static_cast<DrmContext*>(argument));
    case kDrmSubmit: return submit(*static_cast<DrmSubmit*>(argument));
    case kDrmWaitSubmit: return wait_submit(*static_cast<DrmWaitSubmit*>(argument));
    case kDrmVersion: return drm_version(*static_cast<DrmVersion*>(argument));
    case kDrmInfo: return drm_info(*static_cast<const DrmInfo*>(argument));
    case kDrmFdToHandle: return fd_to_handle(*static_cast<DrmFdToHandle*>(argument));
    case kDrmGemUserptr: return gem_userptr(*static_cast<DrmUserptr*>(argument));
    default: return fail(EINVAL);
  }
}

}  // namespace leat::amd_card
