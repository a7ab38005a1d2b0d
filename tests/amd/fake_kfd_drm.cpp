// The render node's side: buffers by handle, virtual addresses, contexts, and command submission
// with indirect buffers for the compute ring. amdgpu_gem.c, amdgpu_ctx.c, amdgpu_cs.c.
#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "tests/amd/fake_kfd_state.h"

namespace leat::amd_card {

namespace {

constexpr uint64_t kDomainGtt = 2, kDomainVram = 4;
constexpr uint64_t kGemNoCpu = 1 << 1;
constexpr uint32_t kVaMap = 1, kVaUnmap = 2;
constexpr uint32_t kVaRead = 1 << 1, kVaWrite = 1 << 2, kVaExecute = 1 << 3;
constexpr uint32_t kVaKnown = kVaRead | kVaWrite | kVaExecute | 0xf << 5;
constexpr uint32_t kContextAlloc = 1, kContextFree = 2, kContextQuery2 = 4;
constexpr uint32_t kChunkIb = 1, kChunkBuffers = 6;
constexpr uint32_t kIpCompute = 1, kIbAlignment = 32;
constexpr uint64_t kStateReset = 1, kStateVramLost = 2;
constexpr uint64_t kVaReserved = 65536;

}  // namespace

int FakeKfd::gem_create(DrmGemCreate& in) {
  const uint64_t domain = in.in.domains;
  if (in.in.size == 0 || (domain != kDomainGtt && domain != kDomainVram)) return fail(EINVAL);
  const uint64_t size = (in.in.size + kFakePage - 1) / kFakePage * kFakePage;
  if (domain == kDomainVram && vram_used_ + size > options_.vram_bytes) return fail(ENOMEM);
  const uint64_t flags = in.in.flags;
  Buffer* buffer = new_buffer(size);
  if (buffer == nullptr) return fail(ENOMEM);
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
  if (in.va < kVaReserved || in.va % kFakePage != 0 || in.size % kFakePage != 0) {
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
    drm_contexts_[next_context_] = 0;
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
  return 0;
}

int FakeKfd::submit(DrmSubmit& in) {
  const uint32_t context_id = in.in.context;
  if (!drm_contexts_.contains(context_id) || in.in.chunk_count == 0 || in.in.flags != 0) {
    return fail(EINVAL);
  }
  if (was_reset_) return fail(ECANCELED);
  if (drm_processor_ == nullptr) {
    drm_processor_ = std::make_unique<PacketProcessor>(memory_, processor_options(true));
  }
  const auto* chunks = reinterpret_cast<const uint64_t*>(in.in.chunks);
  std::vector<DrmIb> buffers;
  for (uint32_t k = 0; k < in.in.chunk_count; ++k) {
    DrmChunk chunk;
    std::memcpy(&chunk, reinterpret_cast<const void*>(chunks[k]), sizeof(chunk));
    if (chunk.id == kChunkBuffers && chunk.length_dw == 6) continue;
    if (chunk.id != kChunkIb || chunk.length_dw != sizeof(DrmIb) / 4) return fail(EINVAL);
    DrmIb ib;
    std::memcpy(&ib, reinterpret_cast<const void*>(chunk.data), sizeof(ib));
    if (ib.ip_type != kIpCompute || ib.va % kIbAlignment != 0 || ib.bytes % kIbAlignment != 0 ||
        ib.bytes == 0 || ib.pad != 0) {
      return fail(EINVAL);
    }
    buffers.push_back(ib);
  }
  if (buffers.empty()) return fail(EINVAL);
  drm_processor_->begin_submission();
  for (const DrmIb& ib : buffers) {
    const bool is_mapped = memory_.at(ib.va, ib.bytes, kRead | kRun) != nullptr;
    const Result<void> done =
        !is_mapped
            ? Result<void>(Error(ErrorKind::device_lost, "The indirect buffer is not executable."))
            : drm_processor_->run_buffer(ib.va, ib.bytes / 4);
    if (!done) faults_.push_back(done.error().message());
  }
  in.sequence = ++drm_contexts_[context_id];
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
    case kDrmWaitSubmit: {
      auto& in = *static_cast<DrmWaitSubmit*>(argument);
      const auto found = drm_contexts_.find(in.in.context);
      if (found == drm_contexts_.end() || in.in.sequence > found->second) return fail(EINVAL);
      in = {};
      return 0;
    }
    default: return fail(EINVAL);
  }
}

}  // namespace leat::amd_card
