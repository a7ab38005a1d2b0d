// How commands show results: a table with aligned columns, or one JSON object.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/result.h"
#include "leat/device/memory_facts.h"

namespace CLI {
class App;
}

namespace leat::cli {

/// Where a command's JSON object goes: nowhere, stdout (then nothing else goes there), or a file.
struct JsonTarget {
  std::string path;  // empty: not asked for; "-": stdout

  bool wanted() const { return !path.empty(); }
  bool to_stdout() const { return path == "-"; }
};

/// `--json` prints, `--json=FILE` writes: the same for every command.
void add_json_flag(CLI::App& command, JsonTarget& target);

/// Whether the files that a command will write can be: for its begin. `others` may be empty names;
/// none may be one of `inputs`.
Result<void> check_files(const JsonTarget& json, std::vector<std::string> others = {},
                         std::span<const std::string> inputs = {});
/// In ASCII, whatever bytes the strings hold. Errors: io, when the file cannot be written.
Result<void> write_json(const JsonTarget& target, const nlohmann::ordered_json& object);

/// What a command says, on stdout; all of it goes through these two. Escapes what is not printable.
void print_line(std::string_view line);
/// Its line ends stay: foreign names in it are made printable where it is put together.
void print_text(std::string_view text);
/// One line on stderr, "leat: ...". A stderr that is closed or full is no reason to stop, so what
/// cannot be written there is lost.
void say_line(std::string_view line);

/// Rows of cells under a head; columns are as wide as their widest cell, numbers stand right.
class Table {
 public:
  explicit Table(std::vector<std::string> head) { rows_.push_back(std::move(head)); }
  /// Cells become printable, and short.
  void add(std::vector<std::string> row);
  bool empty() const { return rows_.size() == 1; }
  /// One line a row, each ending with a newline.
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// "12.3 MiB".
std::string bytes_text(double size_bytes);
/// Four digits at least, no exponent: "0.1234", "12.34", "1234".
std::string number_text(double value);

/// "nothing", or "4.0 KiB (input_tensor 3.0 KiB, output_tensor 1.0 KiB)": bytes by cause.
std::string copies_text(const CopyCounts& copies);
/// One number for each cause.
nlohmann::ordered_json copies_json(const CopyCounts& copies);

}  // namespace leat::cli
