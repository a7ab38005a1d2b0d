// Numbers and structures of the amdgpu kernel driver's render node: memory by handle, virtual
// addresses, contexts, submission of indirect buffers.
// Source: Linux include/uapi/drm/amdgpu_drm.h and drm.h, whose names stand beside ours.
#pragma once

#include <cstddef>
#include <cstdint>

namespace leat::drm {

inline constexpr uint32_t kVersion = 0xc0406400;     // DRM_IOCTL_VERSION
inline constexpr uint32_t kGemClose = 0x40086409;    // DRM_IOCTL_GEM_CLOSE
inline constexpr uint32_t kFdToHandle = 0xc00c642e;  // DRM_IOCTL_PRIME_FD_TO_HANDLE
inline constexpr uint32_t kGemCreate = 0xc0206440;   // DRM_IOCTL_AMDGPU_GEM_CREATE
inline constexpr uint32_t kGemMmap = 0xc0086441;     // DRM_IOCTL_AMDGPU_GEM_MMAP
inline constexpr uint32_t kContext = 0xc0106442;     // DRM_IOCTL_AMDGPU_CTX
inline constexpr uint32_t kSubmit = 0xc0186444;      // DRM_IOCTL_AMDGPU_CS
inline constexpr uint32_t kInfo = 0x40206445;        // DRM_IOCTL_AMDGPU_INFO
inline constexpr uint32_t kGemVa = 0x40286448;       // DRM_IOCTL_AMDGPU_GEM_VA
inline constexpr uint32_t kWaitSubmit = 0xc0206449;  // DRM_IOCTL_AMDGPU_WAIT_CS
inline constexpr uint32_t kGemUserptr = 0xc0186451;  // DRM_IOCTL_AMDGPU_GEM_USERPTR

struct Version {
  int32_t major, minor, patch, pad;
  uint64_t name_bytes, name, date_bytes, date, text_bytes, text;
};
struct GemClose {
  uint32_t handle, pad;
};
struct FdToHandle {
  uint32_t handle, flags;
  int32_t fd;
};
union GemCreate {
  struct {
    uint64_t size_bytes, alignment, domains, flags;
  } in;
  uint32_t handle;
};
union GemMmap {
  uint32_t handle;
  uint64_t offset;
};
struct GemUserptr {
  uint64_t address, size_bytes;
  uint32_t flags, handle;
};
struct GemVa {
  uint32_t handle, pad, operation, flags;
  uint64_t address, offset, size_bytes;
};
union Context {
  struct {
    uint32_t operation, flags, context;
    int32_t priority;
  } in;
  uint32_t context;
  struct {
    uint64_t flags;
    uint32_t hangs, status;
  } state;
};
union Submit {
  struct {
    uint32_t context, list, chunk_count, flags;
    uint64_t chunks;  // the address of their addresses
  } in;
  uint64_t sequence;
};
struct Chunk {
  uint32_t id, dwords;
  uint64_t data;
};
struct IndirectBuffer {
  uint32_t pad, flags;
  uint64_t address;
  uint32_t size_bytes, engine, instance, ring;
};
struct BufferList {
  uint32_t operation, list, count, entry_bytes;
  uint64_t entries;
};
struct BufferEntry {
  uint32_t handle, priority;
};
union WaitSubmit {
  struct {
    uint64_t sequence, deadline_ns;  // of CLOCK_MONOTONIC
    uint32_t engine, instance, ring, context;
  } in;
  uint64_t status;
};
struct Info {
  uint64_t answer;  // its address
  uint32_t answer_bytes, query, arguments[4];
};
/// The first part of struct drm_amdgpu_info_device.
struct DeviceAnswer {
  uint32_t device_id, chip_revision, external_revision, pci_revision, family, shader_engines,
      arrays_per_engine, counter_khz;
  uint64_t engine_clock_khz_max, memory_clock_khz_max;
  uint32_t compute_units, always_on_mask, compute_unit_masks[4][4], backends_mask, backends,
      contexts, pcie_generation;
  uint64_t ids_flags, address_first, address_max;
  uint32_t address_alignment, pad;
};
struct FaultAnswer {
  uint64_t address;
  uint32_t status, hub;
};
static_assert(sizeof(Version) == 64 && sizeof(GemCreate) == 32 && sizeof(GemVa) == 40);
static_assert(sizeof(FdToHandle) == 12 && sizeof(GemUserptr) == 24 && sizeof(Context) == 16 &&
              sizeof(Submit) == 24);
static_assert(sizeof(IndirectBuffer) == 32 && sizeof(BufferList) == 24 && sizeof(WaitSubmit) == 32);
static_assert(sizeof(Info) == 32 && offsetof(DeviceAnswer, address_first) == 144);

inline constexpr uint64_t kGtt = 2, kVram = 4;                            // AMDGPU_GEM_DOMAIN_*
inline constexpr uint64_t kNoHostAccess = 1 << 1, kAlwaysValid = 1 << 6;  // AMDGPU_GEM_CREATE_*
inline constexpr uint32_t kUserptrFlags = 2 | 4 | 8;  // ..._ANONONLY, _VALIDATE, _REGISTER
inline constexpr uint32_t kVaMap = 1, kVaUnmap = 2;   // AMDGPU_VA_OP_*
inline constexpr uint32_t kVaRead = 2, kVaWrite = 4, kVaExecute = 8;  // AMDGPU_VM_PAGE_*
inline constexpr uint32_t kContextAlloc = 1, kContextFree = 2, kContextQuery2 = 4;
inline constexpr uint64_t kStateReset = 1, kStateGuilty = 4;      // AMDGPU_CTX_QUERY2_FLAGS_*
inline constexpr uint32_t kChunkBuffer = 1, kChunkList = 6;       // AMDGPU_CHUNK_ID_IB, _BO_HANDLES
inline constexpr uint32_t kEngineCompute = 1;                     // AMDGPU_HW_IP_COMPUTE
inline constexpr uint32_t kInfoDevice = 0x16, kInfoFault = 0x23;  // AMDGPU_INFO_*
inline constexpr int32_t kMajor = 3, kMinorOfFault = 55;          // from which it knows kInfoFault
/// In dwords: HW_IP_INFO's ib_start_alignment and ib_size_alignment of compute, amdgpu_kms.c.
inline constexpr uint32_t kBufferAlignment = 8;

}  // namespace leat::drm
