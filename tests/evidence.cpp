// Enforces that a number of speed in a document comes from a result file. A table is preceded by
//   <!-- result: bench/results/FILE.json -->
// (several lines for several files). The file must exist; each cell after the first column that is
// a number, with or without a unit, must be a number of the file, rounded, perhaps in another unit;
// and a table whose head names a unit of speed must have such a line.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/tidy_source.h"

namespace tidy {
namespace {

/// Reads a file of the tree, or gives nothing.
using ReadFile = std::function<std::optional<std::string>(const std::string& path)>;

std::vector<double> numbers_in_json(const std::string& json) {
  std::vector<double> numbers;
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i] == '"') {
      i = skip_literal(json, i) - 1;
    } else if (std::isdigit(static_cast<unsigned char>(json[i])) != 0) {
      char* end = nullptr;
      numbers.push_back(std::strtod(json.c_str() + i, &end));
      i = size_t(end - json.c_str()) - 1;
    }
  }
  return numbers;
}

std::vector<std::string> cells_of(const std::string& row) {
  std::vector<std::string> cells;
  std::istringstream in(trimmed(row).substr(1));
  for (std::string cell; std::getline(in, cell, '|');) {
    std::erase_if(cell, [](char c) { return c == '*' || c == '`'; });
    cells.push_back(trimmed(cell));
  }
  return cells;
}

struct Quantity {
  double value = 0;
  int decimals = 0;
};

/// The number of a cell that holds a number and perhaps a unit, nothing else.
std::optional<Quantity> quantity_in(const std::string& cell) {
  static const std::set<std::string> units = {"",  "ns", "us",     "\u00b5s", "ms",  "s",  "GFLOPS",
                                              "%", "x",  "\u00d7", "TFLOPS",  "MiB", "MHz"};
  if (cell.empty() || std::isdigit(static_cast<unsigned char>(cell[0])) == 0) return std::nullopt;
  std::string digits = cell.substr(0, cell.find_first_not_of("0123456789.,"));
  if (!units.contains(trimmed(cell.substr(digits.size())))) return std::nullopt;
  std::erase(digits, ',');
  const size_t point = digits.find('.');
  const size_t decimals = point == std::string::npos ? 0 : digits.size() - point - 1;
  return Quantity{std::strtod(digits.c_str(), nullptr), int(decimals)};
}

/// Whether one of `numbers`, in the unit that the cell may have, rounds to what the cell shows.
bool is_measured(const Quantity& shown, const std::vector<double>& numbers) {
  const double tolerance = 0.5000001 * std::pow(10.0, -shown.decimals);
  for (const double scale : {1.0, 1e-3, 1e-6, 100.0, 1.0 / (1 << 20)}) {
    for (const double number : numbers) {
      if (std::abs(number * scale - shown.value) <= tolerance) return true;
    }
  }
  return false;
}

bool is_speed_header(const std::string& row) {
  static const std::set<std::string> units = {"GFLOPS", "TFLOPS", "ns", "us", "\u00b5s", "ms"};
  std::string word;
  for (const char c : row + "|") {
    if (is_word(c) || (c & 0x80) != 0) {
      word.push_back(c);
    } else {
      if (units.contains(word)) return true;
      word.clear();
    }
  }
  return false;
}

/// One walk over a document: result markers, and the tables below them.
class EvidenceCheck {
 public:
  EvidenceCheck(const SourceFile& document, const ReadFile& read)
      : document_(document), read_(read) {}

  Findings check() {
    for (const std::string& line : lines_of(document_.text)) {
      ++line_;
      if (line.starts_with("<!-- result: ")) {
        read_marker(line);
      } else if (line.starts_with("|")) {
        if (!in_table_)
          begin_table(line);
        else
          check_row(line);
        in_table_ = true;
      } else if (!line.empty() || in_table_) {
        in_table_ = false;
        numbers_.clear();
        file_.clear();
      }
    }
    return findings_;
  }

 private:
  void read_marker(const std::string& line) {
    static const std::string begin = "<!-- result: ";
    file_ = trimmed(line.substr(begin.size(), line.find(" -->") - begin.size()));
    const std::optional<std::string> json = read_(file_);
    if (!file_.starts_with("bench/results/") || !json) {
      add("Result file \"" + file_ + "\" is not in bench/results/: measure, and add it.");
    }
    for (const double number : numbers_in_json(json.value_or(""))) numbers_.push_back(number);
  }

  void begin_table(const std::string& header) {
    if (file_.empty() && is_speed_header(header)) {
      add("A table of speeds names its source: put <!-- result: bench/results/FILE.json --> "
          "above.");
    }
  }

  void check_row(const std::string& row) {
    if (numbers_.empty()) return;
    const std::vector<std::string> cells = cells_of(row);
    for (size_t i = 1; i < cells.size(); ++i) {
      const std::optional<Quantity> shown = quantity_in(cells[i]);
      if (shown && !is_measured(*shown, numbers_)) {
        add("Number " + cells[i] + " is not in " + file_ + ": make the table from the file.");
      }
    }
  }

  void add(std::string advice) {
    findings_.push_back({document_.path, line_, "evidence", std::move(advice)});
  }

  const SourceFile& document_;
  const ReadFile& read_;
  Findings findings_;
  std::vector<double> numbers_;
  std::string file_;
  size_t line_ = 0;
  bool in_table_ = false;
};

Findings check_evidence(const SourceFile& file, const ReadFile& read) {
  if (!file.path.ends_with(".md")) return {};
  return EvidenceCheck(file, read).check();
}

TEST(EvidenceTree, Evidence) {
  expect_clean_tree([](const SourceFile& file) { return check_evidence(file, read_file); });
}

size_t evidence_findings(const std::string& document) {
  const ReadFile read = [](const std::string& path) -> std::optional<std::string> {
    if (path != "bench/results/a.json") return std::nullopt;
    return "{\"name9\": [1234.56, 0.875, 77], \"b\": 2e3}";
  };
  return check_evidence(make_file("docs/a.md", document), read).size();
}

TEST(EvidenceRule, NumbersComeFromTheFile) {
  const std::string marker = "<!-- result: bench/results/a.json -->\n\n";
  const std::string head = "| shape | GFLOPS |\n|---|---|\n";
  EXPECT_EQ(evidence_findings(marker + head + "| 99 | 1235 |\n"), 0u);
  EXPECT_EQ(evidence_findings(marker + head + "| a | **1.23** TFLOPS |\n| b | 87.5 % |\n"), 0u);
  EXPECT_EQ(evidence_findings(marker + head + "| a | 2,000 |\n| b | 9 tries |\n"), 0u);
  EXPECT_EQ(evidence_findings(marker + head + "| a | 1236 |\n"), 1u);
  EXPECT_EQ(evidence_findings(marker + head + "| a | 77.1 |\n"), 1u);
  EXPECT_EQ(evidence_findings(head + "| a | 1235 |\n"), 1u);
  EXPECT_EQ(evidence_findings(marker + head + "\ntext\n\n" + head), 1u);
  EXPECT_EQ(evidence_findings("<!-- result: bench/results/b.json -->\n"), 1u);
  EXPECT_EQ(evidence_findings("| word | means |\n|---|---|\n| a | 7 |\n"), 0u);
}

}  // namespace
}  // namespace tidy
