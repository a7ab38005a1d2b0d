// Numbers and structures of the compute interface of the amdgpu kernel driver (KFD).
// Source: Linux include/uapi/linux/kfd_ioctl.h, whose names stand beside ours; the save area's
// header and the types of doorbell offsets: drivers/gpu/drm/amd/amdkfd/kfd_priv.h, kfd_chardev.c.
#pragma once

#include <cstdint>

namespace leat::kfd {

inline constexpr uint32_t kGetVersion = 0x80084b01;    // AMDKFD_IOC_GET_VERSION
inline constexpr uint32_t kCreateQueue = 0xc0604b02;   // AMDKFD_IOC_CREATE_QUEUE
inline constexpr uint32_t kDestroyQueue = 0xc0084b03;  // AMDKFD_IOC_DESTROY_QUEUE
inline constexpr uint32_t kCreateEvent = 0xc0204b08;   // AMDKFD_IOC_CREATE_EVENT
inline constexpr uint32_t kDestroyEvent = 0x40084b09;  // AMDKFD_IOC_DESTROY_EVENT
inline constexpr uint32_t kResetEvent = 0x40084b0b;    // AMDKFD_IOC_RESET_EVENT
inline constexpr uint32_t kWaitEvents = 0xc0184b0c;    // AMDKFD_IOC_WAIT_EVENTS
inline constexpr uint32_t kAcquireVm = 0x40084b15;     // AMDKFD_IOC_ACQUIRE_VM
inline constexpr uint32_t kAllocMemory = 0xc0284b16;   // AMDKFD_IOC_ALLOC_MEMORY_OF_GPU
inline constexpr uint32_t kFreeMemory = 0x40084b17;    // AMDKFD_IOC_FREE_MEMORY_OF_GPU
inline constexpr uint32_t kMapMemory = 0xc0184b18;     // AMDKFD_IOC_MAP_MEMORY_TO_GPU
inline constexpr uint32_t kUnmapMemory = 0xc0184b19;   // AMDKFD_IOC_UNMAP_MEMORY_FROM_GPU
inline constexpr uint32_t kImportDmaBuf = 0xc0184b1d;  // AMDKFD_IOC_IMPORT_DMABUF

struct Version {
  uint32_t major, minor;
};
struct AcquireVm {
  uint32_t drm_fd, gpu_id;
};
struct AllocMemory {
  uint64_t address, size_bytes, handle, mmap_offset;
  uint32_t gpu_id, flags;
};
struct MapMemory {
  uint64_t handle, gpu_ids;
  uint32_t gpu_count, done_count;  // done_count stays from a call that was interrupted
};
struct ImportDmaBuf {
  uint64_t address, handle;
  uint32_t gpu_id, fd;
};
struct CreateQueue {
  uint64_t ring, write_pointer, read_pointer, doorbell_offset;
  uint32_t ring_bytes, gpu_id, type, percentage, priority, queue_id;
  uint64_t eop, eop_bytes, save_area;
  uint32_t save_bytes, control_stack_bytes, sdma_engine, metadata_bytes;
};
struct QueueId {
  uint32_t queue_id, pad;
};
struct CreateEvent {
  uint64_t page_handle;  // of the first call
  uint32_t trigger_data, type, auto_reset, node, event_id, slot;
};
struct EventId {
  uint32_t event_id, pad;
};
struct EventData {
  // A memory event's: page faults.
  uint32_t not_present, read_only, no_execute, imprecise;
  uint64_t address;
  uint32_t gpu_id, error_type;
  uint64_t extension;
  uint32_t event_id, pad;
};
struct WaitEvents {
  uint64_t events;
  uint32_t count, wait_for_all, timeout_ms, result;
};
static_assert(sizeof(AllocMemory) == 40 && sizeof(MapMemory) == 24 && sizeof(CreateQueue) == 96);
static_assert(sizeof(ImportDmaBuf) == 24);
static_assert(sizeof(CreateEvent) == 32 && sizeof(EventData) == 48 && sizeof(WaitEvents) == 24);

// KFD_IOC_ALLOC_MEM_FLAGS_*.
inline constexpr uint32_t kVram = 1u << 0, kGtt = 1u << 1, kUserptr = 1u << 2, kUncached = 1u << 25,
                          kCoherent = 1u << 26, kExecutable = 1u << 30, kWritable = 1u << 31;

inline constexpr uint32_t kQueueCompute = 0, kQueueSdma = 1;  // KFD_IOC_QUEUE_TYPE_*
inline constexpr uint32_t kPercentageMax = 100, kPriorityNormal = 7;
inline constexpr uint32_t kEventHwException = 3, kEventMemory = 8;  // KFD_IOC_EVENT_*
inline constexpr uint32_t kWaitComplete = 0;                        // KFD_IOC_WAIT_RESULT_COMPLETE
inline constexpr uint64_t kEventPageBytes = 32768;                  // KFD_SIGNAL_EVENT_LIMIT * 8
inline constexpr uint64_t kDoorbellBytes = 0x2000;                  // a process's slice, gfx9 on
inline constexpr uint64_t kEopBytes = 4096;                         // gfx8 on; kfd_queue.c
inline constexpr uint64_t kPageBytes = 4096;

/// In front of each region of a save area: struct kfd_context_save_area_header.
struct SaveAreaHeader {
  uint32_t control_offset, control_bytes, wave_offset, wave_bytes, debug_offset, debug_bytes;
  uint64_t error_word;  // our address of a u64 into which the kernel ORs what went wrong
  uint32_t error_event, reserved;
};
static_assert(sizeof(SaveAreaHeader) == 40);

}  // namespace leat::kfd
