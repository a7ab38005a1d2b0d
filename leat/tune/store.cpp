// See store.h. Journal: write-ahead, so that readers and one writer do not wait for each other, and
// a process that is killed leaves what it had committed. A lost power may take the last entries,
// never the file.
#include "leat/tune/store.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <tuple>

#include "leat/base/private_folder.h"
#include "leat/tune/sqlite_statement.h"

namespace leat {

namespace {

constexpr int64_t kVersion = 1;
constexpr int kBusyMs = 5000;
constexpr char kFileName[] = "tune.db";

constexpr char kTables[] = R"(
create table if not exists entry (
  chip text not null, build text not null, kernel blob not null, shape text not null,
  params text not null, seconds real not null, model_seconds real not null,
  tried integer not null, finished integer not null, date text not null,
  primary key (chip, build, kernel)) without rowid;
create table if not exists trial (
  chip text not null, kernel blob not null, params text not null,
  host text not null, boot text not null, pid integer not null, started integer not null,
  primary key (chip, kernel, params, host, boot, pid, started)) without rowid;
create table if not exists bad (
  chip text not null, kernel blob not null, params text not null, deaths integer not null,
  reason text not null, primary key (chip, kernel, params)) without rowid;
)";

Error store_error(sqlite3* database, const std::string& what) {
  return Error(ErrorKind::io,
               fmt::format("The tuning store cannot {}: {}.", what, sqlite3_errmsg(database)));
}

Result<void> execute(sqlite3* database, const char* text) {
  if (sqlite3_exec(database, text, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return store_error(database, "be used");
}

Result<sqlite3*> open_file(const std::string& path) {
  sqlite3* database = nullptr;
  const int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_NOFOLLOW;
  if (sqlite3_open_v2(path.c_str(), &database, flags, nullptr) == SQLITE_OK) {
    sqlite3_busy_timeout(database, kBusyMs);
    return database;
  }
  const Error error = store_error(database, fmt::format("be opened at \"{}\"", path));
  sqlite3_close_v2(database);
  return error;
}

/// When the process began, in clock ticks since boot; 0 when it is gone. A number of a process is
/// used again, a number with its beginning is not. Source: proc(5), /proc/pid/stat, field 22.
int64_t start_of(int64_t pid) {
  const int fd = ::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[1024] = {};
  const ssize_t size_bytes = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  const std::string stat(text, static_cast<size_t>(std::max<ssize_t>(size_bytes, 0)));
  size_t at = stat.rfind(')');  // behind the name, which may hold anything
  for (int field = 2; field < 22 && at != stat.npos; ++field) at = stat.find(' ', at + 1);
  return at == stat.npos ? 0 : std::strtoll(stat.c_str() + at + 1, nullptr, 10);
}

std::string text_of_file(const char* path) {
  char text[128] = {};
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  const ssize_t size_bytes = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  std::string read(text, static_cast<size_t>(std::max<ssize_t>(size_bytes, 0)));
  while (!read.empty() && read.back() == '\n') read.pop_back();
  return read;
}

/// Where this process runs. Numbers of processes mean something only on the same host, in the same
/// namespace, since the same start of it. Sources: proc(5), random/boot_id; namespaces(7).
struct Place {
  std::string host;
  std::string boot = text_of_file("/proc/sys/kernel/random/boot_id");
  int64_t pid = getpid();
  int64_t started = start_of(getpid());

  Place() {
    char name[256] = {};
    if (gethostname(name, sizeof name - 1) == 0) host = name;
    char space[64] = {};
    if (readlink("/proc/self/ns/pid", space, sizeof space - 1) > 0)
      host += std::string(" ") + space;
  }
};

/// One process at a time looks whether the file is a store, and puts it aside where it is none.
class OpeningLock {
 public:
  explicit OpeningLock(const std::string& path)
      : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) {
    if (fd_ >= 0) flock(fd_, LOCK_EX);
  }
  OpeningLock(const OpeningLock&) = delete;
  OpeningLock& operator=(const OpeningLock&) = delete;
  ~OpeningLock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  int fd_;
};

TuneEntry entry_of(SqliteStatement& row) {
  TuneEntry entry;
  entry.on.chip = row.text();
  entry.on.build = row.text();
  entry.kernel = row.digest();
  entry.shape = row.text();
  entry.params = row.text();
  entry.seconds = row.number();
  entry.model_seconds = row.number();
  entry.tried = static_cast<uint32_t>(row.integer());
  entry.finished = row.integer() != 0;
  entry.date = row.text();
  return entry;
}

}  // namespace

TuneStore::TuneStore(TuneStore&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

TuneStore& TuneStore::operator=(TuneStore&& other) noexcept {
  std::swap(database_, other.database_);
  return *this;
}

TuneStore::~TuneStore() { sqlite3_close_v2(database_); }

bool TuneStore::exists(const std::string& folder) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(folder + "/" + kFileName, ignored);
}

Result<TuneStore> TuneStore::open(const std::string& folder) {
  TRY_ASSIGN(const PrivateFolder private_folder, PrivateFolder::open(folder));
  private_folder.write_once(kFileName, "");  // closed to others, as SQLite's own then are
  std::error_code error;  // SQLite follows no link, and one of the folders above may be one
  const std::filesystem::path whole = std::filesystem::canonical(folder, error);
  if (error)
    return Error(ErrorKind::io, fmt::format("Folder \"{}\": {}.", folder, error.message()));
  const std::string path = whole.string() + "/" + kFileName;
  const OpeningLock lock(whole.string() + "/tune.lock");
  for (const bool is_second : {false, true}) {
    TRY_ASSIGN(sqlite3 * database, open_file(path));
    TuneStore store(database);
    const Result<void> ready = store.prepare();
    if (ready) return store;
    if (is_second || !store.is_damaged()) return ready.error();
    for (const char* part : {"", "-wal", "-shm"}) {
      std::filesystem::rename(path + part, path + ".damaged" + part, error);
    }
  }
  return Error(ErrorKind::internal, "A tuning store opens or does not.");
}

/// Of this version, or of none, and yet not a store that can be read.
bool TuneStore::is_damaged() {
  SqliteStatement version(database_, "pragma user_version");
  const Result<bool> has_version = version.step();
  if (!has_version) {
    const int code = sqlite3_errcode(database_);
    return code == SQLITE_NOTADB || code == SQLITE_CORRUPT;
  }
  const int64_t found = *has_version ? version.integer() : 0;
  if (found != 0 && found != kVersion) return false;
  SqliteStatement check(database_, "pragma quick_check(1)");
  const Result<bool> checked = check.step();
  if (!checked || !*checked || check.text() != "ok") {
    return sqlite3_errcode(database_) != SQLITE_BUSY;
  }
  for (const char* text : {"select count(*) from entry where finished >= 0",
                           "select count(*) from trial where started >= 0",
                           "select count(*) from bad where deaths >= 0"}) {
    if (found != 0 && !SqliteStatement(database_, text).step()) return true;
  }
  return false;
}

Result<void> TuneStore::prepare() {
  TRY(execute(database_, "pragma journal_mode = wal; pragma synchronous = normal;"));
  SqliteStatement version(database_, "pragma user_version");
  TRY_ASSIGN(const bool has_version, version.step());
  const int64_t found = has_version ? version.integer() : 0;
  if (found != 0 && found != kVersion) {
    return Error(ErrorKind::io,
                 fmt::format("The tuning store is of version ({}), and this program knows ({}). "
                             "Delete it, or use the program that wrote it.",
                             found, kVersion));
  }
  TRY(version.run());
  if (found == 0) {
    TRY(execute(database_, kTables));
    TRY(execute(database_, fmt::format("pragma user_version = {}", kVersion).c_str()));
  }
  SqliteStatement check(database_, "pragma quick_check(1)");
  TRY_ASSIGN(const bool has_answer, check.step());
  if (!has_answer || check.text() != "ok") {
    return Error(ErrorKind::io, "The tuning store is damaged.");
  }
  return count_deaths();
}

/// What processes of this host had begun that are gone.
Result<void> TuneStore::count_deaths() {
  const Place here;
  std::vector<std::tuple<std::string, int64_t, int64_t>> dead;
  {
    SqliteStatement begun(database_,
                          "select distinct boot, pid, started from trial where host = ?");
    begun.bind(here.host);
    while (true) {
      TRY_ASSIGN(const bool has_row, begun.step());
      if (!has_row) break;
      const std::string boot = begun.text();
      const int64_t pid = begun.integer(), started = begun.integer();
      if (boot != here.boot || start_of(pid) != started) dead.emplace_back(boot, pid, started);
    }
  }
  for (const auto& [boot, pid, started] : dead) {
    SqliteStatement count(database_,
                          "insert into bad select chip, kernel, params, 1, '' from trial "
                          "where host = ? and boot = ? and pid = ? and started = ? "
                          "on conflict do update set deaths = deaths + 1, reason = case when "
                          "reason = '' then 'Two processes that ran it died.' else reason end");
    TRY(count.bind(here.host).bind(boot).bind(pid).bind(started).run());
    SqliteStatement remove(database_,
                           "delete from trial where host = ? and boot = ? and pid = ? and "
                           "started = ?");
    TRY(remove.bind(here.host).bind(boot).bind(pid).bind(started).run());
  }
  return {};
}

Result<std::vector<TuneEntry>> TuneStore::entries(const std::string& chip) const {
  SqliteStatement rows(
      database_,
      "select chip, build, kernel, shape, params, seconds, model_seconds, tried, "
      "finished, date from entry where ? = '' or chip = ? order by date desc, shape");
  rows.bind(chip).bind(chip);
  std::vector<TuneEntry> found;
  while (true) {
    TRY_ASSIGN(const bool has_row, rows.step());
    if (!has_row) return found;
    found.push_back(entry_of(rows));
  }
}

Result<std::vector<QuarantinedWay>> TuneStore::quarantined(const std::string& chip) const {
  SqliteStatement rows(database_,
                       "select chip, kernel, params, reason from bad "
                       "where reason <> '' and (? = '' or chip = ?) order by chip, params");
  rows.bind(chip).bind(chip);
  std::vector<QuarantinedWay> found;
  while (true) {
    TRY_ASSIGN(const bool has_row, rows.step());
    if (!has_row) return found;
    QuarantinedWay way;
    way.chip = rows.text();
    way.kernel = rows.digest();
    way.params = rows.text();
    way.reason = rows.text();
    found.push_back(std::move(way));
  }
}

Result<void> TuneStore::insert(const TuneEntry& entry) {
  SqliteStatement insert(database_, "insert or replace into entry values (?,?,?,?,?,?,?,?,?,?)");
  return insert.bind(entry.on.chip)
      .bind(entry.on.build)
      .bind(entry.kernel)
      .bind(entry.shape)
      .bind(entry.params)
      .bind(entry.seconds)
      .bind(entry.model_seconds)
      .bind(int64_t{entry.tried})
      .bind(int64_t{entry.finished ? 1 : 0})
      .bind(entry.date)
      .run();
}

Result<void> TuneStore::trim() {
  SqliteStatement count(database_, "select count(*) from entry");
  TRY_ASSIGN(const bool has_count, count.step());
  const int64_t entries = has_count ? count.integer() : 0;
  constexpr auto kMax = static_cast<int64_t>(kTuneEntriesMax);
  if (entries <= kMax) return {};
  SqliteStatement drop(database_,
                       "delete from entry where (chip, build, kernel) in "
                       "(select chip, build, kernel from entry order by date limit ?)");
  return drop.bind(entries - kMax + kMax / 10).run();
}

Result<void> TuneStore::keep(const TuneEntry& entry) {
  TRY(insert(entry));
  return trim();
}

Result<void> TuneStore::begin_trial(const std::string& chip, const Digest& kernel,
                                    const std::string& params) {
  const Place here;
  SqliteStatement begin(database_, "insert or ignore into trial values (?,?,?,?,?,?,?)");
  return begin.bind(chip)
      .bind(kernel)
      .bind(params)
      .bind(here.host)
      .bind(here.boot)
      .bind(here.pid)
      .bind(here.started)
      .run();
}

Result<void> TuneStore::end_trial(const std::string& chip, const Digest& kernel,
                                  const std::string& params, const std::string& reason) {
  const Place here;
  if (!reason.empty()) {
    SqliteStatement bad(database_, "insert or replace into bad values (?,?,?,0,?)");
    TRY(bad.bind(chip).bind(kernel).bind(params).bind(reason).run());
  }
  SqliteStatement end(database_,
                      "delete from trial where chip = ? and kernel = ? and params = ? and "
                      "host = ? and boot = ? and pid = ? and started = ?");
  return end.bind(chip)
      .bind(kernel)
      .bind(params)
      .bind(here.host)
      .bind(here.boot)
      .bind(here.pid)
      .bind(here.started)
      .run();
}

Result<size_t> TuneStore::forget(const std::string& chip_part) {
  for (const char* text : {"delete from trial where instr(chip, ?) > 0 or ? = ''",
                           "delete from bad where instr(chip, ?) > 0 or ? = ''"}) {
    TRY(SqliteStatement(database_, text).bind(chip_part).bind(chip_part).run());
  }
  SqliteStatement entries(database_, "delete from entry where instr(chip, ?) > 0 or ? = ''");
  TRY(entries.bind(chip_part).bind(chip_part).run());
  return static_cast<size_t>(sqlite3_changes64(database_));
}

// --- Between machines ----------------------------------------------------------------------------

namespace {

std::string today() {
  const auto now = std::chrono::system_clock::now();
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
}

std::optional<Digest> digest_of(const std::string& hex) {
  Digest digest = {};
  if (hex.size() != 2 * kDigestBytes) return std::nullopt;
  for (size_t i = 0; i < kDigestBytes; ++i) {
    char* end = nullptr;
    const std::string byte = hex.substr(2 * i, 2);
    digest[i] = static_cast<std::byte>(std::strtoul(byte.c_str(), &end, 16));
    if (*end != '\0' || std::isxdigit(static_cast<unsigned char>(byte[0])) == 0) {
      return std::nullopt;
    }
  }
  return digest;
}

Error bad_import(size_t index, const std::string& field) {
  return Error(ErrorKind::invalid_argument,
               fmt::format("Entry ({}) of the file has no \"{}\" that can be used.", index, field));
}

Result<TuneEntry> entry_of(const nlohmann::json& object, size_t index) {
  TuneEntry entry;
  const std::pair<const char*, std::string*> texts[] = {
      {"chip", &entry.on.chip},  {"build", &entry.on.build}, {"shape", &entry.shape},
      {"params", &entry.params}, {"date", &entry.date},
  };
  for (const auto& [name, text] : texts) {
    if (!object.is_object() || !object.contains(name) || !object[name].is_string()) {
      return bad_import(index, name);
    }
    *text = object[name];
  }
  const std::pair<const char*, double*> numbers[] = {{"seconds", &entry.seconds},
                                                     {"model_seconds", &entry.model_seconds}};
  for (const auto& [name, number] : numbers) {
    if (!object.contains(name) || !object[name].is_number()) return bad_import(index, name);
    *number = object[name];
    if (!std::isfinite(*number) || *number < 0) return bad_import(index, name);
  }
  if (object.contains("tried") && object["tried"].is_number_unsigned()) {
    entry.tried = object["tried"];
  }
  if (object.contains("finished") && object["finished"].is_boolean()) {
    entry.finished = object["finished"];
  }
  const std::string& date = entry.date;
  if (date.size() != 10 || date[4] != '-' || date[7] != '-') return bad_import(index, "date");
  entry.date = std::min(date, today());  // the oldest go first, and none shall stay for ever
  const auto kernel = object.contains("kernel") && object["kernel"].is_string()
                          ? digest_of(object["kernel"])
                          : std::nullopt;
  if (!kernel) return bad_import(index, "kernel");
  entry.kernel = *kernel;
  return entry;
}

}  // namespace

Result<std::string> TuneStore::export_json() const {
  nlohmann::ordered_json object = {{"leat_tune", kVersion},
                                   {"entries", nlohmann::ordered_json::array()}};
  TRY_ASSIGN(const std::vector<TuneEntry> all, entries());
  for (const TuneEntry& entry : all) {
    object["entries"].push_back({{"chip", entry.on.chip},
                                 {"build", entry.on.build},
                                 {"kernel", hex_of(entry.kernel)},
                                 {"shape", entry.shape},
                                 {"params", entry.params},
                                 {"seconds", entry.seconds},
                                 {"model_seconds", entry.model_seconds},
                                 {"tried", entry.tried},
                                 {"finished", entry.finished},
                                 {"date", entry.date}});
  }
  return object.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Result<size_t> TuneStore::import_json(const std::string& text) {
  const nlohmann::json object = nlohmann::json::parse(text, nullptr, false);
  if (!object.is_object() || !object.contains("leat_tune") || !object["leat_tune"].is_number() ||
      !object.contains("entries") || !object["entries"].is_array()) {
    return Error(ErrorKind::invalid_argument, "The file is none that \"leat tune export\" writes.");
  }
  if (object["leat_tune"] != kVersion) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("The file is of version ({}), and this program reads ({}).",
                             object["leat_tune"].dump(), kVersion));
  }
  std::vector<TuneEntry> given;
  for (const nlohmann::json& one : object["entries"]) {
    TRY_ASSIGN(TuneEntry entry, entry_of(one, given.size()));
    given.push_back(std::move(entry));
  }
  TRY(execute(database_, "begin immediate"));
  size_t taken = 0;
  for (const TuneEntry& entry : given) {
    SqliteStatement known(database_,
                          "select 1 from entry where chip = ? and build = ? and kernel = ? "
                          "and seconds <= ?");
    known.bind(entry.on.chip).bind(entry.on.build).bind(entry.kernel).bind(entry.seconds);
    Result<bool> is_known = known.step();
    const Result<void> kept = is_known && !*is_known ? insert(entry) : Result<void>();
    if (!is_known || !kept) {
      sqlite3_exec(database_, "rollback", nullptr, nullptr, nullptr);
      return is_known ? kept.error() : is_known.error();
    }
    taken += *is_known ? 0 : 1;
  }
  TRY(execute(database_, "commit"));
  TRY(trim());
  return taken;
}

}  // namespace leat
