// Source of the names: LLVM's User Guide for AMDGPU Backend, "Code Object V5 Metadata"; AMD's
// "RDNA3 Instruction Set Architecture" (dual instructions are written with "::").
#include "bench/amd_assembly.h"

#include <charconv>
#include <map>
#include <string>
#include <vector>

namespace leat::cli {

namespace {

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(trimmed(text.substr(0, end)));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

/// The number behind `name` and a colon, where the line has it.
void read_number(std::string_view line, std::string_view name, uint32_t& number) {
  if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ':') return;
  const std::string_view digits = trimmed(line.substr(name.size() + 1));
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
}

bool is_multiply_add(std::string_view word) {
  return word.find("_fmac_f32") != std::string_view::npos ||
         word.find("_fma_f32") != std::string_view::npos ||
         word.find("_fmaak_f32") != std::string_view::npos ||
         word.find("_fmamk_f32") != std::string_view::npos;
}

/// Of "ds_load_b128", "ds_load_2addr_b64": 16.
uint32_t local_bytes_of(std::string_view word) {
  const size_t at = word.rfind("_b");
  uint32_t bits = 0;
  if (at == std::string_view::npos) return 0;
  std::from_chars(word.data() + at + 2, word.data() + word.size(), bits);
  return bits / 8 * (word.find("2addr") != std::string_view::npos ? 2 : 1);
}

void count(std::string_view line, AmdLoop& loop) {
  const std::string_view word = line.substr(0, line.find_first_of(" \t"));
  if (word.starts_with("v_")) {
    ++loop.vector;
    if (is_multiply_add(word)) ++loop.multiply_adds;
    const size_t second = line.find("::");
    const bool is_dual = second != std::string_view::npos;
    const bool second_adds = is_dual && is_multiply_add(trimmed(line.substr(second + 2)));
    if (second_adds) ++loop.multiply_adds;
    if (is_dual && is_multiply_add(word)) ++loop.dual_multiply_adds;
    if (second_adds) ++loop.dual_multiply_adds;
  } else if (word.starts_with("ds_")) {
    ++loop.local;
    loop.local_bytes_per_lane += local_bytes_of(word);
  } else if (word.starts_with("global_") || word.starts_with("scratch_")) {
    ++loop.global;
  } else if (word.starts_with("s_wait") || word.starts_with("s_barrier") ||
             word.starts_with("s_delay") || word.starts_with("s_nop")) {
    ++loop.waits;
  } else if (word.starts_with("s_")) {
    ++loop.scalar;
  }
}

AmdLoop loop_between(const std::vector<std::string_view>& lines, size_t first, size_t last) {
  AmdLoop loop;
  for (size_t i = first; i <= last && i < lines.size(); ++i) count(lines[i], loop);
  return loop;
}

}  // namespace

AmdAssembly read_amd_assembly(std::string_view text) {
  AmdAssembly assembly;
  const std::vector<std::string_view> lines = lines_of(text);
  std::map<std::string_view, size_t> labels;
  AmdLoop best;
  size_t best_lines = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string_view line = lines[i];
    read_number(line, ".vgpr_count", assembly.vgprs);
    read_number(line, ".sgpr_count", assembly.sgprs);
    read_number(line, ".private_segment_fixed_size", assembly.scratch_bytes);
    read_number(line, ".vgpr_spill_count", assembly.vgpr_spills);
    read_number(line, ".sgpr_spill_count", assembly.sgpr_spills);
    const size_t colon = line.find(':');
    if (line.starts_with(".LBB") && colon != std::string_view::npos) {
      labels[line.substr(0, colon)] = i;
    }
    if (!line.starts_with("s_cbranch") && !line.starts_with("s_branch")) continue;
    const size_t target = line.find(".LBB");
    const auto label =
        target == std::string_view::npos ? labels.end() : labels.find(line.substr(target));
    if (label == labels.end()) continue;  // forward
    const AmdLoop loop = loop_between(lines, label->second, i);
    // A loop around the inner one has its multiply-adds and few more: the shorter one is meant.
    const bool is_inside =
        loop.multiply_adds * 10 >= best.multiply_adds * 9 && i - label->second < best_lines;
    if (loop.multiply_adds == 0) continue;
    if (loop.multiply_adds * 9 > best.multiply_adds * 10 || is_inside) {
      best = loop;
      best_lines = i - label->second;
    }
  }
  if (best.multiply_adds == 0 && !lines.empty()) {
    best = loop_between(lines, 0, lines.size() - 1);
    best.is_whole_kernel = true;
  }
  assembly.loop = best;
  return assembly;
}

}  // namespace leat::cli
