// `leat cache`: what is kept between runs, how much of it and how old, and the removal of it.
// Nothing that is removed is lost but time: it is made again when it is needed.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/report.h"
#include "leat/base/cache_store.h"
#include "leat/base/files.h"
#include "leat/tune/store.h"

namespace leat::cli {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  uint64_t size_bytes = cache_bytes_max();
  bool tuning = false;
  JsonTarget json;
};

/// All files of one kind.
struct KindRow {
  size_t files = 0;
  uint64_t size_bytes = 0;
  int64_t oldest_s = 0;
  int64_t newest_s = 0;
};

Result<std::string> folder_of_cache() {
  const std::string folder = cache_folder();
  if (!folder.empty()) return folder;
  return Error(ErrorKind::io,
               "There is no folder for a cache: neither XDG_CACHE_HOME nor HOME is an "
               "absolute path.");
}

std::map<std::string, KindRow> kinds_of(const std::vector<CacheFile>& files) {
  std::map<std::string, KindRow> kinds;
  for (const CacheFile& file : files) {
    KindRow& row = kinds[file.kind];
    row.oldest_s = row.files == 0 ? file.written_s : std::min(row.oldest_s, file.written_s);
    row.newest_s = std::max(row.newest_s, file.written_s);
    row.size_bytes += file.size_bytes;
    ++row.files;
  }
  return kinds;
}

/// "3 days".
std::string age_text(int64_t seconds) {
  const std::pair<int64_t, const char*> units[] = {
      {86400, "days"}, {3600, "hours"}, {60, "minutes"}, {1, "seconds"}};
  for (const auto& [unit, name] : units) {
    if (seconds >= 2 * unit) return fmt::format("{} {}", seconds / unit, name);
  }
  return "now";
}

Result<int> list(const Options& options) {
  TRY(check_files(options.json));
  TRY_ASSIGN(const std::string folder, folder_of_cache());
  std::vector<CacheFile> files;
  if (std::filesystem::exists(folder)) {
    TRY_ASSIGN(files, list_cache(folder));
  }
  const int64_t now_s = std::time(nullptr);
  Json object = {{"folder", folder}, {"limit_bytes", cache_bytes_max()}, {"size_bytes", 0}};
  object["kinds"] = Json::array();
  Table table({"kind", "files", "size", "oldest", "newest"});
  uint64_t size_bytes = 0;
  for (const auto& [kind, row] : kinds_of(files)) {
    size_bytes += row.size_bytes;
    object["kinds"].push_back({{"kind", kind},
                               {"files", row.files},
                               {"size_bytes", row.size_bytes},
                               {"oldest_age_s", now_s - row.oldest_s},
                               {"newest_age_s", now_s - row.newest_s}});
    table.add({kind, std::to_string(row.files), bytes_text(static_cast<double>(row.size_bytes)),
               age_text(now_s - row.oldest_s), age_text(now_s - row.newest_s)});
  }
  object["size_bytes"] = size_bytes;
  if (options.json.wanted()) TRY(write_json(options.json, object));
  if (options.json.to_stdout()) return 0;
  if (!table.empty()) print_text(table.text());
  print_line(fmt::format("{}: {} files, {}; entries may take {}", folder, files.size(),
                         bytes_text(static_cast<double>(size_bytes)),
                         bytes_text(static_cast<double>(cache_bytes_max()))));
  return 0;
}

Result<int> say_removed(const Options& options, const CacheRemoved& removed, size_t forgotten) {
  if (options.json.wanted()) {
    TRY(write_json(
        options.json,
        {{"files", removed.files}, {"size_bytes", removed.size_bytes}, {"forgotten", forgotten}}));
  }
  if (options.json.to_stdout()) return 0;
  print_line(fmt::format("{} files are removed, {}", removed.files,
                         bytes_text(static_cast<double>(removed.size_bytes))));
  if (options.tuning) print_line(fmt::format("{} tuned kernels are forgotten", forgotten));
  return 0;
}

Result<int> prune(const Options& options, uint64_t size_bytes_max) {
  TRY(check_files(options.json));
  TRY_ASSIGN(const std::string folder, folder_of_cache());
  if (!std::filesystem::exists(folder)) return say_removed(options, {}, 0);
  TRY_ASSIGN(const CacheRemoved removed, prune_cache(folder, size_bytes_max));
  size_t forgotten = 0;
  if (options.tuning) {
    TRY_ASSIGN(TuneStore store, TuneStore::open(folder));
    TRY_ASSIGN(forgotten, store.forget(""));
  }
  return say_removed(options, removed, forgotten);
}

}  // namespace

CommandRun add_cache(CLI::App& command) {
  const auto options = std::make_shared<Options>();
  Options& o = *options;
  command.require_subcommand(1);
  CLI::App* const listed = command.add_subcommand("list", "Shows what it holds, and how old");
  CLI::App* const cleared = command.add_subcommand("clear", "Removes every entry");
  cleared->add_flag("--tuning", o.tuning,
                    "Forgets what tuning found, too, as leat tune forget all");
  CLI::App* const pruned =
      command.add_subcommand("prune", "Removes the oldest entries, until the rest fit");
  pruned->add_option("--size", o.size_bytes, "What they may take: 500MB, 2GB (LEAT_CACHE_MIB)")
      ->type_name("SIZE")
      ->transform(CLI::AsSizeValue(false));
  for (CLI::App* below : {listed, cleared, pruned}) add_json_flag(*below, o.json);
  return [=](const ProcessStart&) -> Result<int> {
    if (listed->parsed()) return list(*options);
    return prune(*options, cleared->parsed() ? 0 : options->size_bytes);
  };
}

}  // namespace leat::cli
