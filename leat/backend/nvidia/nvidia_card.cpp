// Source: open-gpu-kernel-modules, ctrl0080gpu.h, ctrl2080gr.h, ctrl2080fb.h, ctrl2080ce.h; which
// class belongs to which chip: g_gpu_class_list.c; QMD versions: open-gpu-doc classes/compute.
#include "leat/backend/nvidia/nvidia_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "leat/route/nvidia_target.h"

namespace leat {

namespace {

// Newest first. Blackwell's consumer chips have other class numbers with the same bits.
constexpr NvidiaClasses kFamilies[] = {
    {0xCA6F, 0xC761, 0xCEC0, 0xCAB5, QmdVersion::v5_0, "Blackwell", false},
    {0xC96F, 0xC661, 0xCDC0, 0xC9B5, QmdVersion::v5_0, "Blackwell", false},
    {0xC86F, 0xC661, 0xCBC0, 0xC8B5, QmdVersion::v4_0, "Hopper", true},
    {0xC56F, 0xC561, 0xC9C0, 0xC7B5, QmdVersion::v3_0, "Ada", false},
    {0xC56F, 0xC561, 0xC7C0, 0xC7B5, QmdVersion::v3_0, "Ampere", false},
    {0xC56F, 0xC561, 0xC6C0, 0xC6B5, QmdVersion::v3_0, "Ampere", false},
};

Result<std::vector<uint32_t>> classes_of(NvidiaRm& rm) {
  rm::ClassList list = {};
  TRY(rm.control(rm.device(), rm::kGetClassList, list, "the number of classes"));
  std::vector<uint32_t> classes(list.count);
  list.list = reinterpret_cast<uint64_t>(classes.data());
  TRY(rm.control(rm.device(), rm::kGetClassList, list, "the list of classes"));
  return classes;
}

Result<NvidiaClasses> choose_classes(NvidiaRm& rm) {
  TRY_ASSIGN(const std::vector<uint32_t> there, classes_of(rm));
  const auto has = [&](uint32_t number) { return std::ranges::count(there, number) > 0; };
  for (const NvidiaClasses& family : kFamilies) {
    if (has(family.compute) && has(family.channel) && has(family.usermode) && has(family.copy)) {
      return family;
    }
  }
  return Error(
      ErrorKind::unsupported,
      fmt::format("None of the chip's ({}) classes is a compute class known here.", there.size()));
}

Result<std::string> chip_name(NvidiaRm& rm) {
  std::array<char, 136> text = {};  // flags (0: ASCII), then the name
  TRY(rm.control(rm.subdevice(), rm::kGetNameString, text.data(), rm.branch().name_string_bytes,
                 "the chip's name"));
  return std::string(text.data() + sizeof(uint32_t));
}

Result<std::string> uuid_hex_of(NvidiaRm& rm) {
  constexpr uint32_t kBinary = 2;
  rm::GidInfo gid = {};
  gid.flags = kBinary;
  TRY(rm.control(rm.subdevice(), rm::kGetGidInfo, gid, "the chip's UUID"));
  std::string hex;
  for (uint32_t i = 0; i < std::min(gid.length, 16u); ++i)
    hex += fmt::format("{:02x}", gid.data[i]);
  return hex;
}

/// Major in bits 15:8, minor in 7:0; consumer Blackwell (12.0) calls itself 10.4.
/// Source: tinygrad runtime/ops_nv.py (MIT).
uint32_t sm_version_of(uint32_t reported) {
  constexpr uint32_t kConsumerBlackwell = 0xA04;
  if (reported == kConsumerBlackwell) return 120;
  return (reported >> 8 & 0xff) * 10 + (reported & 0xff);
}

Result<void> ask_graphics_info(NvidiaRm& rm, NvidiaCard& card) {
  std::array<rm::InfoEntry, 6> entries = {{{rm::kGrSmCount, 0},
                                           {rm::kGrSmVersion, 0},
                                           {rm::kGrWarpsPerSm, 0},
                                           {rm::kGrLitterGpcs, 0},
                                           {rm::kGrLitterTpcsPerGpc, 0},
                                           {rm::kGrLitterSmsPerTpc, 0}}};
  rm::GrInfo info = {};
  info.count = entries.size();
  info.list = reinterpret_cast<uint64_t>(entries.data());
  TRY(rm.control(rm.subdevice(), rm::kGrGetInfo, info, "the multiprocessors"));
  card.sm_count = entries[0].data;
  card.sm_version = sm_version_of(entries[1].data);
  card.warps_per_sm = entries[2].data;
  card.tpcs_on_die = entries[3].data * entries[4].data;
  card.sms_per_tpc = entries[5].data;
  return {};
}

Result<uint64_t> ask_memory_info(NvidiaRm& rm, NvidiaCard& card) {
  rm::FbInfo info = {};
  info.count = 3;
  info.list[0].index = rm::kFbBar1Kib;
  info.list[1].index = rm::kFbRamKib;
  info.list[2].index = rm::kFbL2Bytes;
  TRY(rm.control(rm.subdevice(), rm::kFbGetInfo, &info, rm.branch().fb_info_bytes, "the memory"));
  card.bar1_bytes = uint64_t{info.list[0].data} << 10;
  card.info.memory_bytes = uint64_t{info.list[1].data} << 10;
  return uint64_t{info.list[2].data};
}

/// The first copy engine that has a runlist of its own; 0 when there is none or we may not ask.
uint32_t find_copy_engine(NvidiaRm& rm) {
  rm::CopyEngineCaps caps = {};
  if (!rm.control(rm.subdevice(), rm::kCeGetAllCaps, caps, "the copy engines")) return 0;
  for (uint32_t i = 0; i < 64; ++i) {
    if ((caps.present >> i & 1) != 0 && (caps.caps[i][0] & 1) == 0) {
      return rm::engine_type_of_copy(i);
    }
  }
  return 0;
}

}  // namespace

Result<NvidiaCard> inspect_nvidia_card(NvidiaRm& rm) {
  NvidiaCard card;
  TRY_ASSIGN(card.info.chip, chip_name(rm));
  TRY_ASSIGN(card.uuid_hex, uuid_hex_of(rm));
  TRY_ASSIGN(card.classes, choose_classes(rm));
  TRY(ask_graphics_info(rm, card));
  TRY_ASSIGN(const uint64_t l2_bytes, ask_memory_info(rm, card));
  card.copy_engine_type = find_copy_engine(rm);
  card.info.vendor = "NVIDIA";
  card.info.driver = "NVIDIA " + rm.version();
  card.info.route = Route::direct;
  card.target = nvidia_target({.capability_major = card.sm_version / 10,
                               .capability_minor = card.sm_version % 10,
                               .multiprocessors = card.sm_count,
                               .shared_bytes_max = nvidia_shared_bytes_max(card.sm_version),
                               .l2_bytes = l2_bytes});
  return card;
}

}  // namespace leat
