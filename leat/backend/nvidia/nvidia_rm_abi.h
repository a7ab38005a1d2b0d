// The kernel driver's interface: request numbers, structs, classes and controls that the direct
// route uses, in the layout of driver branch 580. Where branches differ the difference stands in
// nvidia_branch.h.
// Source: NVIDIA/open-gpu-kernel-modules 580.126.09: nv_escape.h, nv-ioctl.h, nvos.h,
// sdk/nvidia/inc/class/*.h, sdk/nvidia/inc/ctrl/**. Sizes were computed by compiling those headers.
#pragma once

#include <cstdint>

namespace leat::rm {

// --- Escapes: request = 3<<30 | size<<16 | 'F'<<8 | number (nv-ioctl-numbers.h)
// -------------------

inline constexpr uint32_t kCardInfo = 0xC8;
inline constexpr uint32_t kRegisterFd = 0xC9;
inline constexpr uint32_t kCheckVersionStr = 0xD2;
inline constexpr uint32_t kAllocMemory = 0x27;
inline constexpr uint32_t kFree = 0x29;
inline constexpr uint32_t kControl = 0x2A;
inline constexpr uint32_t kAlloc = 0x2B;
inline constexpr uint32_t kMapMemory = 0x4E;
inline constexpr uint32_t kMapMemoryDma = 0x57;

constexpr unsigned long request_of(uint32_t number, size_t size_bytes) {
  return 3ul << 30 | static_cast<unsigned long>(size_bytes) << 16 | 0x46ul << 8 | number;
}

inline constexpr uint32_t kCardsMax = 32;
struct CardInfo {  // nv_ioctl_card_info_t
  uint8_t valid;
  uint8_t pad0[3];
  uint32_t pci_domain;
  uint8_t pci_bus, pci_slot, pci_function, pad1;
  uint16_t vendor_id, device_id;
  uint32_t gpu_id;
  uint16_t interrupt_line, pad2;
  uint64_t reg_address, reg_size, fb_address, fb_size;
  uint32_t minor_number;
  uint8_t dev_name[10];
  uint8_t pad3[2];
};
static_assert(sizeof(CardInfo) == 72);

struct VersionString {  // nv_ioctl_rm_api_version_t
  uint32_t cmd;         // '2' asks; any other value compares, and may write to the kernel's log
  uint32_t reply;
  char text[64];
};
static_assert(sizeof(VersionString) == 72);

struct FreeParams {  // NVOS00
  uint32_t client, parent, object, status;
};
static_assert(sizeof(FreeParams) == 16);

struct AllocParams {  // NVOS64
  uint32_t client, parent, object, object_class;
  uint64_t params, rights;
  uint32_t params_size, flags, status, pad;
};
static_assert(sizeof(AllocParams) == 48);

struct ControlParams {  // NVOS54
  uint32_t client, object, cmd, flags;
  uint64_t params;
  uint32_t params_size, status;
};
static_assert(sizeof(ControlParams) == 32);

struct AllocMemoryParams {  // nv_ioctl_nvos02_parameters_with_fd
  uint32_t client, parent, object, object_class, flags, pad0;
  uint64_t memory, limit;
  uint32_t status, pad1;
  int32_t fd;
  uint32_t pad2;
};
static_assert(sizeof(AllocMemoryParams) == 56);

struct MapMemoryParams {  // nv_ioctl_nvos33_parameters_with_fd
  uint32_t client, device, memory, pad0;
  uint64_t offset, length, linear_address;
  uint32_t status, flags;
  int32_t fd;
  uint32_t pad1;
};
static_assert(sizeof(MapMemoryParams) == 56);

struct MapDmaParams {  // NVOS46, 580 and later
  uint32_t client, device, dma, memory;
  uint64_t offset, length;
  uint32_t flags, flags2, kind_override, pad0;
  uint64_t dma_offset;
  uint32_t status, pad1;
};
static_assert(sizeof(MapDmaParams) == 64);

struct MapDmaParamsBefore580 {  // NVOS46 up to 575
  uint32_t client, device, dma, memory;
  uint64_t offset, length;
  uint32_t flags, pad0;
  uint64_t dma_offset;
  uint32_t status, pad1;
};
static_assert(sizeof(MapDmaParamsBefore580) == 56);

// --- Classes (sdk/nvidia/inc/class) and their allocation parameters -----------------------------

inline constexpr uint32_t kRootClient = 0x41;          // NV01_ROOT_CLIENT
inline constexpr uint32_t kDevice = 0x80;              // NV01_DEVICE_0
inline constexpr uint32_t kSubdevice = 0x2080;         // NV20_SUBDEVICE_0
inline constexpr uint32_t kVaSpace = 0x90F1;           // FERMI_VASPACE_A
inline constexpr uint32_t kMemorySystem = 0x3E;        // NV01_MEMORY_SYSTEM
inline constexpr uint32_t kMemoryLocalUser = 0x40;     // NV01_MEMORY_LOCAL_USER
inline constexpr uint32_t kMemoryVirtual = 0x50A0;     // NV50_MEMORY_VIRTUAL
inline constexpr uint32_t kMemoryOsDescriptor = 0x71;  // NV01_MEMORY_SYSTEM_OS_DESCRIPTOR
inline constexpr uint32_t kChannelGroup = 0xA06C;      // KEPLER_CHANNEL_GROUP_A
inline constexpr uint32_t kContextShare = 0x9067;      // FERMI_CONTEXT_SHARE_A

struct DeviceParams {  // NV0080_ALLOC_PARAMETERS
  uint32_t device_id, client_share, target_client, target_device, flags, pad;
  uint64_t va_space_size, va_start_internal, va_limit_internal;
  uint32_t va_mode, pad1;
};
static_assert(sizeof(DeviceParams) == 56);

struct SubdeviceParams {  // NV2080_ALLOC_PARAMETERS
  uint32_t subdevice_id;
};

struct ChannelGroupParams {  // NV_CHANNEL_GROUP_ALLOCATION_PARAMETERS
  uint32_t error_memory, ecc_error_memory, va_space, engine_type;
  uint8_t is_vgpu_plugin, pad[3];
};
static_assert(sizeof(ChannelGroupParams) == 20);

struct ContextShareParams {  // NV_CTXSHARE_ALLOCATION_PARAMETERS
  uint32_t va_space, flags, subctx_id;
};
inline constexpr uint32_t kContextShareAsync = 1;  // NV_CTXSHARE_ALLOCATION_FLAGS_SUBCONTEXT_ASYNC

struct MemoryDesc {  // NV_MEMORY_DESC_PARAMS
  uint64_t base, size;
  uint32_t address_space, cache_attrib;
};

struct ChannelParams {  // NV_CHANNEL_ALLOC_PARAMS
  uint32_t error_memory, buffer;
  uint64_t gpfifo_offset;
  uint32_t gpfifo_entries, flags, context_share, va_space;
  uint32_t userd_memory[8];
  uint64_t userd_offset[8];
  uint32_t engine_type, cid, subdevice_id, ecc_error_memory;
  MemoryDesc instance, userd, ramfc, method_buffer;
  uint32_t physical_channel_group, internal_flags;
  MemoryDesc error_notifier, ecc_error_notifier;
  uint32_t process_id, subprocess_id;
  uint32_t encrypt_iv[3], decrypt_iv[3], hmac_nonce[8], tpc_config_id, pad;
};
static_assert(sizeof(ChannelParams) == 368);
/// NVOS04 flags: DENY_PHYSICAL_MODE_CE (7) and DENY_AUTH_LEVEL_PRIV (22). Without them a channel of
/// root would be a privileged one.
inline constexpr uint32_t kChannelUnprivileged = 0x400080;

struct ComputeParams {  // NV_GR_ALLOCATION_PARAMETERS
  uint32_t version, flags, size, caps;
};
struct CopyParams {  // NVB0B5_ALLOCATION_PARAMETERS; version 1: engine_type is an NV2080 one
  uint32_t version, engine_type;
};
struct UsermodeParams {  // NV_HOPPER_USERMODE_A_PARAMS
  uint8_t bar1_mapping, priv;
};

struct MemoryParams {  // NV_MEMORY_ALLOCATION_PARAMS
  uint32_t owner, type, flags, width, height;
  int32_t pitch;
  uint32_t attr, attr2, format, compr_covg, zcull_covg, pad0;
  uint64_t range_lo, range_hi, size, alignment, offset, limit, address;
  uint32_t ctag_offset, va_space, internal_flags, tag;
  int32_t numa_node;
  uint32_t pad1;
};
static_assert(sizeof(MemoryParams) == 128);

// NVOS32_ATTR, NVOS32_ATTR2, NVOS32_ALLOC_FLAGS, NVOS32_TYPE (nvos.h).
inline constexpr uint32_t kAttrPageHuge = 3u << 23;
inline constexpr uint32_t kAttrLocationPci = 1u << 25;
inline constexpr uint32_t kAttrNoncontiguous = 1u << 27;
inline constexpr uint32_t kAttrAllowNoncontiguous = 3u << 27;
inline constexpr uint32_t kAttrCached = 1u << 29;
inline constexpr uint32_t kAttr2GpuCacheableNo = 2u << 2;
inline constexpr uint32_t kAttr2PageHuge2M = 1u << 20;
inline constexpr uint32_t kMemIgnoreBank = 0x1;
inline constexpr uint32_t kMemAlignmentForce = 0x100;
inline constexpr uint32_t kMemHandleProvided = 0x4000;
inline constexpr uint32_t kMemMapNotRequired = 0x8000;
inline constexpr uint32_t kMemPersistentVidmem = 0x10000;
inline constexpr uint32_t kMemVirtual = 0x80000;
inline constexpr uint32_t kTypeNotifier = 13;
/// NVOS02 flags: noncontiguous, cached, no mapping.
inline constexpr uint32_t kOsDescriptorFlags = 0x40001010;

struct NvNotification {  // nvgputypes.h; the time's high word comes first
  uint32_t nanoseconds[2];
  uint32_t info32;
  uint16_t info16;
  uint16_t status;  // 0xFFFF once written
};
static_assert(sizeof(NvNotification) == 16);

// --- Controls (sdk/nvidia/inc/ctrl) -------------------------------------------------------------

inline constexpr uint32_t kGetIdInfo = 0x205;           // NV0000 GPU_GET_ID_INFO_V2, client
inline constexpr uint32_t kGetClassList = 0x800201;     // NV0080 GPU_GET_CLASSLIST, device
inline constexpr uint32_t kGetNameString = 0x20800110;  // NV2080, subdevice, as the rest
inline constexpr uint32_t kGetGidInfo = 0x2080014A;
inline constexpr uint32_t kGrGetInfo = 0x20801201;
inline constexpr uint32_t kFbGetInfo = 0x20801303;
inline constexpr uint32_t kCeGetAllCaps = 0x20802A0A;
inline constexpr uint32_t kGroupSchedule = 0xA06C0101;  // NVA06C GPFIFO_SCHEDULE, channel group
inline constexpr uint32_t kGetWorkSubmitToken = 0xC36F0108;  // channel
// To end what a channel runs; ctrla06fgpfifo.h, ctrl906f.h, ctrla06c.h, ctrl2080fifo.h.
inline constexpr uint32_t kStopChannel = 0xA06F0112;      // NVA06F STOP_CHANNEL, channel
inline constexpr uint32_t kResetChannel = 0x906F0102;     // NV906F RESET_CHANNEL, channel
inline constexpr uint32_t kGroupPreempt = 0xA06C0105;     // NVA06C PREEMPT, channel group
inline constexpr uint32_t kDisableChannels = 0x2080110B;  // NV2080 FIFO_DISABLE_CHANNELS

struct IdInfo {  // NV0000_CTRL_GPU_GET_ID_INFO_V2_PARAMS
  uint32_t gpu_id, gpu_flags, device_instance, subdevice_instance, sli_status, board_id,
      gpu_instance;
  int32_t numa_id;
};
static_assert(sizeof(IdInfo) == 32);

struct ClassList {  // NV0080_CTRL_GPU_GET_CLASSLIST_PARAMS
  uint32_t count, pad;
  uint64_t list;
};
static_assert(sizeof(ClassList) == 16);

struct GidInfo {  // NV2080_CTRL_GPU_GET_GID_INFO_PARAMS; flags 2: binary
  uint32_t index, flags, length;
  uint8_t data[256];
};
static_assert(sizeof(GidInfo) == 268);

struct InfoEntry {  // NV2080_CTRL_GR_INFO, NV2080_CTRL_FB_INFO
  uint32_t index, data;
};
struct GrInfo {  // NV2080_CTRL_GR_GET_INFO_PARAMS
  uint32_t count, pad0;
  uint64_t list;
  uint32_t route_flags, pad1;
  uint64_t route;
};
static_assert(sizeof(GrInfo) == 32);
// NV2080_CTRL_GR_INFO_INDEX_*
inline constexpr uint32_t kGrSmCount = 0x8;  // THREAD_STACK_SCALING_FACTOR; 132 on an H200
inline constexpr uint32_t kGrSmVersion = 0xC;
inline constexpr uint32_t kGrWarpsPerSm = 0xD;
inline constexpr uint32_t kGrLitterGpcs = 0x14;
inline constexpr uint32_t kGrLitterTpcsPerGpc = 0x17;
inline constexpr uint32_t kGrLitterSmsPerTpc = 0x20;

struct FbInfo {  // NV2080_CTRL_FB_GET_INFO_V2_PARAMS; the list's length differs by branch
  uint32_t count;
  InfoEntry list[128];
};
static_assert(sizeof(FbInfo) == 1028);
// NV2080_CTRL_FB_INFO_INDEX_*
inline constexpr uint32_t kFbBar1Kib = 0x5;
inline constexpr uint32_t kFbRamKib = 0x7;
inline constexpr uint32_t kFbL2Bytes = 0x1B;

struct CopyEngineCaps {  // NV2080_CTRL_CE_GET_ALL_CAPS_PARAMS; byte 0 bit 0: on the graphics
                         // runlist
  uint8_t caps[64][2];
  uint64_t present;
};
static_assert(sizeof(CopyEngineCaps) == 136);

struct StopChannel {  // NVA06F_CTRL_STOP_CHANNEL_PARAMS
  uint8_t immediate;  // not waiting for the channel to fall idle
};
static_assert(sizeof(StopChannel) == 1);

struct ResetChannel {  // NV906F_CTRL_CMD_RESET_CHANNEL_PARAMS, since 550
  uint32_t engine_type, subdevice_instance, reason;
  uint8_t is_rc_pending, pad[3];
};
static_assert(sizeof(ResetChannel) == 16);

struct GroupPreempt {  // NVA06C_CTRL_PREEMPT_PARAMS
  uint8_t wait, manual_timeout, pad[2];
  uint32_t timeout_us;
};
static_assert(sizeof(GroupPreempt) == 8);

struct DisableChannels {  // NV2080_CTRL_FIFO_DISABLE_CHANNELS_PARAMS
  uint8_t disable, pad0[3];
  uint32_t count;
  uint8_t only_scheduling, rewind_gp_put, pad1[6];
  uint64_t preempt_event;
  uint32_t clients[64], channels[64];
};
static_assert(sizeof(DisableChannels) == 536);

inline constexpr uint32_t kEngineGraphics = 1;  // NV2080_ENGINE_TYPE_GRAPHICS
/// NV2080_ENGINE_TYPE_COPY(i); from the tenth on in a second range.
constexpr uint32_t engine_type_of_copy(uint32_t index) {
  return index < 10 ? 9 + index : 0x34 + index - 10;
}

}  // namespace leat::rm
