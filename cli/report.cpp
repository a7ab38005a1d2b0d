// See report.h.
#include "cli/report.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/interrupt.h"
#include "leat/base/output_file.h"
#include "leat/base/printable.h"

namespace leat::cli {

namespace {

constexpr size_t kCellBytesMax = 256;

// Code points: all bytes but continuation bytes.
size_t columns_of(const std::string& text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

bool is_number(const std::string& cell) {
  return !cell.empty() && std::isdigit(static_cast<unsigned char>(cell[0])) != 0;
}

}  // namespace

void add_json_flag(CLI::App& command, JsonTarget& target) {
  command.add_flag("--json{-}", target.path, "One JSON object on stdout, or in FILE");
}

Result<void> check_files(const JsonTarget& json, std::vector<std::string> others,
                         std::span<const std::string> inputs) {
  if (!json.to_stdout()) others.push_back(json.path);
  return check_outputs(others, inputs);
}

Result<void> write_json(const JsonTarget& target, const nlohmann::ordered_json& object) {
  using Json = nlohmann::ordered_json;
  const std::string text = object.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
  if (!target.to_stdout()) return write_whole_file(target.path, text);
  fmt::print("{}", text);
  return {};
}

void print_line(std::string_view line) { fmt::print("{}\n", printable(line)); }

void print_text(std::string_view text) { fmt::print("{}", printable_lines(text)); }

void say_line(std::string_view line) {
  const std::string text = "leat: " + printable(line) + "\n";
  std::fputs(text.c_str(), stderr);
}

void Table::add(std::vector<std::string> row) {
  for (std::string& cell : row) cell = printable(cell, kCellBytesMax);
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  std::vector<size_t> widths(rows_[0].size(), 0);
  std::vector<bool> is_right(rows_[0].size(), true);
  for (size_t r = 0; r < rows_.size(); ++r) {
    for (size_t c = 0; c < rows_[r].size(); ++c) {
      widths[c] = std::max(widths[c], columns_of(rows_[r][c]));
      if (r > 0 && !rows_[r][c].empty() && rows_[r][c] != "-") {
        is_right[c] = is_right[c] && is_number(rows_[r][c]);
      }
    }
  }
  std::string text;
  for (const std::vector<std::string>& row : rows_) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string space(widths[c] - columns_of(row[c]), ' ');
      line += (c > 0 ? "  " : "") + (is_right[c] ? space + row[c] : row[c] + space);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string bytes_text(double size_bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; size_bytes >= 1024 && unit < 4; ++unit) size_bytes /= 1024;
  return fmt::format("{:.{}f} {}", size_bytes, unit == 0 ? 0 : 1, units[unit]);
}

std::string number_text(double value) {
  if (!std::isfinite(value)) return "-";
  const double magnitude = std::abs(value);
  const int decimals = magnitude >= 100 ? 1 : magnitude >= 10 ? 2 : magnitude >= 1 ? 3 : 4;
  return fmt::format("{:.{}f}", value, decimals);
}

std::string copies_text(const CopyCounts& copies) {
  std::string causes;
  uint64_t sum = 0;
  for (size_t c = 0; c < kCopyCauses; ++c) {
    if (copies.bytes[c] == 0) continue;
    sum += copies.bytes[c];
    causes += fmt::format("{}{} {}", causes.empty() ? "" : ", ", name_of(static_cast<CopyCause>(c)),
                          bytes_text(static_cast<double>(copies.bytes[c])));
  }
  if (sum == 0) return "nothing";
  return fmt::format("{} ({})", bytes_text(static_cast<double>(sum)), causes);
}

nlohmann::ordered_json copies_json(const CopyCounts& copies) {
  nlohmann::ordered_json object;
  for (size_t c = 0; c < kCopyCauses; ++c) {
    object[std::string(name_of(static_cast<CopyCause>(c)))] = copies.bytes[c];
  }
  return object;
}

}  // namespace leat::cli
