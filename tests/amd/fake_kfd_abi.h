// Structures and numbers of the KFD and amdgpu DRM interfaces as the fake kernel driver reads them.
// Source: Linux include/uapi/linux/kfd_ioctl.h and include/uapi/drm/amdgpu_drm.h. Written apart
// from the backend's, so that a wrong offset on either side shows.
#pragma once

#include <cstdint>

namespace leat::amd_card {

inline constexpr uint32_t kKfdGetVersion = 0x80084b01, kKfdCreateQueue = 0xc0604b02,
                          kKfdCreateQueueOld = 0xc0584b02, kKfdDestroyQueue = 0xc0084b03,
                          kKfdUpdateQueue = 0x40184b07, kKfdCreateEvent = 0xc0204b08,
                          kKfdDestroyEvent = 0x40084b09, kKfdSetEvent = 0x40084b0a,
                          kKfdResetEvent = 0x40084b0b, kKfdWaitEvents = 0xc0184b0c,
                          kKfdGetApertures = 0xc0104b14, kKfdAcquireVm = 0x40084b15,
                          kKfdAllocMemory = 0xc0284b16, kKfdFreeMemory = 0x40084b17,
                          kKfdMapMemory = 0xc0184b18, kKfdUnmapMemory = 0xc0184b19,
                          kKfdImportDmaBuf = 0xc0184b1d, kKfdAvailableMemory = 0xc0104b23,
                          kKfdRuntimeEnable = 0xc0104b25;

struct KfdVersion {
  uint32_t major, minor;
};
struct KfdAcquireVm {
  uint32_t drm_fd, gpu_id;
};
struct KfdAllocMemory {
  uint64_t va, size, handle, mmap_offset;
  uint32_t gpu_id, flags;
};
struct KfdMapMemory {
  uint64_t handle, device_ids;
  uint32_t device_count, success_count;
};
struct DrmFdToHandle {
  uint32_t handle, flags;
  int32_t fd;
};
struct KfdImportDmaBuf {
  uint64_t va, handle;
  uint32_t gpu_id, dmabuf_fd;
};
struct KfdCreateQueue {
  uint64_t ring_va, write_pointer_va, read_pointer_va, doorbell_offset;
  uint32_t ring_size, gpu_id, type, percentage, priority, queue_id;
  uint64_t eop_va, eop_size, save_va;
  uint32_t save_size, control_stack_size, sdma_engine, pad;
};
struct KfdQueueId {
  uint32_t queue_id, pad;
};
struct KfdCreateEvent {
  uint64_t page_handle;
  uint32_t trigger_data, type, auto_reset, node_id, event_id, slot_index;
};
struct KfdEventId {
  uint32_t event_id, pad;
};
struct KfdWaitEvents {
  uint64_t events;
  uint32_t count, wait_for_all, timeout_ms, result;
};
struct KfdMemoryFault {
  uint32_t not_present, read_only, no_execute, imprecise;
  uint64_t va;
  uint32_t gpu_id, error_type;
};
struct KfdResetData {
  uint32_t reset_type, reset_cause, memory_lost, gpu_id;
};
struct KfdEventData {
  union {
    KfdMemoryFault memory;
    KfdResetData reset;
    uint64_t last_event_age;
    uint8_t bytes[32];
  };
  uint64_t extension;
  uint32_t event_id, pad;
};
struct KfdRuntimeEnable {
  uint64_t debug;
  uint32_t mode, capabilities;
};
struct KfdAvailableMemory {
  uint64_t available;
  uint32_t gpu_id, pad;
};
static_assert(sizeof(KfdCreateQueue) == 96 && sizeof(KfdAllocMemory) == 40);
static_assert(sizeof(KfdMapMemory) == 24 && sizeof(KfdWaitEvents) == 24);
static_assert(sizeof(KfdEventData) == 48 && sizeof(KfdCreateEvent) == 32);

// Flags of KfdAllocMemory, bit numbers of KFD_IOC_ALLOC_MEM_FLAGS_*.
inline constexpr uint32_t kMemVram = 1 << 0, kMemGtt = 1 << 1, kMemUserptr = 1 << 2,
                          kMemContiguous = 1 << 23, kMemUncached = 1 << 25, kMemCoherent = 1 << 26,
                          kMemNoSubstitute = 1 << 28, kMemPublic = 1 << 29,
                          kMemExecutable = 1 << 30, kMemWritable = 1U << 31;

inline constexpr uint32_t kEventSignal = 0, kEventHwException = 3, kEventMemory = 8;
inline constexpr uint32_t kQueueCompute = 0, kQueueSdma = 1;
inline constexpr uint32_t kWaitDone = 0, kWaitTimeout = 1;

/// The save area's header, KFD's struct kfd_context_save_area_header.
struct KfdSaveHeader {
  uint32_t control_offset, control_size, wave_offset, wave_size, debug_offset, debug_size;
  uint64_t error_va;
  uint32_t error_event, reserved;
};
static_assert(sizeof(KfdSaveHeader) == 40);

inline constexpr uint32_t kDrmInfo = 0x40206445, kDrmContext = 0xc0106442, kDrmSubmit = 0xc0186444,
                          kDrmWaitSubmit = 0xc0206449, kDrmGemCreate = 0xc0206440,
                          kDrmGemMmap = 0xc0086441, kDrmGemVa = 0x40286448,
                          kDrmGemClose = 0x40086409, kDrmVersion = 0xc0406400,
                          kDrmGemUserptr = 0xc0186451, kDrmFdToHandle = 0xc00c642e;

struct DrmVersion {
  int32_t major, minor, patch, pad;
  uint64_t name_bytes, name, date_bytes, date, text_bytes, text;
};
struct DrmInfo {
  uint64_t answer;
  uint32_t answer_bytes, query, arguments[4];
};
/// struct drm_amdgpu_info_device, up to virtual_address_alignment.
struct DrmDevice {
  uint32_t ids[5], shader_engines, arrays_per_engine, counter_khz;
  uint64_t clocks[2];
  uint32_t compute_units, always_on, masks[16], backends[2], contexts, pcie;
  uint64_t flags, address_first, address_max;
  uint32_t address_alignment, pad;
};
static_assert(sizeof(DrmDevice) == 168);
struct DrmFault {
  uint64_t address;
  uint32_t status, hub;
};
struct DrmUserptr {
  uint64_t address, size;
  uint32_t flags, handle;
};
struct DrmBufferList {
  uint32_t operation, list, count, entry_size;
  uint64_t entries;
};

union DrmGemCreate {
  struct {
    uint64_t size, alignment, domains, flags;
  } in;
  uint32_t handle;
};
union DrmGemMmap {
  uint32_t handle;
  uint64_t offset;
};
struct DrmGemVa {
  uint32_t handle, pad, operation, flags;
  uint64_t va, offset, size;
};
union DrmContext {
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
union DrmSubmit {
  struct {
    uint32_t context, list, chunk_count, flags;
    uint64_t chunks;
  } in;
  uint64_t sequence;
};
struct DrmChunk {
  uint32_t id, length_dw;
  uint64_t data;
};
struct DrmIb {
  uint32_t pad, flags;
  uint64_t va;
  uint32_t bytes, ip_type, ip_instance, ring;
};
union DrmWaitSubmit {
  struct {
    uint64_t sequence, timeout_ns;
    uint32_t ip_type, ip_instance, ring, context;
  } in;
  uint64_t status;
};
static_assert(sizeof(DrmGemCreate) == 32 && sizeof(DrmGemVa) == 40 && sizeof(DrmIb) == 32);
static_assert(sizeof(DrmSubmit) == 24 && sizeof(DrmWaitSubmit) == 32 && sizeof(DrmContext) == 16);

}  // namespace leat::amd_card
