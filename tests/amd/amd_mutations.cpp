#include "tests/amd/amd_mutations.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string_view>

#include "tests/amd/amd_capture.h"
#include "tests/amd/amd_capture_tensor.h"
#include "tests/amd/amd_emulator_decode.h"
#include "tests/amd/amd_packets_words.h"

namespace leat::amd_card {

namespace {

using nlohmann::json;

// Turned bits make loops endless; a healthy small launch is far below this.
constexpr uint64_t kInstructionsMax = 200'000;
constexpr uint32_t kCodeWordsMax = 4096;

/// A word whose bits are turned, and what it is part of.
struct Target {
  std::string what;
  std::string name;
  uint64_t va = 0;
  uint32_t word = 0;
};

/// The regions' bytes, as the capture begins.
class Contents {
 public:
  Result<void> read(const std::string& folder, const json& root) {
    for (const json& region : root.at("regions")) {
      TRY_ASSIGN(uint64_t va, parse_number(region.at("va")));
      TRY_ASSIGN(uint64_t size, parse_number(region.at("size")));
      std::vector<char> bytes(size, 0);
      if (region.contains("file") && !region["file"].is_null()) {
        std::ifstream in(std::filesystem::path(folder) / region["file"].get<std::string>(),
                         std::ios::binary);
        in.seekg(region.value("file_offset", 0));
        in.read(bytes.data(), std::streamsize(size));
      }
      regions_[va] = std::move(bytes);
    }
    return {};
  }

  uint32_t word_at(uint64_t va) const {
    uint32_t word = 0;
    auto region = regions_.upper_bound(va);
    if (region == regions_.begin()) return word;
    --region;
    if (va + 4 - region->first <= region->second.size()) {
      std::memcpy(&word, region->second.data() + (va - region->first), 4);
    }
    return word;
  }

 private:
  std::map<uint64_t, std::vector<char>> regions_;
};

/// Adds the words from `va` on, of which word n lies at n modulo `size`; and what they call.
void add_words(const Contents& contents, uint64_t va, uint64_t read, uint64_t write, uint64_t size,
               const std::string& where, std::vector<Target>& out) {
  const auto word_at = [&](uint64_t at) { return contents.word_at(va + 4 * (at % size)); };
  uint64_t end = read, first = 0;
  std::string name;
  for (uint64_t at = read; at < write; ++at) {
    const uint32_t word = word_at(at);
    if (at == end) {
      const PacketShape* shape = shape_of(opcode_of(word));
      name = shape != nullptr ? shape->name : "unknown";
      first = at;
      end = at + (word == kNopOneWord ? 1 : (word >> 16 & 0x3fff) + 2);
    }
    out.push_back({"packets",
                   fmt::format("{} at word {} of {}, dword {}", name, first, where, at - first),
                   va + 4 * (at % size), word});
    if (name != "INDIRECT_BUFFER" || at + 1 != end) continue;
    const uint64_t dwords = word & kIbSizeMask;
    add_words(contents, address_of(word_at(first + 1), word_at(first + 2)), 0, dwords, dwords,
              "the list", out);
  }
}

Result<void> add_packets(const json& root, const Contents& contents, std::vector<Target>& out) {
  for (const json& step : root.at("steps")) {
    const bool is_ring = step.contains("ring");
    if (!is_ring && !step.contains("ib")) continue;
    const json& place = is_ring ? step["ring"] : step["ib"];
    TRY_ASSIGN(uint64_t va, parse_number(place.at("va")));
    TRY_ASSIGN(uint64_t write, parse_number(place.at(is_ring ? "write_dw" : "dw")));
    uint64_t read = 0, size = write;
    if (is_ring) {
      TRY_ASSIGN(read, parse_number(place.at("read_dw")));
      TRY_ASSIGN(size, parse_number(place.at("size_dw")));
    }
    add_words(contents, va, read, write, size, is_ring ? "the ring" : "the buffer", out);
  }
  return {};
}

/// Instructions that say something of time only; nothing that is computed shows a change in them.
bool is_hint(const Instruction& instruction) {
  const std::string_view name = instruction.opcode->name;
  return name == "s_delay_alu" || name == "s_clause" || name == "s_nop" || name == "s_setprio";
}

Result<void> add_kernels(const json& root, const Contents& contents, Generation generation,
                         std::vector<Target>& out) {
  for (const json& kernel : root.value("kernels", json::array())) {
    const std::string name = kernel.value("name", "");
    TRY_ASSIGN(uint64_t entry, parse_number(kernel.at("entry")));
    uint64_t at = entry;
    for (uint32_t words = 0; words < kCodeWordsMax;) {
      const uint32_t next[3] = {contents.word_at(at), contents.word_at(at + 4),
                                contents.word_at(at + 8)};
      Instruction instruction;
      std::string error;
      if (!decode(generation, next, at, instruction, error)) {
        return Error(ErrorKind::invalid_argument, fmt::format("Kernel \"{}\": {}.", name, error));
      }
      for (uint32_t k = 0; k < instruction.size_dwords; ++k) {
        out.push_back(
            {is_hint(instruction) ? "hint" : "code",
             fmt::format("{}, {} at 0x{:x}, dword {}", name, instruction.opcode->name, at, k),
             at + 4 * k, next[k]});
      }
      words += instruction.size_dwords;
      at += 4 * instruction.size_dwords;
      if (std::strcmp(instruction.opcode->name, "s_endpgm") == 0) break;
    }
    if (!kernel.contains("descriptor")) continue;
    TRY_ASSIGN(uint64_t descriptor, parse_number(kernel["descriptor"]));
    for (uint32_t k = 0; k < 16; ++k) {
      out.push_back({"descriptors", fmt::format("{}, byte {}", name, 4 * k), descriptor + 4 * k,
                     contents.word_at(descriptor + 4 * k)});
    }
  }
  return {};
}

/// Whether any order of waves notices the turned bit.
Result<bool> is_caught(const std::string& folder, const BitFlip& flip) {
  for (const WaveOrder order : {WaveOrder::forward, WaveOrder::backward, WaveOrder::mixed}) {
    CaptureOptions options;
    options.order = order;
    options.seed = 11;
    options.flips = {flip};
    options.instructions_max = kInstructionsMax;
    const auto report = check_capture(folder, options);
    if (!report || !report->failures.empty()) return true;
  }
  return false;
}

/// One capture whose bits are turned, and what became of them.
struct Turning {
  std::string folder;
  MutationStrides strides;
  MutationReport report;
  std::map<std::string, uint32_t> positions;  // of the next bit or byte, by what it is part of

  Result<void> turn(const Target& target) {
    const bool is_code = target.what == "code" || target.what == "hint";
    const uint32_t stride = is_code ? strides.code_bits : strides.packets;
    const std::string what = is_code ? target.what + " bits" : target.what;
    for (uint32_t bit = 0; bit < 32; ++bit) {
      const BitFlip flip = {target.va + bit / 8, uint8_t(1U << bit % 8)};
      TRY(turn(what, stride, flip, fmt::format("{}, bit {}", target.name, bit), target.word));
    }
    for (uint32_t byte = 0; is_code && byte < 4; ++byte) {
      TRY(turn(target.what + " bytes", strides.code_bytes, {target.va + byte, 0xff},
               fmt::format("{}, byte {}", target.name, byte), target.word));
    }
    return {};
  }

 private:
  Result<void> turn(const std::string& what, uint32_t stride, const BitFlip& flip,
                    const std::string& name, uint32_t word) {
    if (positions[what]++ % stride != 0) return {};
    auto share = std::ranges::find(report.shares, what, &MutationShare::what);
    if (share == report.shares.end()) {
      report.shares.push_back({what, 0, 0});
      share = report.shares.end() - 1;
    }
    TRY_ASSIGN(const bool caught, is_caught(folder, flip));
    ++share->turned;
    share->caught += caught ? 1 : 0;
    if (!caught) report.survivors.push_back(fmt::format("{}: {} of {:08x}", what, name, word));
    return {};
  }
};

}  // namespace

Result<MutationReport> mutate_capture(const std::string& folder, const MutationStrides& strides) {
  TRY_ASSIGN(CaptureReport healthy, check_capture(folder, {}));
  if (!healthy.failures.empty()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("The capture fails as it is: {}.", healthy.failures.front()));
  }
  std::ifstream in(std::filesystem::path(folder) / "capture.json");
  const json root = json::parse(in, nullptr, false);
  Contents contents;
  TRY(contents.read(folder, root));
  std::vector<Target> targets;
  TRY(add_packets(root, contents, targets));
  const bool is_gfx12 = root.at("target").get<std::string>().starts_with("gfx12");
  TRY(add_kernels(root, contents, is_gfx12 ? Generation::gfx12 : Generation::gfx11, targets));
  Turning turning = {folder, strides, {}, {}};
  for (const Target& target : targets) TRY(turning.turn(target));
  return turning.report;
}

MutationShare whole_of(const MutationReport& report) {
  MutationShare whole = {"in all", 0, 0};
  for (const MutationShare& share : report.shares) {
    if (share.what != "packets" && share.what != "descriptors" && share.what != "code bytes") {
      continue;
    }
    whole.turned += share.turned;
    whole.caught += share.caught;
  }
  return whole;
}

std::string summary_of(const MutationReport& report) {
  std::string text;
  std::vector<MutationShare> shares = report.shares;
  shares.push_back(whole_of(report));
  for (const MutationShare& share : shares) {
    text +=
        fmt::format("{}{} {} of {} ({:.1f} %)", text.empty() ? "" : ", ", share.what, share.caught,
                    share.turned, share.turned == 0 ? 0.0 : 100.0 * share.caught / share.turned);
  }
  return text;
}

}  // namespace leat::amd_card
